#include "engine/generator.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "engine/stop_matcher.h"

namespace tessera::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_set(const CancelFlag* cancel) { return cancel != nullptr && cancel->load(std::memory_order_relaxed); }

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

// Text of sampled tokens on its way out: whole characters only, stop strings found, pieces handed on.
class Output {
 public:
  Output(const text::Tokenizer& tokenizer, const Request& request, const PieceSink& sink,
         GenerationResult& result)
      : decoder_(tokenizer, true, begins_text(tokenizer, request)),
        matcher_(request.stop),
        sink_(&sink),
        result_(&result) {}

  // True when a stop string is complete.
  bool push(SampledToken token) {
    const std::string text = decoder_.push(token.token);
    result_->tokens.push_back(token);
    waiting_.tokens.push_back(std::move(token));
    waiting_.text += matcher_.push(text);
    if (!waiting_.text.empty()) hand_on();
    return matcher_.matched().has_value();
  }

  void finish() {
    waiting_.text += matcher_.push(decoder_.finish());
    waiting_.text += matcher_.finish();
    if (!waiting_.text.empty() || !waiting_.tokens.empty()) hand_on();
    if (matcher_.matched()) {
      result_->stop = matcher_.matched();
      result_->finish_reason = FinishReason::stop;
    }
  }

 private:
  // After nothing but BOS the first token begins the text, and loses the space that some tokenizers put
  // there.
  static bool begins_text(const text::Tokenizer& tokenizer, const Request& request) {
    return std::ranges::all_of(request.prompt, [&](TokenId token) {
      return tokenizer.token_kind(token) == text::TokenKind::control;
    });
  }

  void hand_on() {
    result_->text += waiting_.text;
    if (*sink_) (*sink_)(waiting_);
    waiting_.text.clear();
    waiting_.tokens.clear();
  }

  text::StreamDecoder decoder_;
  StopMatcher matcher_;
  const PieceSink* sink_;
  GenerationResult* result_;
  GeneratedPiece waiting_;
};

void check_prompt(const Request& request, std::int64_t vocab_size, std::int64_t context_size) {
  if (request.prompt.empty()) fail(ErrorKind::bad_usage, "prompt: expected at least one token, found none");
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= vocab_size) {
      fail(ErrorKind::bad_usage, "prompt: expected token ids in [0, {}), found {}", vocab_size, token);
    }
  }
  const auto tokens = static_cast<std::int64_t>(request.prompt.size());
  if (tokens >= context_size) {
    fail(ErrorKind::limit,
         "the prompt has {} tokens, the context holds {} and the answer needs room: shorten the prompt, "
         "or take a larger context (-c)",
         tokens, context_size);
  }
  if (request.max_new_tokens < -1) {
    fail(ErrorKind::bad_usage, "max_new_tokens: expected -1 (until the context is full) or more, found {}",
         request.max_new_tokens);
  }
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::end_of_generation:
      return "eos";
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::context_full:
      return "context_full";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "unknown";
}

Generator::Generator(std::shared_ptr<const LoadedModel> loaded, const GeneratorOptions& options)
    : loaded_(std::move(loaded)),
      context_size_(chosen_context_size(loaded_->model->config(), options.context_size)),
      prefill_chunk_(options.prefill_chunk),
      cache_(loaded_->model->config().layers, {.tokens = context_size_, .dtype = options.cache_dtype}),
      runner_(*loaded_->model, cache_) {
  if (prefill_chunk_ < 1)
    fail(ErrorKind::bad_usage, "prefill chunk: expected at least 1 token, found {}", prefill_chunk_);
}

std::int64_t Generator::vocabulary_size() const {
  return std::min(loaded_->model->config().vocab_size,
                  static_cast<std::int64_t>(tokenizer().vocabulary_size()));
}

bool Generator::ends_generation(TokenId token) const {
  return std::ranges::binary_search(loaded_->end_of_generation, token);
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
  check_prompt(request, loaded_->model->config().vocab_size, context_size_);
  Sampler sampler(request.sampling, vocabulary_size());
  GenerationResult result;
  Output output(tokenizer(), request, on_piece, result);
  result.usage.prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
  result.usage.cached_tokens = sequence.replace(request.prompt);
  if (request.max_new_tokens == 0) return result;

  auto start = Clock::now();
  result.timings.prefill_tokens = sequence.length() - sequence.cached();
  Tensor logits = prefill(sequence, cancel, on_progress);
  result.timings.prefill_seconds = seconds_since(start);
  start = Clock::now();
  std::int64_t& generated = result.usage.completion_tokens;
  while (true) {
    if (!logits.defined() || is_set(cancel)) {
      result.finish_reason = FinishReason::cancelled;
      break;
    }
    SampledToken token = sampler.sample(logits.as<float>(), sequence.tokens(), generated);
    sequence.append(token.token);
    ++generated;
    if (!request.ignore_end_of_generation && ends_generation(token.token)) {
      result.finish_reason = FinishReason::end_of_generation;
      break;
    }
    if (output.push(std::move(token))) break;
    if (request.max_new_tokens > 0 && generated >= request.max_new_tokens) break;  // FinishReason::length
    if (sequence.length() >= context_size_) {
      result.finish_reason = FinishReason::context_full;
      break;
    }
    logits = prefill(sequence, cancel);
  }
  result.timings.decode_seconds = seconds_since(start);
  result.timings.decode_tokens = std::max<std::int64_t>(generated - 1, 0);
  output.finish();
  return result;
}

}  // namespace tessera::engine
