// How well a model predicts a text: exp of the mean negative log likelihood of its tokens, in overlapping
// windows.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "base/token_id.h"
#include "engine/generator.h"

namespace tessera::engine {

struct PerplexityOptions {
  std::int64_t window = 512;  // tokens a window, at most the context
  std::int64_t stride =
      256;  // tokens from one window to the next; each window scores what the ones before did not
};

// After each window; over all tokens scored so far.
struct PerplexityProgress {
  std::int64_t windows_done = 0;
  std::int64_t windows = 0;
  std::int64_t tokens_scored = 0;
  double perplexity = 0;
  double standard_error = 0;  // of the perplexity: that of the mean log likelihood, times the perplexity
  double seconds = 0;
};

// The strided evaluation of Hugging Face's guide "Perplexity of fixed-length models", with every token
// weighted alike. The first token of the text is given, not scored. Returns the last progress. Error
// bad_usage: window, stride or text too small or too large; cancelled.
PerplexityProgress measure_perplexity(Generator& generator, std::span<const TokenId> tokens,
                                      const PerplexityOptions& options,
                                      const std::function<void(const PerplexityProgress&)>& on_window = {},
                                      const CancelFlag* cancel = nullptr);

// Natural logarithm of the softmax probability of `token` under `logits`, in float64.
double log_likelihood(std::span<const float> logits, TokenId token);

}  // namespace tessera::engine
