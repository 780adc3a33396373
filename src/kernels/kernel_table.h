// Every kernel of one instruction set, as function pointers; ops/ calls through the active table. A new ISA
// or a faster kernel replaces an entry; what it computes is specified by kernels/ref.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/cpu_features.h"
#include "tensor/dtype.h"

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

// Widens `count` elements (whole blocks) to float32.
using DequantizeKernel = void (*)(const std::byte* source, float* target, std::int64_t count);

struct KernelTable {
  Isa isa = Isa::scalar;
  std::array<LinearKernel, kDTypeCount> linear{};          // by weight dtype; null where there is none
  std::array<DequantizeKernel, kDTypeCount> dequantize{};  // by dtype
  // The rest of the table (norms, activations, rotary embedding, attention, ...) is declared here too.
};

// The table of one ISA. Error bad_usage when this CPU lacks it.
const KernelTable& table(Isa isa);
// The table in use: selected_isa() at first use.
const KernelTable& active();

}  // namespace tessera::kernels
