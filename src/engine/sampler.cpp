#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void check_range(std::string_view field, double value, double low, double high, bool low_is_in = true) {
  const bool inside = (low_is_in ? value >= low : value > low) && value <= high;  // false for NaN
  if (!inside) {
    fail(ErrorKind::bad_usage, "{}: expected a number in {}{}, {}], found {}", field, low_is_in ? '[' : '(',
         low, high, value);
  }
}

// Most probable first; the lower id on a tie.
constexpr auto kBetter = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

}  // namespace

void check(const SamplingOptions& options, std::int64_t vocabulary_size) {
  check_range("temperature", options.temperature, 0, 100);
  check_range("top_k", static_cast<double>(options.top_k), 0, 1e9);
  check_range("top_p", options.top_p, 0, 1, false);
  check_range("min_p", options.min_p, 0, 1);
  check_range("typical_p", options.typical_p, 0, 1, false);
  check_range("repetition_penalty", options.repetition_penalty, 0, 100, false);
  check_range("presence_penalty", options.presence_penalty, -100, 100);
  check_range("frequency_penalty", options.frequency_penalty, -100, 100);
  check_range("penalty_window", static_cast<double>(options.penalty_window), -1, 1e9);
  check_range("logprobs", static_cast<double>(options.logprobs), -1, 1000);
  for (const auto& [token, bias] : options.logit_bias) {
    if (token < 0 || token >= vocabulary_size) {
      fail(ErrorKind::bad_usage, "logit_bias: expected a token id in [0, {}), found {}", vocabulary_size,
           token);
    }
    if (std::isnan(bias) || bias == kInfinity) {
      fail(ErrorKind::bad_usage, "logit_bias: expected a finite number or -inf for token {}, found {}", token,
           bias);
    }
  }
}

RandomBits::RandomBits(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {  // splitmix64 (Steele et al. 2014)
    seed += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    word = mixed ^ (mixed >> 31);
  }
}

std::uint64_t RandomBits::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

Sampler::Sampler(SamplingOptions options, std::int64_t vocabulary_size)
    : options_(std::move(options)), vocabulary_size_(vocabulary_size), random_(options_.seed) {
  check(options_, vocabulary_size_);
}

SampledToken Sampler::sample(std::span<const float> logits, std::span<const TokenId> history,
                             std::int64_t generated, std::span<const std::uint64_t> allowed) {
  logits = logits.first(static_cast<std::size_t>(vocabulary_size_));
  SampledToken sampled;
  if (options_.temperature == 0.0F) {
    sampled.token = most_probable(
        adjusts_logits() || !allowed.empty() ? adjusted(logits, history, generated, allowed) : logits);
  } else {
    filter(adjusted(logits, history, generated, allowed));
    sampled.token = draw();
  }
  if (options_.logprobs >= 0) add_logprobs(logits, sampled);
  return sampled;
}

std::vector<std::pair<TokenId, double>> Sampler::distribution(std::span<const float> logits,
                                                              std::span<const TokenId> history,
                                                              std::int64_t generated) {
  logits = adjusted(logits.first(static_cast<std::size_t>(vocabulary_size_)), history, generated);
  if (options_.temperature == 0.0F) return {{most_probable(logits), 1.0}};
  filter(logits);
  std::ranges::sort(candidates_, kBetter);
  std::vector<std::pair<TokenId, double>> result;
  for (const Candidate& candidate : candidates_) result.emplace_back(candidate.token, candidate.probability);
  return result;
}

bool Sampler::adjusts_logits() const {
  return !options_.logit_bias.empty() || options_.repetition_penalty != 1.0F ||
         options_.presence_penalty != 0.0F || options_.frequency_penalty != 0.0F;
}

TokenId Sampler::most_probable(std::span<const float> logits) {
  float best = -kInfinity;
  std::size_t at = logits.size();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > best) {  // false for NaN
      best = logits[i];
      at = i;
    }
  }
  if (at == logits.size())
    fail(ErrorKind::internal, "sampler: none of {} logits is above -infinity", logits.size());
  return static_cast<TokenId>(at);
}

std::span<const float> Sampler::adjusted(std::span<const float> logits, std::span<const TokenId> history,
                                         std::int64_t generated, std::span<const std::uint64_t> allowed) {
  logits_.assign(logits.begin(), logits.end());
  if (!allowed.empty()) {
    for (std::size_t i = 0; i < logits_.size(); ++i) {
      if ((allowed[i / 64] >> (i % 64) & 1U) == 0) logits_[i] = -kInfinity;
    }
  }
  for (const auto& [token, bias] : options_.logit_bias) logits_[static_cast<std::size_t>(token)] += bias;
  if (options_.penalty_window >= 0 && std::cmp_less(options_.penalty_window, history.size())) {
    history = history.last(static_cast<std::size_t>(options_.penalty_window));
  }
  if (options_.repetition_penalty != 1.0F) penalize_repetition(history);
  const auto own = std::min(static_cast<std::size_t>(std::max<std::int64_t>(generated, 0)), history.size());
  if (options_.presence_penalty != 0.0F || options_.frequency_penalty != 0.0F)
    penalize_presence(history.last(own));
  return logits_;
}

void Sampler::penalize_repetition(std::span<const TokenId> history) {
  counts_.resize(logits_.size(), 0);
  for (const TokenId token : history) {
    if (std::cmp_greater_equal(token, logits_.size()) || counts_[static_cast<std::size_t>(token)]++ > 0)
      continue;
    float& logit = logits_[static_cast<std::size_t>(token)];
    logit = logit < 0 ? logit * options_.repetition_penalty : logit / options_.repetition_penalty;
  }
  clear_counts(history);
}

void Sampler::penalize_presence(std::span<const TokenId> history) {
  counts_.resize(logits_.size(), 0);
  for (const TokenId token : history) {
    if (std::cmp_greater_equal(token, logits_.size())) continue;
    float& logit = logits_[static_cast<std::size_t>(token)];
    if (counts_[static_cast<std::size_t>(token)]++ == 0) logit -= options_.presence_penalty;
    logit -= options_.frequency_penalty;
  }
  clear_counts(history);
}

void Sampler::clear_counts(std::span<const TokenId> history) {
  for (const TokenId token : history) {
    if (std::cmp_less(token, counts_.size())) counts_[static_cast<std::size_t>(token)] = 0;
  }
}

void Sampler::filter(std::span<const float> logits) {
  collect_candidates(logits);
  normalize();
  if (options_.top_p < 1.0F) keep_top_p();
  if (options_.min_p > 0.0F) keep_min_p();
  if (options_.typical_p < 1.0F) keep_typical();
}

// Applies temperature and top-k together: the k best are the same before and after dividing by the
// temperature, and differences to the best logit cannot overflow however small the temperature is.
void Sampler::collect_candidates(std::span<const float> logits) {
  candidates_.clear();
  const auto size = logits.size();
  const std::size_t keep =
      options_.top_k > 0 ? std::min(static_cast<std::size_t>(options_.top_k), size) : size;
  const bool select = keep < size;
  for (std::size_t i = 0; i < size; ++i) {
    if (!(logits[i] > -kInfinity)) continue;  // also NaN
    const Candidate candidate{.token = static_cast<TokenId>(i), .logit = logits[i]};
    if (!select) {
      candidates_.push_back(candidate);
    } else if (candidates_.size() < keep) {
      candidates_.push_back(candidate);
      std::ranges::push_heap(candidates_, kBetter);  // the worst of those kept is at the front
    } else if (kBetter(candidate, candidates_.front())) {
      std::ranges::pop_heap(candidates_, kBetter);
      candidates_.back() = candidate;
      std::ranges::push_heap(candidates_, kBetter);
    }
  }
  if (candidates_.empty()) fail(ErrorKind::internal, "sampler: none of {} logits is above -infinity", size);
  if (select) std::ranges::sort(candidates_, kBetter);
  const double best = std::ranges::min_element(candidates_, kBetter)->logit;
  for (Candidate& candidate : candidates_) {  // infinity - infinity would be NaN
    candidate.logit = candidate.logit == best ? 0.0 : (candidate.logit - best) / double{options_.temperature};
  }
}

// Softmax over the candidates, summed in their order: by id, or most probable first once they are sorted.
void Sampler::normalize() {
  double sum = 0;
  for (Candidate& candidate : candidates_) sum += candidate.probability = std::exp(candidate.logit);
  for (Candidate& candidate : candidates_) candidate.probability /= sum;
}

// Sorts ever more of the front until it holds the set: sorting a whole vocabulary would cost more than a
// small model's forward pass.
void Sampler::keep_top_p() {
  std::size_t sorted = 0;
  double mass = 0;  // of the candidates before the one looked at
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(candidates_.size(), std::max<std::size_t>(64, sorted * 4));
      const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(i);
      std::partial_sort(from, candidates_.begin() + static_cast<std::ptrdiff_t>(sorted), candidates_.end(),
                        kBetter);
    }
    if (i > 0 && mass >= double{options_.top_p}) {
      candidates_.resize(i);
      break;
    }
    mass += candidates_[i].probability;
  }
  normalize();
}

void Sampler::keep_min_p() {
  const double best = std::ranges::min_element(candidates_, kBetter)->probability;
  std::erase_if(candidates_,
                [&](const Candidate& c) { return c.probability < best * double{options_.min_p}; });
  normalize();
}

// Tokens whose surprise is nearest to the expected one, until their mass is reached; at least one.
void Sampler::keep_typical() {
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
  }
  for (Candidate& c : candidates_) c.distance = std::abs(-std::log(c.probability) - entropy);
  std::ranges::sort(candidates_, [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.token < b.token;
  });
  double mass = 0;
  std::size_t count = 0;
  while (count < candidates_.size() && (count == 0 || mass < double{options_.typical_p})) {
    mass += candidates_[count++].probability;
  }
  candidates_.resize(count);
  std::ranges::sort(candidates_, kBetter);
  normalize();
}

TokenId Sampler::draw() {
  const double wanted = random_.uniform();
  double mass = 0;
  for (const Candidate& candidate : candidates_) {
    mass += candidate.probability;
    if (wanted < mass) return candidate.token;
  }
  return std::ranges::min_element(candidates_, kBetter)->token;  // the sum was rounded below 1
}

void Sampler::add_logprobs(std::span<const float> logits, SampledToken& sampled) const {
  const float best = logits[static_cast<std::size_t>(most_probable(logits))];
  double sum = 0;
  for (const float logit : logits) {
    if (logit > -kInfinity) sum += logit == best ? 1.0 : std::exp(double{logit} - double{best});
  }
  const auto logprob = [&](float logit) {
    return logit == best ? static_cast<float>(-std::log(sum))
                         : static_cast<float>(double{logit} - double{best} - std::log(sum));
  };
  sampled.logprob = logprob(logits[static_cast<std::size_t>(sampled.token)]);
  struct Scored {
    float logit;
    TokenId token;
  };
  std::vector<Scored> top;
  const auto keep = static_cast<std::size_t>(std::min<std::int64_t>(options_.logprobs, vocabulary_size_));
  for (std::size_t i = 0; keep > 0 && i < logits.size(); ++i) {
    const Scored scored{logits[i], static_cast<TokenId>(i)};
    if (!(scored.logit > -kInfinity)) continue;
    if (top.size() == keep && !kBetter(scored, top.front())) continue;
    if (top.size() == keep) {
      std::ranges::pop_heap(top, kBetter);
      top.pop_back();
    }
    top.push_back(scored);
    std::ranges::push_heap(top, kBetter);
  }
  std::ranges::sort(top, kBetter);
  for (const Scored& scored : top) sampled.top.push_back({scored.token, logprob(scored.logit)});
}

}  // namespace tessera::engine
