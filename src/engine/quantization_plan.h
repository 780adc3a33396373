// Which stored type each tensor of a model gets when the whole is quantised: the type asked for, a better one
// where an error costs most, float32 where it would save nothing, and a stated fallback where rows do not
// hold whole blocks.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/weight_source.h"

namespace tessera::engine {

// "Q4_K_M" and its kind: the type of most matrices, and which of the customary mixes says the rest.
struct QuantizationRecipe {
  enum class Mix : std::uint8_t { plain, small, medium };
  std::string name;  // upper case
  DType dtype = DType::q8_0;
  Mix mix = Mix::plain;
  bool pure = false;           // the output matrix gets `dtype` too
  std::int64_t file_type = 0;  // the number GGUF files give as general.file_type
};

// F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, in any
// case. Error bad_usage listing them.
QuantizationRecipe quantization_recipe(std::string_view name);
std::vector<std::string> quantization_recipe_names();

enum class TensorChoice : std::uint8_t {
  as_asked,  // the recipe's own type
  promoted,  // a better type: output matrix, or what the mix says
  fallback,  // rows hold no whole blocks of the type the recipe says
  vector,    // norms and biases: float32
  kept,      // integers, positions, routers: as stored
};

struct PlannedTensor {
  std::string name;
  std::int64_t columns = 0;
  std::int64_t elements = 0;
  DType from = DType::f32;
  DType to = DType::f32;
  DType wanted = DType::f32;  // what `fallback` fell back from
  TensorChoice choice = TensorChoice::as_asked;
};

// One entry a tensor, in order. Knows the names of both schemes. The output matrix is output.weight
// (lm_head.weight), or the embedding where the model has none: 4- and 5-bit recipes store it as Q6_K unless
// `pure`. K-quants fall back to the 32-element type of the next size (Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to
// Q8_0), all block types to F16 where rows are no multiple of 32.
std::vector<PlannedTensor> plan_quantization(std::span<const TensorInfo> tensors,
                                             const QuantizationRecipe& recipe);

// Bytes of all tensors as planned.
std::uint64_t planned_bytes(std::span<const PlannedTensor> plan);

// Lines for people: how many tensors become what and why, e.g. "24 tensors Q5_0 instead of Q4_K: rows of 896
// are no multiple of 256".
std::vector<std::string> describe_plan(std::span<const PlannedTensor> plan);

}  // namespace tessera::engine
