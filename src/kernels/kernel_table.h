// Every kernel of one instruction set, as function pointers; ops/ calls through the active table. A new ISA
// or a faster kernel replaces an entry; what it computes is specified by kernels/ref.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"
#include "kernels/packed_layout.h"
#include "tensor/dtype.h"
#include "tensor/key_value_layout.h"

namespace tessera::kernels {

// output[t, n] = sum_k input[t, k] * weight[n, k] + bias[n], for output features n in [row_begin, row_end).
// The order in which k is summed depends on K and the dtype alone: not on tokens, row range or threads.
struct LinearArguments {
  const float* input = nullptr;       // [tokens, in_features]
  std::int64_t input_stride = 0;      // elements from one token to the next
  const std::byte* weight = nullptr;  // [out_features, in_features] in the kernel's dtype, rows back to back
  const float* bias = nullptr;        // [out_features] or null
  float* output = nullptr;            // [tokens, out_features]
  std::int64_t output_stride = 0;
  std::int64_t tokens = 0;
  std::int64_t in_features = 0;
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
};
using LinearKernel = void (*)(const LinearArguments&);

// The same for packed weights: output[t, n - first_row] = sum_k input[t, k] * weight[n, k] + bias[n -
// first_row] for n in [row_begin, row_end). Of a quantised input the dot product of a block (or of a group of
// 16, where the type has a scale for each) is an exact integer d; then, block after block in ascending order,
//   sum += float(d) * (weight scale * input scale);   sum += minimum * scaled_sum   (types with minima)
// in float32 with fused multiply-adds. Of floats it is the chain of fused multiply-adds over ascending k.
// Of words (packed_layout.h) d is the exact product of the words of 32 weights and inputs, and sum +=
// float(d) * (2^e * input scale). That order does not depend on tokens, row range or threads either.
struct PackedLinearArguments {
  const std::byte* input = nullptr;   // rows in the type's InputForm, 64-byte aligned when quantised
  std::int64_t input_stride = 0;      // bytes from one token to the next
  const std::byte* weight = nullptr;  // panels of the whole matrix
  const float* bias = nullptr;
  float* output = nullptr;
  std::int64_t output_stride = 0;  // elements
  std::int64_t tokens = 0;
  std::int64_t in_features = 0;
  std::int64_t first_row = 0;  // the row that output column 0 and bias[0] belong to
  std::int64_t row_begin = 0;
  std::int64_t row_end = 0;
};
using PackedLinearKernel = void (*)(const PackedLinearArguments&);

// Packs panels [begin, end) of a stored matrix [rows, in_features].
struct PackArguments {
  const std::byte* stored = nullptr;
  std::byte* packed = nullptr;  // panel 0
  std::int64_t rows = 0;
  std::int64_t in_features = 0;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = 0;
};
using PackKernel = void (*)(const PackArguments&);
// Gives row `row` of a packed matrix back in the bytes it was stored in.
using UnpackRowKernel = void (*)(const std::byte* packed, std::byte* stored, std::int64_t in_features,
                                 std::int64_t row);

// What there is for packed weights of one type; `linear` is null where an ISA has no use for them.
struct PackedKernels {
  InputForm input = InputForm::floats;
  std::int64_t block_elements = 0;
  std::int64_t panel_block_bytes = 0;  // of 16 rows in one block
  PackKernel pack = nullptr;
  UnpackRowKernel unpack_row = nullptr;
  PackedLinearKernel linear = nullptr;
};

// Rounds one row of `count` (a multiple of 32) elements to a quantised InputForm; see packed_layout.h.
using QuantizeInputKernel = void (*)(const float* x, std::byte* target, std::int64_t count);

// Widens `count` elements (whole blocks) to float32. The element by element value is exact: every ISA gives
// the same bits as kernels/ref.
using DequantizeKernel = void (*)(const std::byte* source, float* target, std::int64_t count);
// Rounds `count` float32 values to f32, f16 or bf16, to nearest even.
using NarrowKernel = void (*)(const float* source, std::byte* target, std::int64_t count);
// Rounds `count` finite float32 values (whole blocks, magnitudes within f16) to a type that weights are
// stored in.
using QuantizeKernel = void (*)(const float* source, std::byte* target, std::int64_t count);

// One row: y = x / sqrt(mean(x²) + epsilon) * (weight + weight_offset). x and y may be the same row.
using RmsNormKernel = void (*)(const float* x, const float* weight, float* y, std::int64_t count,
                               float epsilon, float weight_offset);
// One row: y = (x - mean) / sqrt(variance + epsilon) * weight + bias (bias may be null).
using LayerNormKernel = void (*)(const float* x, const float* weight, const float* bias, float* y,
                                 std::int64_t count, float epsilon);

// Indices of KernelTable::activate and ::gated_activation, in the order of ops::Activation.
enum class ActivationKind : std::uint8_t { silu, gelu, gelu_tanh, relu };
inline constexpr std::size_t kActivationCount = 4;
using ActivationKernel = void (*)(const float* x, float* y, std::int64_t count);
// y = activation(gate) * up.
using GatedActivationKernel = void (*)(const float* gate, const float* up, float* y, std::int64_t count);

// One head, in place: with c = cosines[i], s = sines[i], the pair (a, b) becomes (a c - b s, b c + a s).
// The pairs are (x[i], x[i + pairs]) for rotary_half and (x[2i], x[2i + 1]) for rotary_interleaved.
using RotaryKernel = void (*)(float* x, const float* cosines, const float* sines, std::int64_t pairs);

using AddKernel = void (*)(const float* a, const float* b, float* y, std::int64_t count);
using ScaleKernel = void (*)(float* x, float factor, std::int64_t count);
using SoftcapKernel = void (*)(float* x, float cap, std::int64_t count);  // x = cap * tanh(x / cap)
// One row, in place: x = exp(x - max(x)) / sum.
using SoftmaxKernel = void (*)(float* x, std::int64_t count);

// Puts one head's key (or value) of one token at `place` of its group in the cache, rounded to nearest even;
// q8_0: scale = largest magnitude of 32 / 127 as f16, quants by that f16. See tensor/key_value_layout.h.
using StoreKeyValueKernel = void (*)(const float* row, std::int64_t head_dim, std::byte* group,
                                     std::int64_t place);

// Keys that attention takes together, counted from key 0 of the sequence: the unit in which long contexts are
// split.
inline constexpr std::int64_t kKeyTile = 128;

// The query heads of one sequence's tokens that share one key/value head, on the paged cache.
// Row (t, g) = t * group_size + g is query head g of the group at token t; it sees the keys at indices
// (window rule) ... first_position + t. A row's result depends on nothing but its query and the keys it sees.
struct AttentionArguments {
  const float* query = nullptr;   // row (t, g) at query + t * token_stride + g * head_dim
  float* output = nullptr;        // likewise
  std::int64_t token_stride = 0;  // elements from one token to the next, of query and of output
  std::int64_t tokens = 0;
  std::int64_t group_size = 0;      // query heads that share the key/value head
  std::int64_t head_dim = 0;        // D
  std::int64_t first_position = 0;  // cache index of token 0's own key
  const std::byte* keys = nullptr;  // this head's keys in block 0, see tensor/key_value_layout.h
  const std::byte* values = nullptr;
  DType key_dtype = DType::f32;  // f32, f16, bf16 or q8_0
  DType value_dtype = DType::f32;
  const std::int32_t* block_table = nullptr;  // physical block of each block_size keys
  std::int64_t block_size = 0;                // whole groups
  std::int64_t key_block_stride = 0;          // bytes from one physical block to the next
  std::int64_t value_block_stride = 0;
  float scale = 1.0F;
  std::int64_t sliding_window = 0;  // 0: all
  float logit_softcap = 0.0F;       // 0: none

  // For the split form alone: tiles [tile_begin, tile_end) and where their partial results go,
  // [tile_end - tile_begin, tokens * group_size] of partial_floats(head_dim) each.
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  float* partials = nullptr;
};
using AttentionKernel = void (*)(const AttentionArguments&);

// Floats of one row's result of one tile: the mixture, then its maximum and total, padded to a cache line.
constexpr std::int64_t partial_floats(std::int64_t head_dim) { return value_width(head_dim) + 16; }

// Reads every byte of [data, data + bytes) and returns a checksum, as fast as memory gives it.
using ReadKernel = std::uint64_t (*)(const std::byte* data, std::size_t bytes);
// Does `rounds` rounds of s = s / 2 + 1 in independent chains, chain c starting at c; returns the sum of all
// of them (over vector lanes too), so that none can be left out.
using MultiplyAddKernel = float (*)(std::int64_t rounds);
// Does `rounds` rounds of s += 1 * 1 in each byte's place, the products of unsigned with signed bytes summed
// in 32 bits, in independent chains from zero; returns the sum of all, which is half of what ops_per_round
// counts, modulo 2^32.
using MultiplyBytesKernel = std::uint32_t (*)(std::int64_t rounds);

// Plain arrays, because per-ISA translation units write to them and must not instantiate library templates.
struct KernelTable {
  Isa isa = Isa::scalar;
  LinearKernel linear[kDTypeCount] = {};                     // by weight dtype; null where there is none
  PackedKernels packed[kDTypeCount] = {};                    // by weight dtype
  QuantizeInputKernel quantize_input[kInputFormCount] = {};  // by form; null for floats
  DequantizeKernel dequantize[kDTypeCount] = {};             // by dtype; null for integers
  NarrowKernel narrow[kDTypeCount] = {};                     // by target dtype: f32, f16, bf16
  QuantizeKernel quantize[kDTypeCount] = {};                 // by target dtype; null where there is none
  ActivationKernel activate[kActivationCount] = {};
  GatedActivationKernel gated_activation[kActivationCount] = {};
  RmsNormKernel rms_norm = nullptr;
  LayerNormKernel layer_norm = nullptr;
  RotaryKernel rotary_half = nullptr;
  RotaryKernel rotary_interleaved = nullptr;
  AddKernel add = nullptr;
  ScaleKernel scale = nullptr;
  SoftcapKernel softcap = nullptr;
  SoftmaxKernel softmax = nullptr;
  AttentionKernel attention = nullptr;
  // The same bits in two steps, or null: every tile on its own, in any order and by any thread; then the
  // tiles of `partials` (all that a row sees) merged into the output.
  AttentionKernel attention_partials = nullptr;
  AttentionKernel merge_attention = nullptr;
  StoreKeyValueKernel store_key[kDTypeCount] = {};  // by the cache's dtype; null where there is none
  StoreKeyValueKernel store_value[kDTypeCount] = {};
  ReadKernel read = nullptr;
  MultiplyAddKernel multiply_add = nullptr;
  std::int64_t flops_per_round = 0;              // of multiply_add
  MultiplyBytesKernel multiply_bytes = nullptr;  // null where there are no packed kernels
  std::int64_t byte_ops_per_round = 0;           // of multiply_bytes: a product and its addition are two
};

// The table of one ISA. Error bad_usage when this CPU lacks it.
const KernelTable& table(Isa isa);
// The table in use: selected_isa() at first use.
const KernelTable& active();

}  // namespace tessera::kernels
