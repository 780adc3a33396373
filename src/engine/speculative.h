// Decides what to guess ahead of the model and how much of it is worth checking. Guesses come from
// prompt_lookup; whether they are right is the model's to say (engine/generation.h), so they change the speed
// alone.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "engine/prompt_lookup.h"
#include "engine/request.h"

namespace tessera::engine {

// What a forward pass over several tokens of a sequence costs, in passes over one: learnt from the passes as
// they come.
class VerificationCost {
 public:
  // A pass over `tokens` tokens of one sequence took so long.
  void observe(std::int64_t tokens, double seconds);
  double of(std::int64_t tokens) const;

 private:
  double single_seconds_ = 0;  // moving average; 0: none seen
  double scale_ = 1.0;         // what was seen, over what of() assumes at first
};

class Drafter {
 public:
  // Error bad_usage: draft_max outside its range.
  explicit Drafter(const SpeculativeOptions& options);

  bool enabled() const { return options_.prompt_lookup; }
  // Tokens that may follow `tokens`, at most `limit`: as many as make the time for each token least, often
  // none. `tokens` must begin with those of the call before: what followed them is what is learnt from, also
  // when nothing was drafted, so that watching costs nothing and text that begins to repeat itself is
  // noticed. `others` sequences have a row each in the same pass. The span lives until the next call.
  std::span<const TokenId> propose(std::span<const TokenId> tokens, std::int64_t limit,
                                   const VerificationCost& cost, std::int64_t others = 0);

 private:
  // How often the first guess after a match of such a length was right.
  struct Hits {
    double right = 0;
    double tried = 0;
    double rate() const { return right / tried; }
    void count(bool was_right);
  };
  static constexpr std::array<std::int64_t, 8> kMatchLengths{2, 3, 4, 6, 8, 12, 16, 32};

  Hits& hits_after(std::int64_t match_length);
  void learn(std::span<const TokenId> tokens);
  void guess(std::span<const TokenId> tokens);
  std::size_t worthwhile(std::int64_t limit, const VerificationCost& cost, std::int64_t others);

  SpeculativeOptions options_;
  PromptLookup lookup_;
  std::array<Hits, kMatchLengths.size()> hits_;
  std::vector<TokenId> guess_;     // after the tokens of the last call
  std::size_t guessed_at_ = 0;     // how many those were
  std::int64_t match_length_ = 0;  // of the match behind the guess
};

}  // namespace tessera::engine
