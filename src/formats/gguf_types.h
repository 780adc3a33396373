// The numbers GGUF files use for tensor types and metadata types, after the GGUF specification
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace tessera::formats {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufVersion = 3;
inline constexpr std::uint64_t kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr std::string_view kGgufArchitectureKey = "general.architecture";

enum class GgufValueType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};
inline constexpr std::uint32_t kGgufValueTypeCount = 13;

std::string_view name(GgufValueType type);
// Bytes of one value; of a string or an array: the fewest it can take (its length or head).
std::uint64_t smallest_bytes(GgufValueType type);

// One tensor type of the specification; dtype is empty for those this program has no kernels for.
struct GgufTensorType {
  std::uint32_t id = 0;
  std::string_view name;
  std::int64_t block_elements = 1;
  std::size_t block_bytes = 1;
  std::optional<DType> dtype;
};

// nullptr: an id the specification does not have (or has withdrawn).
const GgufTensorType* gguf_tensor_type(std::uint32_t id);
// The id of a dtype. Error unsupported when GGUF has none (U8).
std::uint32_t gguf_type_id(DType dtype);

}  // namespace tessera::formats
