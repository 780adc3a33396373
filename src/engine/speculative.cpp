#include "engine/speculative.h"

#include <algorithm>

#include "base/error.h"

namespace tessera::engine {
namespace {

// The first estimate of VerificationCost: a pass of two or more tokens leaves the path made for one row, and
// every token adds arithmetic. The scale of it is learnt.
constexpr double kManyRows = 1.4;
constexpr double kEachToken = 0.15;
constexpr double kCostMemory = 1.0 / 16;

// How often a guess after a match of each of kMatchLengths is taken to be right before anything is known, and
// how many tries that counts for.
constexpr std::array<double, 8> kFirstRates{0.25, 0.4, 0.55, 0.65, 0.75, 0.82, 0.9, 0.95};
constexpr double kFirstTries = 4;
// Older tries than about this many are forgotten: a text changes.
constexpr double kMostTries = 48;

}  // namespace

void VerificationCost::observe(std::int64_t tokens, double seconds) {
  if (tokens == 1) {
    single_seconds_ += (single_seconds_ == 0 ? 1.0 : kCostMemory) * (seconds - single_seconds_);
  } else if (single_seconds_ > 0) {
    // Bounded, so that a pass that another program held up is not believed.
    const double seen = std::clamp(seconds / single_seconds_ / of(tokens), 0.5, 2.0);
    scale_ *= 1 + (seen - 1) * kCostMemory * 2;
  }
}

double VerificationCost::of(std::int64_t tokens) const {
  if (tokens <= 1) return 1;
  return std::max(1.0, scale_ * (kManyRows + kEachToken * static_cast<double>(tokens - 1)));
}

Drafter::Drafter(const SpeculativeOptions& options) : options_(options) {
  if (options.draft_max < 1 || options.draft_max > kMostDraftTokens) {
    fail(ErrorKind::bad_usage, "draft_max: expected 1 to {} tokens, found {}", kMostDraftTokens,
         options.draft_max);
  }
  for (std::size_t i = 0; i < hits_.size(); ++i) {
    hits_[i] = {.right = kFirstRates[i] * kFirstTries, .tried = kFirstTries};
  }
}

void Drafter::Hits::count(bool was_right) {
  if (tried >= kMostTries) {
    right /= 2;
    tried /= 2;
  }
  right += was_right ? 1 : 0;
  tried += 1;
}

Drafter::Hits& Drafter::hits_after(std::int64_t match_length) {
  std::size_t i = hits_.size() - 1;
  while (i > 0 && match_length < kMatchLengths[i]) --i;
  return hits_[i];
}

std::span<const TokenId> Drafter::propose(std::span<const TokenId> tokens, std::int64_t limit,
                                          const VerificationCost& cost, std::int64_t others) {
  if (!enabled()) return {};
  learn(tokens);
  lookup_.extend(tokens);
  guess(tokens);
  return std::span<const TokenId>(guess_).first(worthwhile(limit, cost, others));
}

void Drafter::learn(std::span<const TokenId> tokens) {
  const auto followed = tokens.subspan(std::min(guessed_at_, tokens.size()));
  for (std::size_t i = 0; i < std::min(followed.size(), guess_.size()); ++i) {
    const bool was_right = followed[i] == guess_[i];
    hits_after(match_length_ + static_cast<std::int64_t>(i)).count(was_right);
    if (!was_right) break;
  }
}

// What followed the last occurrence; where that reaches the end of the text it goes on with itself, as
// overlapping copies of LZ77 do.
void Drafter::guess(std::span<const TokenId> tokens) {
  guess_.clear();
  guessed_at_ = tokens.size();
  const PromptLookup::Match match = lookup_.find(tokens);
  match_length_ = match.length;
  if (match.length == 0) return;
  const auto next = static_cast<std::size_t>(match.next);
  for (std::size_t i = 0; i < static_cast<std::size_t>(options_.draft_max); ++i) {
    const std::size_t at = next + i;
    guess_.push_back(at < tokens.size() ? tokens[at] : guess_[at - tokens.size()]);
  }
}

// A pass over k guesses brings one token and each guess whose predecessors are all right.
std::size_t Drafter::worthwhile(std::int64_t limit, const VerificationCost& cost, std::int64_t others) {
  std::size_t best = 0;
  double best_gain = options_.least_gain;
  const double plain = static_cast<double>(others + 1) / cost.of(others + 1);  // tokens for a unit of time
  double tokens = static_cast<double>(others + 1);
  double all_right = 1;
  const auto most = std::min(guess_.size(), static_cast<std::size_t>(std::max<std::int64_t>(limit, 0)));
  for (std::size_t k = 1; k <= most; ++k) {
    all_right *= hits_after(match_length_ + static_cast<std::int64_t>(k) - 1).rate();
    tokens += all_right;
    const double gain = tokens / cost.of(others + 1 + static_cast<std::int64_t>(k)) / plain;
    if (gain <= best_gain) continue;
    best = k;
    best_gain = gain;
  }
  return best;
}

}  // namespace tessera::engine
