#include "engine/model_comparison.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "engine/key_value_cache.h"
#include "engine/model_runner.h"
#include "engine/sequence.h"

namespace tessera::engine {
namespace {

// Logits of so many positions are held at once for each model: 64 rows of a large vocabulary are tens of
// megabytes.
constexpr std::int64_t kRowsAtOnce = 64;

// One model with a cache for one window.
class Side {
 public:
  Side(const models::Model& model, std::int64_t window)
      : cache_(model.config().layers, {.tokens = window, .key_dtype = DType::f32, .value_dtype = DType::f32}),
        runner_(model, cache_) {}

  void begin(std::span<const TokenId> tokens) {
    sequence_.truncate(0);
    for (const TokenId token : tokens) sequence_.append(token);
  }
  // The logits of the next `count` tokens [count, V].
  Tensor advance(std::int64_t count) {
    const SequenceStep step{&sequence_, count, count};
    return runner_.run({&step, 1});
  }

 private:
  KeyValueCache cache_;
  ModelRunner runner_;
  Sequence sequence_{cache_.block_manager()};
};

// log of the sum of exp(logits), in float64.
double log_sum(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum);
}

struct Tally {
  std::vector<double> divergences;
  std::int64_t same_top = 0;
  double source_loss = 0;
  double target_loss = 0;

  void add(std::span<const float> p, std::span<const float> q, TokenId next) {
    const double p_sum = log_sum(p);
    const double q_sum = log_sum(q);
    double divergence = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double log_p = double{p[i]} - p_sum;
      divergence += std::exp(log_p) * (log_p - (double{q[i]} - q_sum));
    }
    divergences.push_back(std::max(divergence, 0.0));  // below zero is rounding alone
    if (std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin()) ++same_top;
    source_loss += p_sum - double{p[static_cast<std::size_t>(next)]};
    target_loss += q_sum - double{q[static_cast<std::size_t>(next)]};
  }

  ModelComparison summary() {
    std::ranges::sort(divergences);
    const auto count = static_cast<double>(divergences.size());
    const auto at_share = [&](double share) {  // the smallest value that `share` of all are at or below
      const auto rank = static_cast<std::size_t>(std::ceil(share * count));
      return divergences[std::max<std::size_t>(rank, 1) - 1];
    };
    ModelComparison result;
    result.positions = static_cast<std::int64_t>(divergences.size());
    for (const double divergence : divergences) result.mean_divergence += divergence / count;
    result.median_divergence = at_share(0.5);
    result.p99_divergence = at_share(0.99);
    result.largest_divergence = divergences.back();
    result.same_top_share = static_cast<double>(same_top) / count;
    result.source_perplexity = std::exp(source_loss / count);
    result.target_perplexity = std::exp(target_loss / count);
    return result;
  }
};

void check(const models::Model& source, const models::Model& target, std::span<const TokenId> tokens,
           std::int64_t window) {
  const std::int64_t vocabulary = source.config().vocab_size;
  if (target.config().vocab_size != vocabulary) {
    fail(ErrorKind::bad_input, "expected a vocabulary of {} tokens as the source has, found {}", vocabulary,
         target.config().vocab_size);
  }
  if (tokens.size() < 2)
    fail(ErrorKind::bad_usage, "the text has {} tokens; expected at least 2", tokens.size());
  if (window < 2) fail(ErrorKind::bad_usage, "window: expected at least 2 tokens, found {}", window);
  for (const TokenId token : tokens) {
    if (token < 0 || token >= vocabulary) {
      fail(ErrorKind::bad_input, "expected token ids below {}, found {}", vocabulary, token);
    }
  }
}

}  // namespace

ModelComparison compare_models(const models::Model& source, const models::Model& target,
                               std::span<const TokenId> tokens, std::int64_t window,
                               const ProgressSink& progress) {
  check(source, target, tokens, window);
  const auto start = std::chrono::steady_clock::now();
  Progress record;
  record.stage = "compare";
  record.total = tokens.size();
  record.unit = "tokens";
  const auto length = static_cast<std::int64_t>(tokens.size());
  Side p(source, std::min(window, length));
  Side q(target, std::min(window, length));
  Tally tally;
  for (std::int64_t begin = 0; begin + 1 < length; begin += window) {
    const auto text = tokens.subspan(static_cast<std::size_t>(begin),
                                     static_cast<std::size_t>(std::min(window, length - begin)));
    p.begin(text);
    q.begin(text);
    const auto last = static_cast<std::int64_t>(text.size()) - 1;  // has no next token
    for (std::int64_t at = 0; at < last; at += kRowsAtOnce) {
      const std::int64_t rows = std::min(kRowsAtOnce, last - at);
      const Tensor p_logits = p.advance(rows);
      const Tensor q_logits = q.advance(rows);
      for (std::int64_t row = 0; row < rows; ++row) {
        tally.add(p_logits.rows(row, row + 1).as<float>(), q_logits.rows(row, row + 1).as<float>(),
                  text[static_cast<std::size_t>(at + row + 1)]);
      }
      record.done = static_cast<std::uint64_t>(begin + at + rows);
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (record.seconds > 0) record.per_second = static_cast<double>(record.done) / record.seconds;
      if (progress) progress(record);
    }
  }
  record.done = record.total;
  record.finished = true;
  if (progress) progress(record);
  return tally.summary();
}

}  // namespace tessera::engine
