#include "engine/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"

namespace tessera::engine {
namespace {

// Logits of so many positions are held at once: 64 rows of a large vocabulary are tens of megabytes.
constexpr std::int64_t kRowsAtOnce = 64;

// Mean and spread without storing the values (Welford 1962).
struct RunningMean {
  std::int64_t count = 0;
  double mean = 0;
  double squares = 0;

  void add(double value) {
    ++count;
    const double delta = value - mean;
    mean += delta / static_cast<double>(count);
    squares += delta * (value - mean);
  }
  double standard_error() const {
    if (count < 2) return 0;
    const auto n = static_cast<double>(count);
    return std::sqrt(squares / (n - 1) / n);
  }
};

void check(const PerplexityOptions& options, std::int64_t tokens, std::int64_t context_size) {
  if (options.window < 2 || options.window > context_size) {
    fail(ErrorKind::bad_usage, "window: expected 2 to {} tokens, found {}", context_size, options.window);
  }
  if (options.stride < 1 || options.stride >= options.window) {
    fail(ErrorKind::bad_usage, "stride: expected 1 to {} tokens, less than the window, found {}",
         options.window - 1, options.stride);
  }
  if (tokens < 2) fail(ErrorKind::bad_usage, "the text has {} tokens; expected at least 2", tokens);
}

// Scores tokens [first_scored, end of the window) of one window.
void score_window(Generator& generator, std::span<const TokenId> window, std::int64_t first_scored,
                  RunningMean& sum, const CancelFlag* cancel) {
  Sequence sequence = generator.new_sequence();
  for (const TokenId token : window) sequence.append(token);
  // The row at position p predicts token p + 1, so the last token need not be computed.
  const std::int64_t end = sequence.length() - 1;
  while (sequence.cached() < end) {
    if (cancel != nullptr && cancel->load()) fail(ErrorKind::cancelled, "stopped");
    const std::int64_t begin = sequence.cached();
    const std::int64_t count = std::min(kRowsAtOnce, end - begin);
    const std::int64_t rows = std::clamp(begin + count - (first_scored - 1), std::int64_t{0}, count);
    const SequenceStep step{&sequence, count, rows};
    const Tensor logits = generator.runner().run({&step, 1});
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t predicted = begin + count - rows + row + 1;
      sum.add(-log_likelihood(logits.rows(row, row + 1).as<float>(),
                              window[static_cast<std::size_t>(predicted)]));
    }
  }
}

}  // namespace

double log_likelihood(std::span<const float> logits, TokenId token) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return double{logits[static_cast<std::size_t>(token)]} - largest - std::log(sum);
}

PerplexityProgress measure_perplexity(Generator& generator, std::span<const TokenId> tokens,
                                      const PerplexityOptions& options,
                                      const std::function<void(const PerplexityProgress&)>& on_window,
                                      const CancelFlag* cancel) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  check(options, length, generator.context_size());
  const auto start = std::chrono::steady_clock::now();
  PerplexityProgress progress;
  progress.windows =
      1 + std::max<std::int64_t>(0, (length - options.window + options.stride - 1) / options.stride);
  RunningMean sum;
  std::int64_t scored_to = 1;
  for (std::int64_t begin = 0; scored_to < length; begin += options.stride) {
    const std::int64_t end = std::min(begin + options.window, length);
    const auto window =
        tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    score_window(generator, window, scored_to - begin, sum, cancel);
    scored_to = end;
    ++progress.windows_done;
    progress.tokens_scored = sum.count;
    progress.perplexity = std::exp(sum.mean);
    progress.standard_error = progress.perplexity * sum.standard_error();
    progress.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (on_window) on_window(progress);
  }
  return progress;
}

}  // namespace tessera::engine
