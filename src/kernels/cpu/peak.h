// The two kernels that measure the machine: streaming reads and multiply-adds in registers.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr int kStreams = 8;  // vectors a step: enough loads in flight for the memory system
inline constexpr int kChains = 12;  // independent sums: latency 4 x 2 units, and then some

static std::uint64_t read(const std::byte* data, std::size_t bytes) {
  constexpr std::size_t kVector = kLanes * sizeof(float);
  Int sums[kStreams];
  TESSERA_UNROLL
  for (int s = 0; s < kStreams; ++s) sums[s] = broadcast_int(0);
  std::size_t i = 0;
  for (; i + kStreams * kVector <= bytes; i += kStreams * kVector) {
    TESSERA_UNROLL
    for (int s = 0; s < kStreams; ++s) {
      sums[s] = add_words(sums[s], load_words(data + i + static_cast<std::size_t>(s) * kVector));
    }
  }
  std::uint64_t sum = 0;
  for (const Int s : sums) sum += sum_words(s);
  for (; i + sizeof(sum) <= bytes; i += sizeof(sum)) {
    std::uint64_t word = 0;
    __builtin_memcpy(&word, data + i, sizeof(word));
    sum += word;
  }
  for (; i < bytes; ++i) sum += static_cast<std::uint64_t>(data[i]);
  return sum;
}

static float multiply_add_rounds(std::int64_t rounds) {
  Float sums[kChains];
  TESSERA_UNROLL
  for (int c = 0; c < kChains; ++c)
    sums[c] = broadcast(static_cast<float>(c));  // equal chains would become one
  const Float factor = broadcast(0.5F);
  const Float term = broadcast(1.0F);
  for (std::int64_t round = 0; round < rounds; ++round) {
    TESSERA_UNROLL
    for (int c = 0; c < kChains; ++c) sums[c] = multiply_add(sums[c], factor, term);
  }
  Float total = zero();
  for (const Float s : sums) total = add(total, s);
  return sum_lanes(total);
}

}  // namespace tessera::kernels::TESSERA_ISA
