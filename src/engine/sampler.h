// Chooses the next token from logits: penalties and filters in Hugging Face's order, then one draw of our own
// random numbers, so that the same seed gives the same text on every platform.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/token_id.h"

namespace tessera::engine {

// The defaults leave the model's distribution as it is.
struct SamplingOptions {
  float temperature = 1.0F;  // [0, 100]; 0: greedy, the most probable token (lowest id on a tie)
  std::int64_t top_k = 0;    // >= 0; keep the k most probable; 0: all
  float top_p = 1.0F;        // (0, 1]; smallest set with at least this probability (Holtzman et al. 2020)
  float min_p = 0.0F;        // [0, 1]; drop what is less probable than this share of the best
  float typical_p = 1.0F;    // (0, 1]; locally typical set of this mass (Meister et al. 2022)
  float repetition_penalty =
      1.0F;  // (0, 100]; logits of seen tokens / p if positive, * p if negative (Keskar 2019)
  float presence_penalty = 0.0F;     // [-100, 100]; subtracted once from generated tokens' logits (OpenAI)
  float frequency_penalty = 0.0F;    // [-100, 100]; subtracted for each time a token was generated (OpenAI)
  std::int64_t penalty_window = -1;  // the last tokens that penalties look at; -1: all; 0: none
  std::uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias = {};  // added to the logits first; -infinity forbids
  std::int64_t logprobs = -1;  // -1: none; K: log probabilities of the chosen and of the K best tokens
};

// Error bad_usage naming the first field outside the range given above (NaN is outside every range), or a
// logit_bias id outside [0, vocabulary_size).
void check(const SamplingOptions& options, std::int64_t vocabulary_size);

struct TokenLogprob {
  TokenId token = 0;
  float logprob =
      0;  // natural logarithm, of the model's own distribution (before penalties, temperature, filters)
};

struct SampledToken {
  TokenId token = 0;
  float logprob = 0;                   // filled when logprobs >= 0
  std::vector<TokenLogprob> top = {};  // the K best, best first
};

// xoshiro256** (Blackman & Vigna 2018), seeded by splitmix64: 64 bits a call, the same everywhere.
class RandomBits {
 public:
  explicit RandomBits(std::uint64_t seed);
  std::uint64_t next();
  // Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_[4];
};

class Sampler {
 public:
  // Calls check().
  Sampler(SamplingOptions options, std::int64_t vocabulary_size);

  // logits [V]; `history`: all tokens so far, of which the last `generated` were made by the model. NaN
  // counts as -infinity. `allowed`: a bit for each token that may be chosen; none given, all may. Error
  // internal when no token is left with a finite probability.
  SampledToken sample(std::span<const float> logits, std::span<const TokenId> history, std::int64_t generated,
                      std::span<const std::uint64_t> allowed = {});

  // The distribution that sample() draws from: (token, probability), most probable first. For tests and
  // inspection.
  std::vector<std::pair<TokenId, double>> distribution(std::span<const float> logits,
                                                       std::span<const TokenId> history,
                                                       std::int64_t generated);

 private:
  struct Candidate {
    TokenId token = 0;
    double logit = 0;  // later: (logit - best) / temperature
    double probability = 0;
    double distance = 0;  // of its surprise from the expected one, for keep_typical()
  };
  // The logits after bias and penalties, in Hugging Face's order: bias, repetition; then presence and
  // frequency.
  std::span<const float> adjusted(std::span<const float> logits, std::span<const TokenId> history,
                                  std::int64_t generated, std::span<const std::uint64_t> allowed = {});
  bool adjusts_logits() const;
  void penalize_repetition(std::span<const TokenId> history);
  void penalize_presence(std::span<const TokenId> history);
  void clear_counts(std::span<const TokenId> history);
  static TokenId most_probable(std::span<const float> logits);
  // Temperature, top-k, top-p, min-p, typical, each on what the one before left, renormalised: Hugging Face's
  // order. One difference: of tokens that tie at the border of top-k exactly k stay, the lowest ids.
  void filter(std::span<const float> logits);
  void collect_candidates(std::span<const float> logits);
  void normalize();
  void keep_top_p();
  void keep_min_p();
  void keep_typical();
  TokenId draw();
  void add_logprobs(std::span<const float> logits, SampledToken& sampled) const;

  SamplingOptions options_;
  std::int64_t vocabulary_size_;
  RandomBits random_;
  std::vector<float> logits_;         // [V] after bias and penalties
  std::vector<std::int32_t> counts_;  // [V] scratch, zero between calls
  std::vector<Candidate> candidates_;
};

}  // namespace tessera::engine
