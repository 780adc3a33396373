// The simplest backend: one answer after the other, in the order of arrival.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "engine/generator.h"
#include "serve/backend.h"

namespace tessera::serve {

class GeneratorBackend final : public Backend {
 public:
  // At most `max_waiting` answers wait.
  GeneratorBackend(std::unique_ptr<engine::Generator> generator, std::int64_t max_waiting);
  ~GeneratorBackend() override { stop(); }

  const engine::LoadedModel& loaded() const override { return generator_->loaded(); }
  std::int64_t context_size() const override { return generator_->context_size(); }
  JobId submit(GenerationJob job, GenerationSink sink) override;
  void cancel(JobId job) override;
  bool full() const override;
  BackendStatistics statistics() const override;
  void stop() override;

 private:
  struct Answer {
    JobId job = 0;
    std::int64_t choice = 0;
    engine::Request request;
    std::string client;
    std::shared_ptr<const GenerationSink> sink;
    engine::CancelFlag cancelled{false};
  };
  void work();
  void make(Answer& answer);

  std::unique_ptr<engine::Generator> generator_;
  std::int64_t max_waiting_;
  engine::Sequence sequence_;  // the last text, whose beginning the next one may share
  std::string client_;         // whose text that is
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Answer>> waiting_;
  std::shared_ptr<Answer> running_;
  std::atomic<std::int64_t> used_tokens_{0};
  JobId next_job_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tessera::serve
