// Many requests on one model: plans a pass, runs it, samples for everybody, and tells what became of whom.
// Belongs to one thread; engine/engine.h puts one behind a queue.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/key_value_cache.h"
#include "engine/model_loader.h"
#include "engine/model_runner.h"
#include "engine/scheduler.h"
#include "engine/task.h"

namespace tessera::engine {

struct EngineOptions {
  std::int64_t context_size = 0;  // tokens of one sequence; 0: as GeneratorOptions
  // Tokens that the pool of blocks holds, all sequences together, at least one context; 0: as many as
  // max_sequences contexts take, within half of the memory that is available.
  std::int64_t cache_tokens = 0;
  std::int64_t block_size = 16;
  std::optional<DType> cache_key_dtype = {};  // default_key_value_type()
  std::optional<DType> cache_value_dtype = {};
  SchedulerOptions scheduler = {};
  // While sequences decode, prompts are cut so that a pass takes about so long: the gap between two tokens.
  // 0: a pass is as large as scheduler.max_batch_tokens allows.
  double pass_seconds = 0.1;
  std::int64_t max_waiting = 1024;  // answers besides scheduler.max_sequences; more are refused
  std::optional<DiskCacheOptions> disk_cache = {};
};

// What became of one answer in one pass.
struct EngineEvent {
  RequestId request = 0;
  std::int64_t choice = 0;                   // 0 to n - 1
  std::vector<GeneratedPiece> pieces;        // text that became certain
  std::optional<PromptProgress> progress;    // when asked for: after each pass until the first token
  const GenerationResult* result = nullptr;  // set once, in the answer's last event; valid during the call
  std::string error;                         // not empty: the answer failed, and this is why
};
using EventSink = std::function<void(const EngineEvent&)>;

// Counts since the start, and what there is now.
struct EngineStatistics {
  std::int64_t waiting = 0;
  std::int64_t running = 0;
  std::int64_t blocks = 0;         // of the pool
  std::int64_t free_blocks = 0;    // hold nothing
  std::int64_t cached_blocks = 0;  // hold prefixes that no sequence uses
  std::int64_t block_size = 0;
  std::int64_t passes = 0;
  std::int64_t prompt_tokens = 0;     // of admitted requests
  std::int64_t cached_tokens = 0;     // of those, found in the prefix cache
  std::int64_t computed_tokens = 0;   // run through the model, drafts included
  std::int64_t generated_tokens = 0;  // given out
  std::int64_t preemptions = 0;
  std::int64_t finished = 0;   // answers
  std::int64_t cancelled = 0;  // of those
  std::int64_t failed = 0;     // of those
  DraftCounts drafts;
  std::optional<DiskCacheCounts> disk = {};  // none: prefixes are kept in memory only
};

class ContinuousBatch {
 public:
  // Error bad_usage: sizes that make no sense together; limit: memory.
  ContinuousBatch(std::shared_ptr<const LoadedModel> loaded, const EngineOptions& options);

  const LoadedModel& loaded() const { return *loaded_; }
  std::int64_t context_size() const { return options_.context_size; }
  const KeyValueCache& cache() const { return cache_; }
  const Scheduler& scheduler() const { return scheduler_; }

  // Checks a request and makes its first task, which holds the others; changes nothing here, so any thread
  // may call it. Error limit: the prompt does not fit the context, with counts; bad_usage: a field out of
  // range.
  std::unique_ptr<Task> make_task(RequestId id, const EngineRequest& request);
  void add(std::unique_ptr<Task> task) { scheduler_.add(std::move(task)); }
  // Ends all answers of a request now: their blocks are free, their last events given.
  void cancel(RequestId request, const EventSink& sink);
  void cancel_all(const EventSink& sink);

  bool idle() const { return scheduler_.idle(); }
  // One pass; events of every answer it moved on. When a pass fails, the answers in it fail and the rest go
  // on.
  void step(const EventSink& sink);
  EngineStatistics statistics() const;                 // but for the disk's
  std::optional<DiskCacheCounts> disk_counts() const;  // any thread
  // Copies up to `blocks` cached blocks for the disk, without waiting for it. False: nothing is left to copy.
  bool save_some(std::int64_t blocks) { return scheduler_.prefix_cache().save_some(blocks); }
  bool has_unsaved() const { return disk_ && scheduler_.prefix_cache().has_unsaved(); }
  // Prefixes that nobody uses are forgotten.
  void clear_prefix_cache() { scheduler_.prefix_cache().clear(); }

 private:
  std::string salt_of(const EngineRequest& request) const;
  std::int64_t prompt_budget() const;
  Tensor run(std::span<Task* const> planned);
  void learn_speed(std::int64_t tokens, bool has_prompt, double seconds);
  void advance(std::vector<Task*>& moved, const Tensor& logits);
  std::vector<Task*> share_prompt(Task& leader);
  void fail_pass(std::span<Task* const> planned, const std::string& error);
  void report(Task& task, const EventSink& sink);
  void count(const Task& task);
  void end(const std::function<bool(const Task&)>& wanted, const EventSink& sink);

  std::shared_ptr<const LoadedModel> loaded_;
  EngineOptions options_;
  KeyValueCache cache_;
  ModelRunner runner_;
  std::unique_ptr<DiskTier> disk_;  // none: memory only
  Scheduler scheduler_;
  VerificationCost cost_;
  double seconds_per_token_ = 1.0 / 500;  // of prompts; learnt
  std::atomic<std::uint64_t> next_task_{1};
  EngineStatistics counts_;
};

}  // namespace tessera::engine
