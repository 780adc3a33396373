// Which attention mechanism a layer has, and its settings: what a model's configuration says, and what the
// factory makes a mechanism of.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/attention.h"
#include "tensor/attention_pattern.h"

namespace tessera::nn {

// Dense and flash are the same function; flash is how it is computed when nothing else is asked for.
enum class AttentionKind : std::uint8_t {
  flash,
  dense,
  sliding_window,
  sparse_local,
  sparse_strided,
  sparse_fixed,
  sparse_heads,  // the three before by turns, head after head
  bigbird,
  linear,  // the linear kinds: nn/attention/linear_mixer.h
  gated_linear,
  delta_rule,
  gated_delta_rule,
};

struct AttentionConfig {
  AttentionKind kind = AttentionKind::flash;
  std::vector<AttentionPattern> patterns = {};  // from sliding_window on: of the query heads in turn
  friend bool operator==(const AttentionConfig&, const AttentionConfig&) = default;
};

// What a mechanism on the paged cache must know of a layer's patterns; those without leave it as it is.
void choose_patterns(const AttentionConfig& config, ops::AttentionParameters& parameters);

}  // namespace tessera::nn
