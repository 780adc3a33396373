#include "engine/scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

// A prompt gets so many tokens of a pass at least, however many sequences decode.
constexpr std::int64_t kFewestPromptTokens = 16;

bool outranks(const Task& one, const Task& other) {
  return one.priority != other.priority ? one.priority > other.priority : one.id < other.id;
}

std::int64_t common_prefix(const Sequence& one, const Sequence& other) {
  return std::ranges::mismatch(one.tokens(), other.tokens()).in1 - one.tokens().begin();
}

}  // namespace

Scheduler::Scheduler(BlockManager& manager, const SchedulerOptions& options, DiskTier* tier)
    : options_(options), manager_(&manager), cache_(manager, tier) {
  if (options.max_sequences < 1 || options.max_sequences > 65536) {
    fail(ErrorKind::bad_usage, "sequences that run at a time: expected 1 to 65536, found {}",
         options.max_sequences);
  }
  if (options.max_batch_tokens < options.max_sequences + kFewestPromptTokens) {
    fail(ErrorKind::bad_usage,
         "tokens of a pass: expected at least {} ({} sequences and {} of a prompt), found {}",
         options.max_sequences + kFewestPromptTokens, options.max_sequences, kFewestPromptTokens,
         options.max_batch_tokens);
  }
}

void Scheduler::add(std::unique_ptr<Task> task) {
  shares_.enter(task->client);
  if (task->staged) {
    cache_.restore(task->salt, task->sequence.tokens(), task->staged->blocks());
    task->staged = nullptr;
  }
  task->cursor = cache_.root(task->salt);
  waiting_.push_back(std::move(task));
}

void Scheduler::add_running(std::unique_ptr<Task> task) {
  shares_.enter(task->client);
  start(std::move(task));
}

std::int64_t Scheduler::waiting() const {
  std::size_t count = waiting_.size();
  for (const auto& list : {std::cref(running_), std::cref(waiting_)}) {
    for (const auto& task : list.get()) count += task->siblings.size();
  }
  return static_cast<std::int64_t>(count);
}

bool Scheduler::anybody_decodes() const {
  return std::ranges::any_of(running_, [](const auto& task) { return task->decodes(); });
}

std::span<Task* const> Scheduler::plan(std::int64_t prompt_tokens, const VerificationCost& cost) {
  planned_.clear();
  reserved_ = 0;
  make_way();
  const std::int64_t decoding =
      std::ranges::count_if(running_, [](const auto& task) { return task->decodes(); });
  others_ = std::max<std::int64_t>(decoding - 1, 0);
  prompt_left_ = std::clamp(prompt_tokens, kFewestPromptTokens, options_.max_batch_tokens - decoding);
  for (std::size_t i = 0; i < running_.size(); ++i) plan_running(i, cost);
  admit();
  return planned_;
}

void Scheduler::plan_running(std::size_t index, const VerificationCost& cost) {
  Task& task = *running_[index];
  if (!task.decodes()) {
    plan_prompt(task);
  } else if (reserve(task, 1)) {
    task.planned = 1;
    plan_drafts(task, cost);
    planned_.push_back(&task);
  }
}

// Guesses take what nobody else wants: a pass gets no smaller and no block is forgotten for them.
void Scheduler::plan_drafts(Task& task, const VerificationCost& cost) {
  if (task.generation.generated() == 0) return;
  const BlockTable& table = task.sequence.table();
  const std::int64_t one = table.blocks_needed(1);
  std::int64_t limit =
      std::min(task.generation.request().speculative.draft_max, prompt_left_ - kFewestPromptTokens);
  if (reserved_ - one + table.blocks_needed(1 + limit) > manager_->free_blocks()) limit = 0;
  task.drafts = task.generation.draft(task.sequence, limit, cost, others_);
  task.planned += task.drafts;
  prompt_left_ -= task.drafts;
  reserved_ += table.blocks_needed(task.planned) - one;
}

bool Scheduler::plan_prompt(Task& task) {
  take_cached(task);
  if (prompt_left_ <= 0 || will_be_computed(task)) return false;
  const std::int64_t tokens = std::min(task.uncached(), prompt_left_);
  if (!reserve(task, tokens)) return false;
  task.planned = tokens;
  prompt_left_ -= tokens;
  planned_.push_back(&task);
  return true;
}

void Scheduler::take_cached(Task& task) {
  const std::int64_t gained = cache_.attach(task.sequence, task.cursor, task.preempted);
  if (!task.preempted) task.generation.result().usage.cached_tokens += gained;
}

// Whether somebody in the plan computes the very block that this task needs next: then it is there after the
// pass, and of many requests with one prefix only the first computes it.
bool Scheduler::will_be_computed(const Task& task) const {
  if (manager_->stateful()) return false;  // it could not be shared
  const std::int64_t cached = task.sequence.cached();
  const std::int64_t block_end = (cached / manager_->block_size() + 1) * manager_->block_size();
  if (block_end >= task.sequence.length()) return false;
  return std::ranges::any_of(planned_, [&](const Task* other) {
    const std::int64_t begin = other->sequence.cached();
    return other->planned > 1 && begin < block_end && begin + other->planned > cached &&
           other->salt == task.salt && common_prefix(other->sequence, task.sequence) >= block_end;
  });
}

// Takes blocks from those of lower rank, the lowest first; none of them is in the plan yet. False when the
// task itself had to give way.
bool Scheduler::reserve(Task& task, std::int64_t tokens) {
  const std::int64_t needed = task.sequence.table().blocks_needed(tokens);
  while (!cache_.make_room(reserved_ + needed)) {
    const bool is_last = running_.back().get() == &task;
    preempt_last();
    if (is_last) return false;
  }
  reserved_ += needed;
  return true;
}

// A task of higher priority does not wait for one of lower priority.
void Scheduler::make_way() {
  while (!waiting_.empty() && !running_.empty()) {
    const Task& next = **next_waiting();
    if (next.priority <= running_.back()->priority) return;
    const std::int64_t needed = next.sequence.length() / manager_->block_size() + 1;
    if (has_slot() && manager_->free_blocks() + cache_.evictable() >= needed) return;
    preempt_last();
  }
}

void Scheduler::admit() {
  for (std::size_t left = waiting_.size(); left > 0 && has_slot() && prompt_left_ > 0; --left) {
    const auto next = next_waiting();
    Task& task = **next;
    const std::int64_t cached_before = task.generation.result().usage.cached_tokens;
    take_cached(task);
    if (!fits(task)) {
      release(task);
      task.generation.result().usage.cached_tokens = cached_before;
      return;
    }
    std::unique_ptr<Task> admitted = std::move(*next);
    waiting_.erase(next);
    start(std::move(admitted));
    plan_prompt(task);
  }
}

// Room for all of its tokens and the next one, beside what those who run need for theirs. The first always
// fits: the pool holds at least one context.
bool Scheduler::fits(const Task& task) {
  if (running_.empty()) return true;
  std::int64_t needed = task.sequence.table().blocks_needed(task.uncached() + 1);
  for (const auto& other : running_) {
    needed += std::max<std::int64_t>(1, other->sequence.table().blocks_needed(other->uncached() + 1));
  }
  const std::int64_t free = manager_->free_blocks();
  return free >= needed || free + cache_.evictable() >= needed;
}

// Those who have begun go on before those who have not; then the client who had least.
std::vector<std::unique_ptr<Task>>::iterator Scheduler::next_waiting() {
  return std::ranges::min_element(waiting_, {}, [&](const std::unique_ptr<Task>& task) {
    return std::tuple(-std::int64_t{task->priority}, !task->started,
                      task->started ? 0 : shares_.served(task->client), task->id);
  });
}

void Scheduler::start(std::unique_ptr<Task> task) {
  if (!task->started) task->admitted = Task::Clock::now();
  task->started = true;
  const auto place = std::ranges::upper_bound(
      running_, *task, outranks, [](const std::unique_ptr<Task>& other) -> const Task& { return *other; });
  running_.insert(place, std::move(task));
}

void Scheduler::preempt_last() {
  std::unique_ptr<Task> task = std::move(running_.back());
  running_.pop_back();
  release(*task);
  // From now on only whole blocks: a part would be copied, and the pool may have no room for both. So the
  // first in rank needs no more blocks than its tokens fill.
  task->preempted = true;
  ++preemptions_;
  waiting_.push_back(std::move(task));
}

void Scheduler::release(Task& task) {
  task.sequence.table().clear();
  task.cursor = cache_.root(task.salt);
}

void Scheduler::settle() {
  for (Task* task : planned_) {
    cache_.store(task->sequence, task->cursor);
    shares_.charge(task->client, task->planned);
    task->planned = 0;
    task->drafts = 0;
  }
  planned_.clear();
}

std::vector<std::unique_ptr<Task>> Scheduler::take_if(const std::function<bool(const Task&)>& wanted) {
  std::vector<std::unique_ptr<Task>> taken;
  for (auto* list : {&running_, &waiting_}) {
    std::vector<std::unique_ptr<Task>> rest;
    for (std::unique_ptr<Task>& task : *list) (wanted(*task) ? taken : rest).push_back(std::move(task));
    *list = std::move(rest);
  }
  for (const auto& task : taken) {
    cache_.store(task->sequence, task->cursor, true);
    release(*task);
    shares_.leave(task->client);
  }
  return taken;
}

}  // namespace tessera::engine
