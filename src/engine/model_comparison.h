// How far a quantised model is from its source on a text: the divergence of their next-token distributions,
// and the perplexity of both.
#pragma once
#include <cstdint>
#include <span>

#include "base/progress.h"
#include "base/token_id.h"
#include "models/model.h"

namespace tessera::engine {

struct ModelComparison {
  std::int64_t positions = 0;  // distributions compared
  double mean_divergence = 0;  // Kullback-Leibler, nats: sum p log(p / q), p the source's probabilities
  double median_divergence = 0;
  double p99_divergence = 0;  // 99 of 100 positions are at or below
  double largest_divergence = 0;
  double same_top_share = 0;     // positions where both find the same token the most likely
  double source_perplexity = 0;  // exp of the mean negative log likelihood of the text's next tokens
  double target_perplexity = 0;
};

// Runs both models over `tokens` in windows of `window` tokens, each begun afresh with float32 keys and
// values; every position that has a next token within its window counts. Reports the stage "compare" in
// tokens; what the sink throws passes through. Error bad_usage: fewer than 2 tokens, or a window below 2;
// bad_input: vocabularies of two sizes, or a token outside them.
ModelComparison compare_models(const models::Model& source, const models::Model& target,
                               std::span<const TokenId> tokens, std::int64_t window = 512,
                               const ProgressSink& progress = {});

}  // namespace tessera::engine
