#include "engine/generator.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_set(const CancelFlag* cancel) { return cancel != nullptr && cancel->load(std::memory_order_relaxed); }

}  // namespace

std::int64_t chosen_context_size(const models::ModelConfig& config, std::int64_t wanted) {
  const std::int64_t most = config.max_position_embeddings;
  if (wanted == 0) return std::min(most, kDefaultContextLimit);
  if (wanted < 1 || wanted > most) {
    fail(ErrorKind::bad_usage,
         "context size: expected 1 to {} tokens, which is what this model was made for, found {}", most,
         wanted);
  }
  return wanted;
}

Generator::Generator(std::shared_ptr<const LoadedModel> loaded, const GeneratorOptions& options)
    : loaded_(std::move(loaded)),
      context_size_(chosen_context_size(loaded_->model->config(), options.context_size)),
      prefill_chunk_(options.prefill_chunk),
      lora_(options.lora),
      cache_(loaded_->model->config().layers,
             {.tokens = context_size_,
              .key_dtype = options.cache_key_dtype.value_or(default_key_value_type(*loaded_->model)),
              .value_dtype = options.cache_value_dtype.value_or(default_key_value_type(*loaded_->model))}),
      runner_(*loaded_->model, cache_) {
  if (prefill_chunk_ < 1)
    fail(ErrorKind::bad_usage, "prefill chunk: expected at least 1 token, found {}", prefill_chunk_);
}

Tensor Generator::prefill(Sequence& sequence, const CancelFlag* cancel, const ProgressSink& on_progress) {
  const auto start = Clock::now();
  const std::int64_t first = sequence.cached();
  Tensor logits;
  while (sequence.cached() < sequence.length()) {
    if (is_set(cancel)) return {};
    const std::int64_t left = sequence.length() - sequence.cached();
    const SequenceStep step{&sequence, std::min(left, prefill_chunk_), left <= prefill_chunk_ ? 1 : 0};
    logits = runner_.run({&step, 1});
    if (on_progress) on_progress(prefill_progress(sequence, first, seconds_since(start)));
  }
  return logits;
}

Progress Generator::prefill_progress(const Sequence& sequence, std::int64_t first, double seconds) const {
  Progress progress{.stage = "prefill", .subject = loaded_->name, .unit = "tokens"};
  progress.done = static_cast<std::uint64_t>(sequence.cached() - first);
  progress.total = static_cast<std::uint64_t>(sequence.length() - first);
  progress.seconds = seconds;
  progress.per_second = seconds > 0 ? static_cast<double>(progress.done) / seconds : 0;
  progress.finished = progress.done == progress.total;
  return progress;
}

GenerationResult Generator::generate(Sequence& sequence, const Request& request, const PieceSink& on_piece,
                                     const CancelFlag* cancel, const ProgressSink& on_progress) {
  Generation generation(*loaded_, request, context_size_);
  GenerationResult& result = generation.result();
  result.usage.cached_tokens = sequence.replace(request.prompt);
  if (generation.finished()) return result;

  auto start = Clock::now();
  result.timings.prefill_tokens = sequence.length() - sequence.cached();
  Tensor logits = prefill(sequence, cancel, on_progress);
  result.timings.prefill_seconds = seconds_since(start);
  start = Clock::now();
  while (true) {
    if (!logits.defined() || is_set(cancel)) {
      generation.finish(FinishReason::cancelled);
    } else {
      generation.advance(sequence, logits);
    }
    for (const GeneratedPiece& piece : generation.take_pieces()) {
      if (on_piece) on_piece(piece);
    }
    if (generation.finished()) break;
    logits = decode(sequence, generation, cancel);
  }
  result.timings.decode_seconds = seconds_since(start);
  result.timings.decode_tokens = std::max<std::int64_t>(generation.generated() - 1, 0);
  return std::move(result);
}

// One pass over the last token and what is guessed to follow it → logits of each [1 + drafts, V].
Tensor Generator::decode(Sequence& sequence, Generation& generation, const CancelFlag* cancel) {
  if (is_set(cancel)) return {};
  const std::int64_t most = std::min(prefill_chunk_ - 1, generation.request().speculative.draft_max);
  const bool fits = sequence.table().blocks_needed(1 + most) <= cache_.block_manager().free_blocks();
  const std::int64_t drafts = generation.draft(sequence, fits ? most : 0, verification_cost_);
  const auto start = Clock::now();
  const SequenceStep step{&sequence, 1 + drafts, 1 + drafts};
  try {
    Tensor logits = runner_.run({&step, 1});
    verification_cost_.observe(step.tokens, seconds_since(start));
    return logits;
  } catch (...) {
    sequence.truncate(sequence.length() - drafts);
    throw;
  }
}

}  // namespace tessera::engine
