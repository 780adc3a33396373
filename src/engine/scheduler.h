// Who takes part in the next forward pass: continuous batching (Orca, Yu et al. 2022) of decoding sequences
// with chunks of prompts (Sarathi-Serve, Agrawal et al. 2024), fair admission, and preemption when the pool
// of blocks is full.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/fair_shares.h"
#include "engine/prefix_cache.h"
#include "engine/task.h"

namespace tessera::engine {

struct SchedulerOptions {
  std::int64_t max_batch_tokens = 512;  // of one pass; at least max_sequences + 16
  std::int64_t max_sequences = 64;      // that run at a time
};

// Running tasks are ranked by priority, then by arrival. Blocks are given out in that order, and taken from
// the last; so the first always goes on, and with it, in the end, everybody. A preempted task keeps its
// tokens and its random numbers; its keys and values are computed again, to the same bits, so its text is the
// same.
class Scheduler {
 public:
  // `manager` and `tier`, if any, must outlive the scheduler. Error bad_usage: options that leave no room for
  // a prompt beside the decoding sequences.
  Scheduler(BlockManager& manager, const SchedulerOptions& options, DiskTier* tier = nullptr);

  void add(std::unique_ptr<Task> task);
  // A task whose prompt is computed already. Only while has_slot().
  void add_running(std::unique_ptr<Task> task);
  bool has_slot() const { return std::cmp_less(running_.size(), options_.max_sequences); }

  // Chooses the tasks of the next pass, and sets `planned` and `drafts` in each; drafts stand at the end of
  // their sequences. At most `prompt_tokens` tokens come from prompts, at least 16 if any waits. The blocks
  // that the pass needs are free. Empty when nothing is left to do.
  std::span<Task* const> plan(std::int64_t prompt_tokens, const VerificationCost& cost);
  // What the tasks of the pass have computed goes to the prefix cache, and to their clients' accounts. After
  // the generations have advanced.
  void settle();

  // Takes tasks out that are finished, or that the caller names; their blocks go back, to the prefix cache
  // where they are full.
  std::vector<std::unique_ptr<Task>> take_if(const std::function<bool(const Task&)>& wanted);

  bool idle() const { return running_.empty() && waiting_.empty(); }
  std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t waiting() const;  // siblings counted
  std::int64_t preemptions() const { return preemptions_; }
  bool anybody_decodes() const;
  PrefixCache& prefix_cache() { return cache_; }
  const PrefixCache& prefix_cache() const { return cache_; }
  const FairShares& shares() const { return shares_; }

 private:
  void plan_running(std::size_t index, const VerificationCost& cost);
  void plan_drafts(Task& task, const VerificationCost& cost);
  bool plan_prompt(Task& task);
  void take_cached(Task& task);
  bool will_be_computed(const Task& task) const;
  bool reserve(Task& task, std::int64_t tokens);
  void make_way();
  void admit();
  bool fits(const Task& task);
  void preempt_last();
  void release(Task& task);
  std::vector<std::unique_ptr<Task>>::iterator next_waiting();
  void start(std::unique_ptr<Task> task);

  SchedulerOptions options_;
  BlockManager* manager_;
  PrefixCache cache_;
  FairShares shares_;
  std::vector<std::unique_ptr<Task>> running_;  // by rank
  std::vector<std::unique_ptr<Task>> waiting_;
  std::vector<Task*> planned_;
  std::int64_t reserved_ = 0;     // blocks that the plan will take
  std::int64_t prompt_left_ = 0;  // tokens of the budget
  std::int64_t others_ = 0;       // rows of the pass besides a draft's
  std::int64_t preemptions_ = 0;
};

}  // namespace tessera::engine
