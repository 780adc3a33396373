// The scalar table, and the two kernels that measure a machine instead of computing anything for a model.
#include <array>
#include <cstring>

#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr std::size_t kChains = 8;  // enough independent sums to hide the latency of an addition

}  // namespace

std::uint64_t read(const std::byte* data, std::size_t bytes) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  for (; i + sizeof(sum) <= bytes; i += sizeof(sum)) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + i, sizeof(word));
    sum += word;
  }
  for (; i < bytes; ++i) sum += std::to_integer<std::uint64_t>(data[i]);
  return sum;
}

float multiply_add(std::int64_t rounds) {
  std::array<float, kChains> sums{};
  for (std::size_t c = 0; c < kChains; ++c) sums[c] = static_cast<float>(c);  // equal chains would become one
  float factor = 0.5F;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) sum = sum * factor + 1.0F;
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

KernelTable make_table() {
  KernelTable table;
  table.isa = Isa::scalar;
  fill_linear(table);
  fill_packed(table);
  fill_packed_floats(table);
  fill_quantize(table);
  fill_activations(table);
  fill_key_values(table);
  const auto set = [&](DType dtype, DequantizeKernel kernel) {
    table.dequantize[static_cast<std::size_t>(dtype)] = kernel;
  };
  set(DType::f32, dequantize_f32);
  set(DType::f16, dequantize_f16);
  set(DType::bf16, dequantize_bf16);
  set(DType::q4_0, dequantize_q4_0);
  set(DType::q4_1, dequantize_q4_1);
  set(DType::q5_0, dequantize_q5_0);
  set(DType::q5_1, dequantize_q5_1);
  set(DType::q8_0, dequantize_q8_0);
  set(DType::q2_k, dequantize_q2_k);
  set(DType::q3_k, dequantize_q3_k);
  set(DType::q4_k, dequantize_q4_k);
  set(DType::q5_k, dequantize_q5_k);
  set(DType::q6_k, dequantize_q6_k);
  set(DType::iq4_nl, dequantize_iq4_nl);
  table.narrow[static_cast<std::size_t>(DType::f32)] = narrow_f32;
  table.narrow[static_cast<std::size_t>(DType::f16)] = narrow_f16;
  table.narrow[static_cast<std::size_t>(DType::bf16)] = narrow_bf16;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.rotary_half = rotary_half;
  table.rotary_interleaved = rotary_interleaved;
  table.add = add;
  table.scale = scale;
  table.softcap = softcap;
  table.softmax = softmax;
  table.attention = attention;
  table.read = read;
  table.multiply_add = multiply_add;
  table.flops_per_round = 2 * static_cast<std::int64_t>(kChains);
  return table;
}

}  // namespace tessera::kernels::ref
