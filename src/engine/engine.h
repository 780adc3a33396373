// One model serving many: requests from any thread, text to each as it comes, on one pool of cache blocks.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/continuous_batch.h"

namespace tessera::engine {

class Engine {
 public:
  // Starts the thread that runs the model. Error bad_usage: sizes that make no sense together; limit: memory.
  Engine(std::shared_ptr<const LoadedModel> loaded, const EngineOptions& options);
  ~Engine() { stop(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const LoadedModel& loaded() const { return batch_.loaded(); }
  std::int64_t context_size() const { return batch_.context_size(); }

  // Queues a request. `sink` is called in the engine's thread, for every pass that made text certain and once
  // at the end of each of the n answers; it must be quick, may submit and cancel, and if it throws its
  // request is cancelled. Error busy: the queue is full, or the engine is stopping; limit: the prompt does
  // not fit the context, with counts; bad_usage: a field out of range, by name.
  RequestId submit(const EngineRequest& request, EventSink sink);
  // Ends a request before the next pass; its answers get their last events. Unknown ids and those that are
  // over do nothing.
  void cancel(RequestId request);
  // Submits and waits: the n answers in order. Error: what an answer failed with; and as submit().
  std::vector<GenerationResult> run(const EngineRequest& request);

  // No room for another answer: submit() would refuse it.
  bool full() const;
  EngineStatistics statistics() const;
  void clear_prefix_cache();

  // Takes no more requests, finishes those it has, and ends the thread.
  void drain();
  // Takes no more requests, cancels those it has, and ends the thread.
  void stop();

 private:
  struct Inbox {
    std::vector<std::unique_ptr<Task>> tasks;
    std::vector<RequestId> cancels;
    bool clear_prefix_cache = false;
    bool empty() const { return tasks.empty() && cancels.empty() && !clear_prefix_cache; }
  };
  struct OpenRequest {
    std::shared_ptr<const EventSink> sink;
    std::int64_t open = 0;  // answers that have not ended
  };
  bool has_room_for(std::int64_t answers) const;
  void work();
  bool take_inbox(Inbox& inbox);
  void save_while_idle(std::unique_lock<std::mutex>& lock, const std::function<bool()>& something);
  void save_rest();
  void handle(const EngineEvent& event);
  void join();

  ContinuousBatch batch_;
  std::int64_t max_waiting_;
  std::int64_t max_sequences_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Inbox inbox_;
  std::unordered_map<RequestId, OpenRequest> sinks_;
  std::int64_t open_answers_ = 0;  // asked for and not ended
  EngineStatistics statistics_;
  RequestId next_request_ = 1;
  bool draining_ = false;
  bool stopping_ = false;
  std::mutex join_mutex_;
  std::thread thread_;
};

}  // namespace tessera::engine
