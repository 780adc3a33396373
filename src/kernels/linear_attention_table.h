// The kernels of the linear kinds of attention (linear, gated linear, delta rule, gated delta rule), forward
// and backward in chunks of kLinearChunk tokens, as function pointers of one instruction set. What they
// compute is specified by kernels/ref/linear_attention.h, gated_linear_attention.h, delta_rule.h and
// linear_attention_gradient.h.
#pragma once
#include <cstdint>

#include "base/cpu_features.h"
#include "tensor/ragged_batch.h"

namespace tessera::kernels {

// Floats are kept in rows of whole vectors of every instruction set.
constexpr std::int64_t padded_width(std::int64_t width) { return (width + 15) / 16 * 16; }

// What one head keeps of a sequence: the matrix S [P(key_dim), W] as it was at the border of the chunk, and
// of the chunk's tokens so far the keys [kLinearChunk, P(key_dim)], what each wrote [kLinearChunk, W] and the
// running sums of the log gates [kLinearChunk, gate_dim]; P rounds up to 16, W is P(value_dim), or with the
// normalizer P(value_dim + 1). All zero before the first token. Tokens of the chunk can be taken back by
// going on from an earlier position.
struct LinearStateShape {
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t gate_dim = 0;  // 0: none; 1: one for all channels; key_dim: one for each
  bool normalized = false;

  constexpr std::int64_t key_width() const { return padded_width(key_dim); }
  constexpr std::int64_t value_width() const { return padded_width(value_dim + (normalized ? 1 : 0)); }
  constexpr std::int64_t gate_width() const { return gate_dim > 1 ? key_width() : gate_dim; }
  constexpr std::int64_t matrix_floats() const { return key_width() * value_width(); }
  constexpr std::int64_t floats() const {
    return matrix_floats() + kLinearChunk * (key_width() + value_width() + gate_width());
  }
};

// One sequence and one key/value head, with the group_size query heads that share it. Token t of head g of
// the queries is at query + t * query_stride + g * key_dim; of outputs at output + t * output_stride + g *
// value_dim. Gradients are laid out like what they belong to.
struct LinearAttentionArguments {
  LinearStateShape shape;
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  const float* log_gate = nullptr;  // [t * gate_stride + d], at most 0; null when shape.gate_dim is 0
  const float* beta = nullptr;      // [t * beta_stride]; null: no delta rule
  float* output = nullptr;
  float* normalizer = nullptr;  // normalized: what each output was divided by, [t * normalizer_stride + g]
  std::int64_t query_stride = 0;
  std::int64_t key_stride = 0;
  std::int64_t value_stride = 0;
  std::int64_t gate_stride = 0;
  std::int64_t beta_stride = 0;
  std::int64_t output_stride = 0;
  std::int64_t normalizer_stride = 0;
  std::int64_t tokens = 0;
  std::int64_t group_size = 1;
  float scale = 1.0F;  // of the queries
  // The forward alone: what is remembered, and the position of the first token; null: nothing came before
  // and nothing is kept.
  float* state = nullptr;
  std::int64_t position = 0;
  // The backward alone, which begins without a past: all are written.
  const float* doutput = nullptr;
  float* dquery = nullptr;
  float* dkey = nullptr;
  float* dvalue = nullptr;
  float* dlog_gate = nullptr;
  float* dbeta = nullptr;
};
using LinearAttentionKernel = void (*)(const LinearAttentionArguments&);

// Divides by the normalizer plus this, so that an empty sum divides nothing by zero.
inline constexpr float kLinearEpsilon = 1e-6F;

struct LinearAttentionTable {
  Isa isa = Isa::scalar;
  LinearAttentionKernel forward = nullptr;
  LinearAttentionKernel backward = nullptr;
};

// The table of one ISA. Error bad_usage when this CPU lacks it.
const LinearAttentionTable& linear_attention_table(Isa isa);
// The table in use: selected_isa() at first use.
const LinearAttentionTable& active_linear_attention();

}  // namespace tessera::kernels
