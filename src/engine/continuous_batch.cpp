#include "engine/continuous_batch.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/system_memory.h"
#include "base/thread_pool.h"
#include "engine/generator.h"

namespace tessera::engine {
namespace {

constexpr double kSpeedMemory = 1.0 / 8;
// Passes of fewer tokens say little about the speed of prompts.
constexpr std::int64_t kTokensWorthTiming = 24;

double seconds_between(Task::Clock::time_point begin, Task::Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// `options` with every choice made.
EngineOptions chosen(const models::Model& model, EngineOptions options) {
  const models::ModelConfig& config = model.config();
  options.context_size = chosen_context_size(config, options.context_size);
  if (!options.cache_key_dtype) options.cache_key_dtype = default_key_value_type(model);
  if (!options.cache_value_dtype) options.cache_value_dtype = default_key_value_type(model);
  if (options.cache_tokens < 0) {
    fail(ErrorKind::bad_usage, "cache size: expected 0 or more tokens, found {}", options.cache_tokens);
  }
  if (options.cache_tokens == 0) {
    const auto bytes =
        key_value_bytes_per_token(config.layers, *options.cache_key_dtype, *options.cache_value_dtype);
    const auto affordable =
        static_cast<std::int64_t>(available_memory() / 2 / std::max<std::uint64_t>(bytes, 1));
    const std::int64_t wanted = options.scheduler.max_sequences * options.context_size;
    options.cache_tokens = std::max(options.context_size, std::min(wanted, affordable));
  }
  if (options.cache_tokens < options.context_size) {
    fail(
        ErrorKind::bad_usage,
        "cache size: expected room for at least one context of {} tokens, found {}; take a larger cache or a "
        "smaller context (-c)",
        options.context_size, options.cache_tokens);
  }
  return options;
}

bool is_finished(const Task& task) { return task.generation.finished(); }

}  // namespace

ContinuousBatch::ContinuousBatch(std::shared_ptr<const LoadedModel> loaded, const EngineOptions& options)
    : loaded_(std::move(loaded)),
      options_(chosen(*loaded_->model, options)),
      cache_(loaded_->model->config().layers, {.tokens = options_.cache_tokens,
                                               .block_size = options_.block_size,
                                               .key_dtype = *options_.cache_key_dtype,
                                               .value_dtype = *options_.cache_value_dtype}),
      runner_(*loaded_->model, cache_),
      disk_(options_.disk_cache ? std::make_unique<DiskTier>(*options_.disk_cache, cache_) : nullptr),
      scheduler_(cache_.block_manager(), options_.scheduler, disk_.get()) {}

// Keys and values differ from adapter to adapter, so prefixes are shared under one alone.
std::string ContinuousBatch::salt_of(const EngineRequest& request) const {
  if (request.lora == nn::kNoLora) return request.salt;
  const auto adapters = static_cast<std::int64_t>(loaded_->adapters.size());
  if (request.lora < 0 || request.lora >= adapters) {
    fail(ErrorKind::bad_usage, "adapter: expected one of {}, found number {}", adapters, request.lora);
  }
  return fmt::format("{} adapter {}", request.salt,
                     loaded_->adapters[static_cast<std::size_t>(request.lora)].identity);
}

std::unique_ptr<Task> ContinuousBatch::make_task(RequestId id, const EngineRequest& request) {
  if (request.n < 1 || request.n > kMostAnswers) {
    fail(ErrorKind::bad_usage, "n: expected 1 to {} answers, found {}", kMostAnswers, request.n);
  }
  EngineRequest salted = request;
  salted.salt = salt_of(request);
  std::unique_ptr<Task> leader;
  for (std::int64_t choice = 0; choice < request.n; ++choice) {
    Request own = request.request;
    own.sampling.seed += static_cast<std::uint64_t>(choice);
    auto task = std::make_unique<Task>(id, next_task_.fetch_add(1), choice, salted,
                                       Generation(*loaded_, std::move(own), options_.context_size),
                                       cache_.block_manager());
    if (leader) {
      leader->siblings.push_back(std::move(task));
    } else {
      leader = std::move(task);
    }
  }
  if (disk_) leader->staged = disk_->read_prefix(salted.salt, leader->sequence.tokens());
  return leader;
}

void ContinuousBatch::cancel(RequestId request, const EventSink& sink) {
  end([&](const Task& task) { return task.request == request; }, sink);
}

void ContinuousBatch::cancel_all(const EventSink& sink) {
  end([](const Task&) { return true; }, sink);
}

void ContinuousBatch::end(const std::function<bool(const Task&)>& wanted, const EventSink& sink) {
  for (const auto& task : scheduler_.take_if(wanted)) {
    task->generation.finish(FinishReason::cancelled);
    report(*task, sink);
    for (const auto& sibling : task->siblings) {
      sibling->error = task->error;
      sibling->generation.finish(FinishReason::cancelled);
      report(*sibling, sink);
    }
  }
}

std::int64_t ContinuousBatch::prompt_budget() const {
  if (options_.pass_seconds <= 0 || !scheduler_.anybody_decodes()) return options_.scheduler.max_batch_tokens;
  const double tokens = options_.pass_seconds / seconds_per_token_;
  return static_cast<std::int64_t>(std::min(tokens, 1e9)) - scheduler_.running();
}

void ContinuousBatch::step(const EventSink& sink) {
  end(is_finished, sink);  // answers of no tokens are over before they begin
  const auto planned = scheduler_.plan(prompt_budget(), cost_);
  if (planned.empty()) return;
  std::vector<Task*> moved(planned.begin(), planned.end());
  try {
    const Tensor logits = run(moved);
    advance(moved, logits);
  } catch (const std::exception& error) {
    fail_pass(moved, error.what());
  }
  scheduler_.settle();
  for (Task* task : moved) {
    if (!task->generation.finished()) report(*task, sink);
  }
  end(is_finished, sink);
}

Tensor ContinuousBatch::run(std::span<Task* const> planned) {
  std::vector<SequenceStep> steps;
  std::int64_t tokens = 0;
  bool has_prompt = false;
  for (Task* task : planned) {
    task->logit_rows = task->planned == task->uncached() ? 1 + task->drafts : 0;
    steps.push_back({&task->sequence, task->planned, task->logit_rows});
    if (task->generation.generated() == 0) task->generation.result().timings.prefill_tokens += task->planned;
    has_prompt = has_prompt || task->planned > 1 + task->drafts;
    tokens += task->planned;
  }
  const auto start = Task::Clock::now();
  Tensor logits = runner_.run(steps);
  learn_speed(tokens, has_prompt, seconds_between(start, Task::Clock::now()));
  ++counts_.passes;
  counts_.computed_tokens += tokens;
  return logits;
}

void ContinuousBatch::learn_speed(std::int64_t tokens, bool has_prompt, double seconds) {
  if (!has_prompt) {
    cost_.observe(tokens, seconds);
  } else if (tokens >= kTokensWorthTiming) {
    seconds_per_token_ += kSpeedMemory * (seconds / static_cast<double>(tokens) - seconds_per_token_);
  }
}

// Everybody's sampling is his own, so it is done on all threads.
void ContinuousBatch::advance(std::vector<Task*>& moved, const Tensor& logits) {
  struct Share {
    Task* task;
    std::int64_t first_row;
  };
  std::vector<Share> shares;
  std::int64_t row = 0;
  for (Task* task : moved) {
    if (task->logit_rows > 0) shares.push_back({task, row});
    row += task->logit_rows;
  }
  const std::size_t leaders = shares.size();
  for (std::size_t i = 0; i < leaders; ++i) {
    for (Task* sibling : share_prompt(*shares[i].task)) {
      shares.push_back({sibling, shares[i].first_row});
      moved.push_back(sibling);
    }
  }
  thread_pool().parallel_for(
      static_cast<std::int64_t>(shares.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const Share& share = shares[static_cast<std::size_t>(i)];
          share.task->advance(logits.rows(share.first_row, share.first_row + share.task->logit_rows));
        }
      });
}

// The other answers begin where the prompt is computed, with its blocks and its logits; those for whom there
// is no slot wait and find the prompt in the prefix cache.
std::vector<Task*> ContinuousBatch::share_prompt(Task& leader) {
  std::vector<Task*> begun;
  for (std::unique_ptr<Task>& sibling : leader.siblings) {
    if (!scheduler_.has_slot()) {
      scheduler_.add(std::move(sibling));
      continue;
    }
    sibling->sequence = leader.sequence.fork();
    sibling->cursor = leader.cursor;
    sibling->logit_rows = 1;
    sibling->generation.result().usage.cached_tokens = leader.generation.result().usage.cached_tokens;
    begun.push_back(sibling.get());
    scheduler_.add_running(std::move(sibling));
  }
  leader.siblings.clear();
  return begun;
}

void ContinuousBatch::fail_pass(std::span<Task* const> planned, const std::string& error) {
  for (Task* task : planned) {
    task->sequence.truncate(task->sequence.length() - task->drafts);
    task->error = error;
    task->generation.finish(FinishReason::cancelled);
  }
}

void ContinuousBatch::report(Task& task, const EventSink& sink) {
  EngineEvent event;
  event.request = task.request;
  event.choice = task.choice;
  event.pieces = task.generation.take_pieces();
  GenerationResult& result = task.generation.result();
  counts_.generated_tokens += result.usage.completion_tokens - task.counted;
  task.counted = result.usage.completion_tokens;
  if (task.generation.finished()) {
    task.finish_timings();
    count(task);
    event.result = &result;
    event.error = task.error;
  }
  if (task.wants_progress) {
    const std::int64_t done = std::min(task.sequence.cached(), result.usage.prompt_tokens);
    event.progress = {result.usage.prompt_tokens, result.usage.cached_tokens, done};
    task.wants_progress = task.generation.generated() == 0;
  }
  if (event.result != nullptr || !event.pieces.empty() || event.progress) sink(event);
}

void ContinuousBatch::count(const Task& task) {
  const GenerationResult& result = task.generation.result();
  ++counts_.finished;
  if (!task.error.empty()) {
    ++counts_.failed;
  } else if (result.finish_reason == FinishReason::cancelled) {
    ++counts_.cancelled;
  }
  counts_.drafts.drafted += result.drafts.drafted;
  counts_.drafts.accepted += result.drafts.accepted;
  if (task.choice > 0) return;  // the prompt is the same
  counts_.prompt_tokens += result.usage.prompt_tokens;
  counts_.cached_tokens += result.usage.cached_tokens;
}

EngineStatistics ContinuousBatch::statistics() const {
  EngineStatistics statistics = counts_;
  const BlockManager& manager = cache_.block_manager();
  statistics.waiting = scheduler_.waiting();
  statistics.running = scheduler_.running();
  statistics.blocks = manager.num_blocks();
  statistics.free_blocks = manager.free_blocks();
  statistics.cached_blocks = scheduler_.prefix_cache().evictable();
  statistics.block_size = manager.block_size();
  statistics.preemptions = scheduler_.preemptions();
  return statistics;
}

std::optional<DiskCacheCounts> ContinuousBatch::disk_counts() const {
  return disk_ ? std::optional(disk_->disk().counts()) : std::nullopt;
}

}  // namespace tessera::engine
