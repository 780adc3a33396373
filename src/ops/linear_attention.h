// The linear kinds of attention (linear, gated linear, delta rule, gated delta rule) over a ragged batch, on
// the batch's own tokens (training, with gradients) and on states that the engine keeps. The mathematics:
// docs/attention/linear.md, gated_linear.md, delta_rule.md.
#pragma once
#include <cstdint>

#include "tensor/ragged_batch.h"
#include "tensor/tensor.h"

namespace tessera::ops {

// What tokens say in one layer; query head h belongs to key/value head h / (H / K).
struct LinearAttentionInputs {
  Tensor q;          // [T, H, Dk] f32; of linear attention the features phi(q)
  Tensor k;          // [T, K, Dk]; likewise; of the delta rule rows of length 1
  Tensor v;          // [T, K, Dv]
  Tensor log_gates;  // at most 0: [T, K, Dk] a gate a channel, [T, K] one for all, undefined: nothing fades
  Tensor betas;      // [T, K] of the delta rule; undefined: what a key recalls is not taken back
};

struct LinearAttentionParameters {
  float scale = 1.0F;       // of the queries
  bool normalized = false;  // divided by phi(q) . sum of phi(k), plus 1e-6
};

// Floats of one sequence's state in one layer. gate_dim: Dk, 1, or 0 as log_gates has them.
std::int64_t linear_state_floats(std::int64_t key_value_heads, std::int64_t key_dim, std::int64_t value_dim,
                                 std::int64_t gate_dim, bool normalized);

// Each sequence of the batch on its own tokens, without a past → [T, H, Dv] f32. Bit-identical on any number
// of threads.
Tensor linear_attention(const LinearAttentionInputs& inputs, const RaggedBatch& batch,
                        const LinearAttentionParameters& parameters);
// Each sequence goes on from the state in its slot, batch.state_slots, and leaves its own there; at position
// 0 the state begins empty. The same bits as without states, however a text is cut into batches. No gradient.
Tensor linear_attention(const LinearAttentionInputs& inputs, const RaggedBatch& batch,
                        const LinearAttentionParameters& parameters, const LinearStateLayer& states);

}  // namespace tessera::ops
