// What the linear kinds of attention share: from a layer's input and its projections to what the states of
// attention mix. Each kind is a file of its own beside this one; SelfAttention holds one instead of scores
// and a softmax. No rotation: order is in the state.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "nn/attention/attention_mechanism.h"
#include "nn/norm.h"

namespace tessera::nn {

// q [T, H, D], k and v [T, K, D] as the layer projects them.
struct ProjectedTokens {
  Tensor q, k, v;
};

class LinearMixer {
 public:
  virtual ~LinearMixer() = default;

  // x [T, C], the layer's input → [T, H, D]: what the layer's output projection gets.
  Tensor mix(int layer, const Tensor& x, const ProjectedTokens& projected, const RaggedBatch& batch,
             AttentionMechanism& attention) const;

  // Gates of a token and key/value head: 0, 1, or one for each of `head_dim` channels.
  virtual std::int64_t gate_dim(std::int64_t head_dim) const = 0;
  virtual bool normalized() const { return false; }

 private:
  virtual ops::LinearAttentionInputs inputs_of(const Tensor& x, const ProjectedTokens& projected) const = 0;
  // Of the queries.
  virtual float scale(std::int64_t head_dim) const;
  // Over D of what was mixed; null: none.
  virtual const RmsNorm* output_norm() const { return nullptr; }
};

// Floats of one sequence's state in one layer of K heads of width D.
std::int64_t state_floats(const LinearMixer& mixer, std::int64_t key_value_heads, std::int64_t head_dim);

}  // namespace tessera::nn
