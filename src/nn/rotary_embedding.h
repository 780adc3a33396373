// Rotary position embedding (Su et al. 2021) and the ways in which models stretch it beyond their trained
// context. This file turns a model's rope configuration into frequencies; ops/rotary_embedding applies them.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ops/rotary_embedding.h"
#include "tensor/tensor.h"

namespace tessera::nn {

// Hugging Face's rope_type.
//   none      theta_i = theta^(-2i/R)
//   linear    positions divided by `factor` (Chen et al. 2023)
//   dynamic   theta grows with the position once it leaves the trained context ("NTK-aware")
//   llama3    long wavelengths divided by `factor`, short ones kept, those between blended (Llama 3.1)
//   yarn      the same idea by a ramp over the dimensions, and a magnitude (Peng et al. 2023)
//   longrope  one searched factor a frequency, a set for short and one for long contexts (Ding et al. 2024)
enum class RopeType { none, linear, dynamic, llama3, yarn, longrope };

// nullopt when the name is none of Hugging Face's or GGUF's that we know.
std::optional<RopeType> rope_type_from_name(std::string_view name);

struct RotaryParameters {
  std::int64_t rotary_dim = 0;  // R, even; R <= head_dim
  double theta = 10000.0;
  ops::RotaryLayout layout = ops::RotaryLayout::half;
  RopeType type = RopeType::none;
  double factor = 1.0;
  std::int64_t original_max_position_embeddings = 0;  // the trained context; dynamic, llama3, yarn, longrope
  double low_freq_factor = 1.0;                       // llama3
  double high_freq_factor = 4.0;                      // llama3
  double beta_fast = 32.0;                            // yarn
  double beta_slow = 1.0;                             // yarn
  bool truncate = true;                               // yarn: ramp borders at whole dimensions
  std::optional<double> attention_factor;             // yarn, longrope: instead of the computed magnitude
  std::optional<double> mscale, mscale_all_dim;       // yarn: DeepSeek's form of the magnitude
  bool long_context = false;                          // longrope: frequency_factors are the long set
  // Each frequency is divided by its factor: longrope's chosen set, or the ones GGUF stores for llama3. [R/2]
  // or empty.
  std::vector<float> frequency_factors;
};

class RotaryEmbedding {
 public:
  // Error internal when rotary_dim is odd or the factors are of another length.
  explicit RotaryEmbedding(RotaryParameters parameters);

  // Rotates q [T, H, D] and k [T, K, D] in place, each token by its own position alone, so that it does not
  // matter how a prompt was cut. (Under `dynamic` that is what Hugging Face computes token by token; its
  // prefill of a prompt beyond the trained context uses the whole prompt's length for each of its tokens.)
  void apply(Tensor& q, Tensor& k, std::span<const std::int32_t> positions) const;
  // One of them alone.
  void rotate(Tensor& x, std::span<const std::int32_t> positions) const;

  std::span<const float> inverse_frequencies() const { return inverse_frequencies_; }  // [R/2]
  float magnitude() const { return magnitude_; }

 private:
  // Whether `dynamic` stretches theta for it.
  bool has_outgrown(std::int32_t position) const;

  RotaryParameters parameters_;
  std::vector<float> inverse_frequencies_;
  float magnitude_ = 1.0F;
};

}  // namespace tessera::nn
