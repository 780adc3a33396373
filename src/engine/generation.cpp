#include "engine/generation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

Request checked(Request request, std::int64_t vocab_size, std::int64_t context_size) {
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
  return request;
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

std::int64_t vocabulary_size(const LoadedModel& loaded) {
  return std::min(loaded.model->config().vocab_size,
                  static_cast<std::int64_t>(loaded.tokenizer->vocabulary_size()));
}

bool ends_generation(const LoadedModel& loaded, TokenId token) {
  return std::ranges::binary_search(loaded.end_of_generation, token);
}

Generation::Generation(const LoadedModel& loaded, Request request, std::int64_t context_size)
    : loaded_(&loaded),
      request_(checked(std::move(request), loaded.model->config().vocab_size, context_size)),
      context_size_(context_size),
      sampler_(request_.sampling, vocabulary_size(loaded)),
      output_(*loaded.tokenizer, request_),
      drafter_(request_.speculative),
      finished_(request_.max_new_tokens == 0) {
  result_.usage.prompt_tokens = static_cast<std::int64_t>(request_.prompt.size());
  if (request_.grammar) grammar_state_ = request_.grammar->start();
}

std::int64_t Generation::draft(Sequence& sequence, std::int64_t limit, const VerificationCost& cost,
                               std::int64_t others) {
  // One token always follows the last draft.
  limit = std::min({limit, context_size_ - sequence.length() - 1, sequence.table().most_drafts()});
  if (request_.max_new_tokens > 0) limit = std::min(limit, request_.max_new_tokens - generated() - 1);
  const auto drafts = drafter_.propose(sequence.tokens(), limit, cost, others);
  for (const TokenId token : drafts) sequence.append(token);
  const auto count = static_cast<std::int64_t>(drafts.size());
  result_.drafts.drafted += count;
  return count;
}

void Generation::advance(Sequence& sequence, const Tensor& logits) {
  const std::int64_t width = logits.dim(1);
  const std::int64_t drafts = logits.dim(0) - 1;
  std::int64_t length = sequence.length() - drafts;  // of the text that stands
  TokenId last = 0;
  try {
    for (std::int64_t row = 0; row <= drafts; ++row, ++length) {
      const auto history = std::span(sequence.tokens()).first(static_cast<std::size_t>(length));
      const auto row_logits =
          logits.as<float>().subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width));
      const auto mask = request_.grammar ? request_.grammar->mask(grammar_state_) : nullptr;
      SampledToken sampled = sampler_.sample(row_logits, history, generated(),
                                             mask ? std::span(*mask) : std::span<const std::uint64_t>());
      last = sampled.token;
      take(std::move(sampled), length + 1);
      const bool accepted = row < drafts && sequence.tokens()[static_cast<std::size_t>(length)] == last;
      result_.drafts.accepted += accepted ? 1 : 0;
      if (!accepted || finished_) break;
    }
  } catch (...) {
    sequence.truncate(length);
    throw;
  }
  sequence.truncate(length);
  sequence.append(last);
}

// `length`: of the sequence with this token.
void Generation::take(SampledToken token, std::int64_t length) {
  ++result_.usage.completion_tokens;
  // A grammar allows the end only where the text is complete, and nothing may follow it.
  const bool may_end = !request_.ignore_end_of_generation || request_.grammar;
  if (may_end && ends_generation(*loaded_, token.token)) return finish(FinishReason::end_of_generation);
  if (request_.grammar) grammar_state_ = request_.grammar->accept(grammar_state_, token.token);
  result_.tokens.push_back(token);
  if (output_.push(std::move(token))) return finish(FinishReason::stop);
  if (request_.grammar && request_.grammar->is_exhausted(grammar_state_)) return finish(FinishReason::stop);
  if (request_.max_new_tokens > 0 && generated() >= request_.max_new_tokens) {
    return finish(FinishReason::length);
  }
  if (length >= context_size_) finish(FinishReason::context_full);
}

void Generation::finish(FinishReason reason) {
  if (finished_) return;
  finished_ = true;
  result_.finish_reason = reason;
  output_.finish();
  if (!output_.matched_stop()) return;
  result_.stop = output_.matched_stop();
  result_.finish_reason = FinishReason::stop;
}

std::vector<GeneratedPiece> Generation::take_pieces() {
  std::vector<GeneratedPiece> pieces = output_.take_pieces();
  for (const GeneratedPiece& piece : pieces) result_.text += piece.text;
  return pieces;
}

}  // namespace tessera::engine
