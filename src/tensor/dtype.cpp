#include "tensor/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "base/checked_size.h"
#include "base/error.h"

namespace tessera {
namespace {

// Block layouts: GGUF specification (ggml block formats). d, m: f16 scale and minimum; qh: fifth bits; qs:
// nibbles.
constexpr std::array<DTypeTraits, kDTypeCount> kTraits{{
    {"F32", 1, 4, false},
    {"F16", 1, 2, false},
    {"BF16", 1, 2, false},
    {"I32", 1, 4, false},
    {"I64", 1, 8, false},
    {"U8", 1, 1, false},
    {"Q4_0", 32, 18, true},    // d, qs[16]
    {"Q4_1", 32, 20, true},    // d, m, qs[16]
    {"Q5_0", 32, 22, true},    // d, qh[4], qs[16]
    {"Q5_1", 32, 24, true},    // d, m, qh[4], qs[16]
    {"Q8_0", 32, 34, true},    // d, qs[32]
    {"Q2_K", 256, 84, true},   // scales[16], qs[64], d, dmin
    {"Q3_K", 256, 110, true},  // hmask[32], qs[64], scales[12], d
    {"Q4_K", 256, 144, true},  // d, dmin, scales[12], qs[128]
    {"Q5_K", 256, 176, true},  // d, dmin, scales[12], qh[32], qs[128]
    {"Q6_K", 256, 210, true},  // ql[128], qh[64], scales[16], d
    {"IQ4_NL", 32, 18, true},  // d, qs[16] as indices of a fixed table
}};

}  // namespace

const DTypeTraits& traits(DType dtype) { return kTraits.at(static_cast<std::size_t>(dtype)); }

std::optional<DType> dtype_from_name(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper == "FLOAT32" || upper == "FLOAT") return DType::f32;
  if (upper == "FLOAT16" || upper == "HALF") return DType::f16;
  if (upper == "BFLOAT16") return DType::bf16;
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].name == upper) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::size_t row_bytes(DType dtype, std::int64_t elements) {
  const DTypeTraits& t = traits(dtype);
  if (elements < 0 || elements % t.block_elements != 0) {
    fail(ErrorKind::bad_input, "{} needs rows of a multiple of {} elements, found {}", t.name,
         t.block_elements, elements);
  }
  const CheckedSize blocks(static_cast<std::uint64_t>(elements / t.block_elements), "row size");
  return (blocks * t.block_bytes).value();
}

}  // namespace tessera
