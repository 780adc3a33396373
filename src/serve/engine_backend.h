// The server's requests on engine::Engine: many at a time, on one pool of cache blocks.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/engine.h"
#include "serve/backend.h"

namespace tessera::serve {

struct EngineBackendOptions {
  engine::EngineOptions engine = {};
  engine::SpeculativeOptions speculative = {};          // of every answer: the same text, only sooner
  std::map<std::string, std::int32_t> priorities = {};  // of clients, added to that of their jobs
};

class EngineBackend final : public Backend {
 public:
  // Error bad_usage, limit: as engine::Engine.
  EngineBackend(std::shared_ptr<const engine::LoadedModel> loaded, const EngineBackendOptions& options);
  ~EngineBackend() override { stop(); }

  const engine::LoadedModel& loaded() const override { return engine_.loaded(); }
  std::int64_t context_size() const override { return engine_.context_size(); }
  JobId submit(GenerationJob job, GenerationSink sink) override;
  void cancel(JobId job) override { engine_.cancel(job); }
  bool full() const override { return engine_.full(); }
  BackendStatistics statistics() const override;
  void stop() override;

 private:
  void learn_duration(const engine::GenerationResult& result);
  int retry_after(const engine::EngineStatistics& now) const;

  engine::SpeculativeOptions speculative_;
  std::map<std::string, std::int32_t> priorities_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  double answer_seconds_ = 0;  // from admission to the end, on average
  engine::Engine engine_;      // last: its thread uses the others
};

}  // namespace tessera::serve
