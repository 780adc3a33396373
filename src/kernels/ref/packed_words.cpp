// Weights and inputs as words: what kernels/packed_layout.h says. Sums of squares are in float32 and in the
// order that vectors of sixteen lanes make natural, because a scale hangs on them and every ISA shall find
// the same one.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr auto kBlock = static_cast<std::size_t>(kInputBlock);

// A power of two; 2^e for e in [-126, 127].
float power(int exponent) { return std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23); }

// Lane i with i + 16, then halves of what is left.
float sum_of_squares(const std::array<float, kBlock>& x) {
  std::array<float, kBlock / 2> sums{};
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] = std::fma(x[i + kBlock / 2], x[i + kBlock / 2], x[i] * x[i]);
  }
  for (std::size_t half = sums.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

}  // namespace

void weights_to_words(const float* block, std::int16_t* words, float* scale) {
  std::array<float, 4> sums{};
  for (std::size_t k = 0; k < kBlock; ++k) sums[k % 4] = std::fma(block[k], block[k], sums[k % 4]);
  const float squares = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  // squares < 2^(E + 1), so its root is below 2^(floor(E / 2) + 1).
  const int biased = static_cast<int>(std::bit_cast<std::uint32_t>(squares) >> 23 & 0xffU);
  const int exponent = (biased + 1) / 2 - 78;
  *scale = std::isfinite(squares) ? power(exponent) : NAN;
  for (std::size_t k = 0; k < kBlock; ++k) {
    const float scaled = std::nearbyint(block[k] * power(-exponent));
    words[k] = static_cast<std::int16_t>(std::isfinite(squares) ? scaled : 0.0F);
  }
}

void quantize_words(const float* x, std::byte* target, std::int64_t count) {
  const InputLayout layout(InputForm::words, count);
  for (std::int64_t block = 0; block < count / kInputBlock; ++block) {
    std::array<float, kBlock> values{};
    std::memcpy(values.data(), x + block * kInputBlock, sizeof(values));
    std::uint32_t bits = 0;  // compared as integers, a NaN is larger than everything
    for (const float value : values) bits = std::max(bits, std::bit_cast<std::uint32_t>(value) & 0x7fffffffU);
    const auto largest = std::bit_cast<float>(bits);
    const bool vanishes = largest < kSmallestInput;
    const float reciprocal = vanishes ? 0.0F : 1.0F / largest;
    std::array<float, kBlock> relative{};
    for (std::size_t k = 0; k < kBlock; ++k) relative[k] = values[k] * reciprocal;
    const float norm = std::sqrt(sum_of_squares(relative)) * (1.0F / kWordNormLimit);
    const float step = norm > 1.0F / kWordLimit ? norm : 1.0F / kWordLimit;
    const float scale = vanishes ? 0.0F : largest * step;
    const float inverse = vanishes ? 0.0F : 1.0F / scale;
    std::memcpy(target + layout.scales + 4 * block, &scale, sizeof(scale));
    for (std::size_t k = 0; k < kBlock; ++k) {
      const float scaled = std::nearbyint(values[k] * inverse);
      const auto q = static_cast<std::int16_t>(std::isfinite(scaled) ? scaled : 0.0F);
      std::memcpy(target + 2 * (block * kInputBlock + static_cast<std::int64_t>(k)), &q, sizeof(q));
    }
  }
}

}  // namespace tessera::kernels::ref
