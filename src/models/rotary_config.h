// From a model's rope configuration, in any of the spellings that files use, to nn::RotaryParameters.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "models/config_reader.h"
#include "models/model.h"
#include "models/weight_loader.h"
#include "nn/rotary_embedding.h"

namespace tessera::models {

struct RotaryRequest {
  std::int64_t head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double default_theta = 10000.0;
  std::string_view theta_key = "rope_theta";  // where the base lies outside the rope dictionaries
  // Dictionaries of config.json to look in, the first that has a key wins; GGUF has one place.
  std::vector<std::string_view> dictionaries = {"rope_scaling.", "rope_parameters."};
  bool gguf_permuted = false;     // GGUF reorders this architecture's q and k for interleaved pairs
  bool scaled = true;             // false: this rotation is never scaled (Gemma 3's local layers)
  bool yarn_is_longrope = false;  // early Phi-3 files say "yarn" and mean longrope
  std::int64_t context_size = 0;  // ModelOptions::context_size
};

// Error unsupported naming an unknown rope type or a parameter we cannot honour; bad_input for values out of
// range.
nn::RotaryParameters read_rotary(const ConfigReader& config, WeightLoader& weights,
                                 const RotaryRequest& request);

}  // namespace tessera::models
