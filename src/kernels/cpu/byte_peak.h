// The kernel that measures how many products of bytes the machine does. Included after the ISA's integer
// header.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

// What the compiler calls a vector register in assembly.
#if defined(__aarch64__)
#define TESSERA_VECTOR_REGISTER "w"
#else
#define TESSERA_VECTOR_REGISTER "v"
#endif

inline constexpr int kByteChains = 12;
inline constexpr std::int64_t kByteOpsPerRound = 2 * kByteChains * kLanes * 4;

static std::uint32_t multiply_bytes_rounds(std::int64_t rounds) {
  const Int ones = broadcast_int(0x01010101);
  Int factors = ones;
  Int sums[kByteChains];
  TESSERA_UNROLL
  for (int c = 0; c < kByteChains; ++c) sums[c] = broadcast_int(0);
  for (std::int64_t round = 0; round < rounds; ++round) {
    TESSERA_UNROLL
    for (int c = 0; c < kByteChains; ++c) {
      // Factors that look new each time, or one product would be computed for all chains and rounds.
      __asm__("" : "+" TESSERA_VECTOR_REGISTER(factors));
      sums[c] = add_byte_products(sums[c], factors, ones);
    }
  }
  std::uint32_t total = 0;
  for (const Int sum : sums) total += static_cast<std::uint32_t>(sum_ints(sum));
  return total;
}

}  // namespace tessera::kernels::TESSERA_ISA
