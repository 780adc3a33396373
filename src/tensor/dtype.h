// Element types, the block-quantised ones of GGUF included, as one table of traits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  i32,
  i64,
  u8,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
};
inline constexpr std::size_t kDTypeCount = 17;

struct DTypeTraits {
  std::string_view name;        // as Hugging Face or GGUF write it: "F32", "Q4_1", "Q4_K"
  std::int64_t block_elements;  // elements that share a block; 1 for plain types
  std::size_t block_bytes;      // bytes of one block
  bool quantized;
};

const DTypeTraits& traits(DType dtype);
inline std::string_view name(DType dtype) { return traits(dtype).name; }
// Case-insensitive; also "float32", "bfloat16", "float16" as in torch_dtype. nullopt: not a known name.
std::optional<DType> dtype_from_name(std::string_view name);
// Bytes of one row of `elements`. Error bad_input when `elements` is not a multiple of the block, or
// overflows.
std::size_t row_bytes(DType dtype, std::int64_t elements);

}  // namespace tessera
