// How packed weights and quantised inputs lie in memory: the contract between kernels/ref, which makes and
// specifies them, and the kernels that stream them.
//
// Packed weights. 16 rows make a panel, the last one filled up with rows of zero bytes; panels follow each
// other, and within a panel blocks of columns do. What 16 rows say in a block lies side by side: first their
// scales (16 f16), then their minima where the type has them, then their integers in groups of 4 columns: 64
// bytes = [16 rows][4 columns], which is one AVX-512 register, and one instruction (vpdpbusd) turns four
// columns of sixteen rows into sixteen sums. Where two integers share a byte they are those that share one
// in the stored block, columns k and k + 16; a fifth bit is one bit of a 64-bit mask a group of 64 integers.
// Plain types have panels of [columns][16 rows]. No byte is lost or rounded: unpacking gives the stored rows
// back.
//
// Words. Sixteen-bit weights may be multiplied as integers too: a kernel that asks for inputs as words makes
// integers w of its weights as it reads them, in blocks of 32 columns of a row: with the smallest e for which
// 2^(2 e + 30) is above the block's sum of squares,
//   weight[k] ~ 2^e w[k],   w[k] = round(weight[k] / 2^e) to nearest even,
// so that the norm of w is below 2^15 (and, but for tiny blocks, not below 2^14): the weights that have a
// sixteenth of the block's norm (f16; bf16 a hundred-and-twenty-eighth) or more lose nothing, the others at
// most 2^-15 of the norm. Inputs are rounded so that their norm stays below 65504, and then no sum of
// products leaves 32 bits, by Cauchy and Schwarz: 32768 * 65504 and what rounding adds is below 2^31.
//
// Quantised inputs. A row of K = 32 B elements is rounded once a call: in each block of 32 the element of the
// largest magnitude becomes 16256 = 127 * 128 and the others follow,
//   x[k] = scale[b] q[k],   q[k] = round(x[k] / scale[b]) to nearest even.
// The row holds the integers (K int16, or their halves q = 128 high + low as 2 K int8, in the order that the
// instruction set likes), B scales, then for each `group` of elements the sum of their integers, negated, and
// the same sum times the scale as float32.
//
// Inputs as words: with the largest magnitude M and the norm N of a block of 32,
//   scale = max(M / 32767, N / 65500),   q[k] = round(x[k] / scale) to nearest even.
// The row holds K int16 and B scales, and no sums.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

inline constexpr std::int64_t kPanelRows = 16;
inline constexpr std::int64_t kInputBlock = 32;
inline constexpr std::int64_t kInputLimit = 127 * 128;
// Blocks below this are rounded to zero: the reciprocal of their scale would not be finite.
inline constexpr float kSmallestInput = 0x1p-100F;

inline constexpr float kWordLimit = 32767;
inline constexpr float kWordNormLimit = 65500;

// What a packed kernel wants to be given: the floats themselves, or quantised as above with sums of 32 or
// of 16, or as words.
enum class InputForm : std::uint8_t { floats, sums_of_32, sums_of_16, words };
inline constexpr std::size_t kInputFormCount = 4;

// Where the parts of a quantised row begin, in bytes. (Macros and always-inline members only: units of
// several instruction sets include this.)
struct InputLayout {
  std::int64_t scales;       // f32 [K / 32]
  std::int64_t sums;         // i32 [K / group], negated
  std::int64_t scaled_sums;  // f32 [K / group], not negated
  std::int64_t bytes;        // of the row, a multiple of 64

  __attribute__((always_inline)) InputLayout(InputForm form, std::int64_t columns)
      : scales((columns * 2 + 63) / 64 * 64),
        sums(scales + columns / kInputBlock * 4),
        scaled_sums(sums + sums_bytes(form, columns)),
        bytes((scaled_sums + sums_bytes(form, columns) + 63) / 64 * 64) {}

  __attribute__((always_inline)) static constexpr std::int64_t group(InputForm form) {
    return form == InputForm::sums_of_16 ? 16 : 32;
  }
  __attribute__((always_inline)) static constexpr std::int64_t sums_bytes(InputForm form,
                                                                          std::int64_t columns) {
    return form == InputForm::words ? 0 : columns / group(form) * 4;
  }
};

}  // namespace tessera::kernels
