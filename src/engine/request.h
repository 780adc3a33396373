// What is asked of the engine, and what it answers.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/token_id.h"
#include "engine/sampler.h"

namespace tessera::engine {

// Guesses checked several at a time; the text is the same, only sooner (Leviathan et al. 2023).
struct SpeculativeOptions {
  bool prompt_lookup = false;   // guess that the text goes on as it did where it last looked like this
  std::int64_t draft_max = 16;  // [1, kMostDraftTokens]; tokens guessed at once, at most
  double least_gain = 1.05;     // expected tokens over what they cost, below which nothing is guessed
};
inline constexpr std::int64_t kMostDraftTokens = 256;

class TokenGrammar;

struct Request {
  std::vector<TokenId> prompt = {};  // at least one token
  SamplingOptions sampling = {};
  std::int64_t max_new_tokens = -1;    // -1: until the context is full
  std::vector<std::string> stop = {};  // strings that end the text; not part of it
  bool ignore_end_of_generation = false;
  SpeculativeOptions speculative = {};
  std::shared_ptr<const TokenGrammar> grammar = {};  // the text follows it; its end ends the text
};

enum class FinishReason {
  end_of_generation,  // the model ended its text
  stop,               // a stop string, or the end of the grammar
  length,             // max_new_tokens
  context_full,       // no room for another token
  cancelled,
};
// "eos", "stop", "length", "context_full", "cancelled".
std::string_view finish_reason_name(FinishReason reason);

// Text that has become certain, and the tokens it was made of. A token whose text is still held back (an
// unfinished character, the beginning of a stop string) comes with a later piece.
struct GeneratedPiece {
  std::string text;
  std::vector<SampledToken> tokens;
};

struct Usage {
  std::int64_t prompt_tokens = 0;  // the whole prompt
  std::int64_t cached_tokens = 0;  // of those, found in the cache
  std::int64_t completion_tokens = 0;
};

// How far a prompt is computed.
struct PromptProgress {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of those, found in the cache
  std::int64_t done_tokens = 0;    // of those, computed or found
};

struct DraftCounts {
  std::int64_t drafted = 0;   // guessed tokens that were run through the model
  std::int64_t accepted = 0;  // of those, what the model said too
};

struct Timings {
  double queue_seconds = 0;         // before anything was computed
  double prefill_seconds = 0;       // until the first logits
  double decode_seconds = 0;        // from the first token on
  std::int64_t prefill_tokens = 0;  // computed, without the cached ones
  std::int64_t decode_tokens = 0;   // all but the first, which comes from the prefill
  double prefill_per_second() const {
    return prefill_seconds > 0 ? static_cast<double>(prefill_tokens) / prefill_seconds : 0;
  }
  double decode_per_second() const {
    return decode_seconds > 0 ? static_cast<double>(decode_tokens) / decode_seconds : 0;
  }
};

struct GenerationResult {
  std::string text;
  std::vector<SampledToken> tokens;
  FinishReason finish_reason = FinishReason::length;
  std::optional<std::string> stop;  // the stop string that was found
  Usage usage;
  DraftCounts drafts;
  Timings timings;
};

// Called in the generating thread after each token that made text certain, and once at the end if anything is
// left.
using PieceSink = std::function<void(const GeneratedPiece&)>;
// Set from any thread or signal handler; looked at before every forward pass.
using CancelFlag = std::atomic<bool>;

}  // namespace tessera::engine
