// Rotary position embedding (Su et al. 2021) applied in place; frequencies (and their scaling) come from nn.
#pragma once
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace tessera::ops {

// half: pairs (i, i + R/2), Hugging Face; interleaved: pairs (2i, 2i + 1), GGUF llama's permuted q and k.
enum class RotaryLayout { half, interleaved };

// Rotates the first R = 2 * inverse_frequencies.size() elements of each head of x [T, heads, D] f32, R <= D.
// Angle of pair i at position p: p * inverse_frequencies[i]; cosine and sine are multiplied by `magnitude`
// (YaRN's attention factor; 1 otherwise).
void rotary_embedding(Tensor& x, std::span<const std::int32_t> positions,
                      std::span<const float> inverse_frequencies, RotaryLayout layout,
                      float magnitude = 1.0F);
// Both, with the angles of each position computed once.
void rotary_embedding(Tensor& q, Tensor& k, std::span<const std::int32_t> positions,
                      std::span<const float> inverse_frequencies, RotaryLayout layout,
                      float magnitude = 1.0F);

}  // namespace tessera::ops
