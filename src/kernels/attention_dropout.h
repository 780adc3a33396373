// Which attention probabilities dropout sets to zero: a function of counters, so that no mask of size T x S
// is ever stored and the backward, tile by tile, finds what the forward dropped. As PyTorch has it, the
// softmax is taken first: y = dropout(softmax(scores)) v.
#pragma once
#include <cstdint>

namespace tessera::kernels {

struct AttentionDropout {
  std::uint64_t key = 0;        // of one call of attention
  std::uint32_t threshold = 0;  // 31 bits below it are dropped; 0: nothing is
  float scale = 1.0F;           // of what stays: 1 / (1 - probability)
  // The number of row (token 0, head 0) of this part of the batch, where rows are counted over tokens, then
  // heads.
  std::int64_t first_row = 0;
};

// The finalizer of MurmurHash3 over key and row.
__attribute__((always_inline)) inline std::uint32_t attention_dropout_row(const AttentionDropout& dropout,
                                                                          std::int64_t row) {
  std::uint64_t h = dropout.key + static_cast<std::uint64_t>(dropout.first_row + row) * 0x9e3779b97f4a7c15ULL;
  h = (h ^ (h >> 33U)) * 0xff51afd7ed558ccdULL;
  h = (h ^ (h >> 33U)) * 0xc4ceb9fe1a85ec53ULL;
  return static_cast<std::uint32_t>(h >> 32U);
}

// What the probability of key `s` is multiplied by. 32 bits only (Wellons' "lowbias32"), so that compilers
// make vectors of a loop over s.
__attribute__((always_inline)) inline float attention_dropout_factor(const AttentionDropout& dropout,
                                                                     std::uint32_t row, std::uint32_t s) {
  std::uint32_t h = row + s * 0x9e3779b9U;
  h = (h ^ (h >> 16U)) * 0x7feb352dU;
  h = (h ^ (h >> 15U)) * 0x846ca68bU;
  h ^= h >> 16U;
  const auto draw = static_cast<std::int32_t>(h >> 1U);
  return draw < static_cast<std::int32_t>(dropout.threshold) ? 0.0F : dropout.scale;
}

}  // namespace tessera::kernels
