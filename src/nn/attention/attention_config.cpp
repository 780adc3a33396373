#include "nn/attention/attention_config.h"

namespace tessera::nn {

void choose_patterns(const AttentionConfig& config, ops::AttentionParameters& parameters) {
  if (config.patterns.empty()) return;
  const AttentionPattern& first = config.patterns.front();
  if (config.patterns.size() == 1 && first.kind == PatternKind::sliding_window && first.causal) {
    parameters.sliding_window = first.window;  // which the cache's kernels know by themselves
    return;
  }
  parameters.sliding_window = 0;
  parameters.patterns = config.patterns;
}

}  // namespace tessera::nn
