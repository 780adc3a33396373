// Rounds float32 rows to the 256-element super-blocks Q4_K, Q5_K and Q6_K. The formats fix what can be stored
// (ref/dequantize_k_quants.cpp); finding good values is up to the writer. Here: for fixed quants the best
// scale and minimum are a weighted least-squares problem with a closed solution, and for a fixed scale the
// best quants are plain rounding; so each sub-block tries a grid of starting scales, and the super-block then
// alternates between its own two f16 factors and the small integers of its sub-blocks. Nothing is ever
// exchanged for something worse.
//
// The weight of an element is |x| + the root mean square of its sub-block: large weights of a model carry
// more of its output, and an error in them costs more than the same error in a small one.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr std::size_t kSuperBlock = 256;
constexpr int kRefinements = 2;  // of a super-block; a third gains less than 0.1% of the error

float put_f16(std::byte* target, double value) {
  const std::uint16_t bits = f32_to_f16(static_cast<float>(value));
  std::memcpy(target, &bits, sizeof(bits));
  return f16_to_f32(bits);
}

double rounded_to_f16(double value) { return f16_to_f32(f32_to_f16(static_cast<float>(value))); }

template <std::size_t Size>
void set_weights(const float* x, float* weights) {
  float squares = 0.0F;
  for (std::size_t i = 0; i < Size; ++i) squares += x[i] * x[i];
  const float typical = std::sqrt(squares / static_cast<float>(Size));
  for (std::size_t i = 0; i < Size; ++i) weights[i] = std::abs(x[i]) + typical;
}

// Σw, Σwq, Σwq², Σwx, Σwqx and Σwx² of a sub-block: all that least squares needs to know of it.
struct Moments {
  double w = 0, wq = 0, wqq = 0, wx = 0, wqx = 0, wxx = 0;

  // Σw (x - (scale q - minimum))²
  double error(double scale, double minimum) const {
    return wxx + scale * (scale * wqq - 2.0 * wqx - 2.0 * minimum * wq) + minimum * (minimum * w + 2.0 * wx);
  }
};

// Quants by rounding x ≈ q / inverse - minimum to [lowest, highest], and their moments. Sums are kept in
// lanes, so that compilers can use vectors without changing the order of anything.
template <std::size_t Size>
Moments round_and_sum(const float* x, const float* weights, float inverse, float minimum, float lowest,
                      float highest) {
  constexpr std::size_t kLanes = 4;
  std::array<std::array<float, kLanes>, 6> sums{};
  for (std::size_t i = 0; i < Size; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      const float w = weights[i + lane];
      const float steps = std::clamp((value + minimum) * inverse - lowest, 0.0F, highest - lowest);
      // Truncation is floor, as steps >= 0, and vectorises, unlike std::lround.
      const float q = static_cast<float>(static_cast<int>(steps + 0.5F)) +
                      lowest;  // NOLINT(bugprone-incorrect-roundings)
      sums[0][lane] += w;
      sums[1][lane] += w * q;
      sums[2][lane] += w * q * q;
      sums[3][lane] += w * value;
      sums[4][lane] += w * value * q;
      sums[5][lane] += w * value * value;
    }
  }
  const auto total = [&](std::size_t index) {
    const auto& s = sums[index];
    return (double{s[0]} + double{s[1]}) + (double{s[2]} + double{s[3]});
  };
  return {total(0), total(1), total(2), total(3), total(4), total(5)};
}

struct Fit {
  double scale = 0;
  double minimum = 0;
};

// The best scale and minimum for these quants; the formats store minimum >= 0.
Fit least_squares(const Moments& m) {
  const double determinant = m.w * m.wqq - m.wq * m.wq;
  if (determinant > 1e-9 * m.w * m.wqq) {
    const Fit fit{(m.w * m.wqx - m.wx * m.wq) / determinant, (m.wq * m.wqx - m.wqq * m.wx) / determinant};
    if (fit.minimum >= 0.0) return fit;
  }
  return {m.wqq > 0.0 ? m.wqx / m.wqq : 0.0, 0.0};
}

// ---- Q4_K and Q5_K: x ≈ (d s) q - (dmin m), eight sub-blocks of 32, s and m of 6 bits
// --------------------------------

constexpr std::size_t kAffineBlock = 32;
constexpr std::size_t kAffineBlocks = kSuperBlock / kAffineBlock;
constexpr double kLargestSixBits = 63.0;

struct AffineSuperBlock {
  double d = 0;
  double dmin = 0;
  std::array<int, kAffineBlocks> scales{};
  std::array<int, kAffineBlocks> minima{};
};

class AffineSearch {
 public:
  AffineSearch(const float* x, float levels) : x_(x), levels_(levels) {
    for (std::size_t j = 0; j < kAffineBlocks; ++j) {
      set_weights<kAffineBlock>(x_ + j * kAffineBlock, weights_.data() + j * kAffineBlock);
    }
  }

  AffineSuperBlock find() const {
    std::array<Fit, kAffineBlocks> fits{};
    double largest_scale = 0;
    double largest_minimum = 0;
    for (std::size_t j = 0; j < kAffineBlocks; ++j) {
      fits[j] = fit_sub_block(j);
      largest_scale = std::max(largest_scale, fits[j].scale);
      largest_minimum = std::max(largest_minimum, fits[j].minimum);
    }
    AffineSuperBlock best;
    best.d = rounded_to_f16(largest_scale / kLargestSixBits);
    best.dmin = rounded_to_f16(largest_minimum / kLargestSixBits);
    for (std::size_t j = 0; j < kAffineBlocks; ++j) {
      best.scales[j] = six_bits(fits[j].scale, best.d);
      best.minima[j] = six_bits(fits[j].minimum, best.dmin);
    }
    double best_error = settle_integers(best);
    for (int round = 0; round < kRefinements; ++round) {
      AffineSuperBlock next = with_best_factors(best);
      const double error = settle_integers(next);
      if (error >= best_error) break;
      best = next;
      best_error = error;
    }
    return best;
  }

 private:
  static int six_bits(double value, double factor) {
    return factor > 0.0 ? static_cast<int>(std::clamp(value / factor + 0.5, 0.0, kLargestSixBits)) : 0;
  }

  Moments moments(std::size_t j, double scale, double minimum) const {
    const float inverse = scale > 0.0 ? static_cast<float>(1.0 / scale) : 0.0F;
    return round_and_sum<kAffineBlock>(x_ + j * kAffineBlock, weights_.data() + j * kAffineBlock,
                                       std::isfinite(inverse) ? inverse : 0.0F, static_cast<float>(minimum),
                                       0.0F, levels_);
  }

  // Starts from scales that spread the range over a little fewer to a little more than all levels.
  Fit fit_sub_block(std::size_t j) const {
    const float* x = x_ + j * kAffineBlock;
    const auto [lowest, highest] = std::minmax_element(x, x + kAffineBlock);
    const double minimum = -std::min(*lowest, 0.0F);
    const double range = std::max(*highest, 0.0F) + minimum;
    Fit best{0.0, minimum};
    if (range <= 0.0) return best;
    double best_error = moments(j, 0.0, minimum).error(0.0, minimum);
    constexpr int kSteps = 16;
    for (int step = 0; step < kSteps; ++step) {
      const double spread = static_cast<double>(levels_) - 1.0 + 0.125 * step;
      const Moments m = moments(j, range / spread, minimum);
      const Fit fit = least_squares(m);
      const double error = m.error(fit.scale, fit.minimum);
      if (fit.scale > 0.0 && error < best_error) {
        best = fit;
        best_error = error;
      }
    }
    return best;
  }

  // Moves each sub-block's integers to the best of their neighbours under the given factors; returns the
  // error.
  double settle_integers(AffineSuperBlock& block) const {
    double total = 0;
    for (std::size_t j = 0; j < kAffineBlocks; ++j) {
      int best_scale = 0;
      int best_minimum = 0;
      double best_error = INFINITY;
      for (int scale = std::max(block.scales[j] - 1, 0); scale <= std::min(block.scales[j] + 1, 63);
           ++scale) {
        for (int minimum = std::max(block.minima[j] - 1, 0); minimum <= std::min(block.minima[j] + 1, 63);
             ++minimum) {
          const double s = block.d * scale;
          const double m = block.dmin * minimum;
          const double error = moments(j, s, m).error(s, m);
          if (error >= best_error) continue;
          best_error = error;
          best_scale = scale;
          best_minimum = minimum;
        }
      }
      block.scales[j] = best_scale;
      block.minima[j] = best_minimum;
      total += best_error;
    }
    return total;
  }

  // The same integers with the least-squares d and dmin of the whole super-block.
  AffineSuperBlock with_best_factors(const AffineSuperBlock& block) const {
    double a = 0, b = 0, c = 0, p = 0, r = 0;  // a d - b dmin = p, b d - c dmin = r
    for (std::size_t j = 0; j < kAffineBlocks; ++j) {
      const Moments m = moments(j, block.d * block.scales[j], block.dmin * block.minima[j]);
      const double s = block.scales[j];
      const double t = block.minima[j];
      a += s * s * m.wqq;
      b += s * t * m.wq;
      c += t * t * m.w;
      p += s * m.wqx;
      r += t * m.wx;
    }
    AffineSuperBlock next = block;
    const double determinant = a * c - b * b;
    if (determinant > 1e-9 * a * c) {
      next.d = rounded_to_f16((p * c - b * r) / determinant);
      next.dmin = rounded_to_f16((p * b - a * r) / determinant);
    } else if (a > 0.0) {
      next.d = rounded_to_f16(p / a);
      next.dmin = 0;
    }
    if (next.d <= 0.0 || next.dmin < 0.0) return block;
    return next;
  }

  const float* x_;
  float levels_;
  std::array<float, kSuperBlock> weights_{};
};

// The inverse of packed_scale() in dequantize_k_quants.cpp.
void put_packed_scales(const AffineSuperBlock& block, std::byte* target) {
  std::array<unsigned, 12> bytes{};
  for (std::size_t j = 0; j < 4; ++j) {
    const auto scale = static_cast<unsigned>(block.scales[j]);
    const auto minimum = static_cast<unsigned>(block.minima[j]);
    const auto upper_scale = static_cast<unsigned>(block.scales[j + 4]);
    const auto upper_minimum = static_cast<unsigned>(block.minima[j + 4]);
    bytes[j] = scale | ((upper_scale >> 4) << 6);
    bytes[j + 4] = minimum | ((upper_minimum >> 4) << 6);
    bytes[j + 8] = (upper_scale & 15U) | ((upper_minimum & 15U) << 4);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) target[i] = static_cast<std::byte>(bytes[i]);
}

using SuperBlockQuants = std::array<unsigned, kSuperBlock>;

// Writes d, dmin and scales, and gives the quants that go with exactly these.
SuperBlockQuants put_affine_head(const float* x, unsigned levels, std::byte* target) {
  const AffineSuperBlock block = AffineSearch(x, static_cast<float>(levels)).find();
  const float d = put_f16(target, block.d);
  const float dmin = put_f16(target + 2, block.dmin);
  put_packed_scales(block, target + 4);
  SuperBlockQuants q{};
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const float scale = d * static_cast<float>(block.scales[i / kAffineBlock]);
    if (scale <= 0.0F) continue;
    const float minimum = dmin * static_cast<float>(block.minima[i / kAffineBlock]);
    q[i] =
        static_cast<unsigned>(std::clamp((x[i] + minimum) / scale + 0.5F, 0.0F, static_cast<float>(levels)));
  }
  return q;
}

// Chunk c of 32 bytes: sub-block 2c in the low nibbles, 2c + 1 in the high ones.
void put_paired_nibbles(const SuperBlockQuants& q, std::byte* target) {
  for (std::size_t i = 0; i < kSuperBlock / 2; ++i) {
    const std::size_t first = i / 32 * 64 + i % 32;
    target[i] = static_cast<std::byte>((q[first] & 15U) | ((q[first + 32] & 15U) << 4));
  }
}

// ---- Q6_K: x ≈ (d s) q, sixteen sub-blocks of 16, s of 8 bits with sign, q from -32 to 31
// ---------------------------

constexpr std::size_t kSymmetricBlock = 16;
constexpr std::size_t kSymmetricBlocks = kSuperBlock / kSymmetricBlock;

struct SymmetricSuperBlock {
  double d = 0;
  std::array<int, kSymmetricBlocks> scales{};
};

class SymmetricSearch {
 public:
  explicit SymmetricSearch(const float* x) : x_(x) {
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      set_weights<kSymmetricBlock>(x_ + j * kSymmetricBlock, weights_.data() + j * kSymmetricBlock);
    }
  }

  SymmetricSuperBlock find() const {
    std::array<double, kSymmetricBlocks> scales{};
    double extreme = 0;
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      scales[j] = fit_sub_block(j);
      if (std::abs(scales[j]) > std::abs(extreme)) extreme = scales[j];
    }
    SymmetricSuperBlock best;
    best.d = rounded_to_f16(extreme / -128.0);
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      const double steps = best.d == 0.0 ? 0.0 : scales[j] / best.d;
      best.scales[j] = static_cast<int>(std::clamp(std::round(steps), -128.0, 127.0));
    }
    double best_error = settle_integers(best);
    for (int round = 0; round < kRefinements; ++round) {
      SymmetricSuperBlock next = with_best_factor(best);
      const double error = settle_integers(next);
      if (error >= best_error) break;
      best = next;
      best_error = error;
    }
    return best;
  }

 private:
  Moments moments(std::size_t j, double scale) const {
    const float inverse = scale != 0.0 ? static_cast<float>(1.0 / scale) : 0.0F;
    return round_and_sum<kSymmetricBlock>(x_ + j * kSymmetricBlock, weights_.data() + j * kSymmetricBlock,
                                          std::isfinite(inverse) ? inverse : 0.0F, 0.0F, -32.0F, 31.0F);
  }

  // The extreme goes to -32, the side with the extra level, or near it.
  double fit_sub_block(std::size_t j) const {
    const float* x = x_ + j * kSymmetricBlock;
    const double extreme =
        *std::max_element(x, x + kSymmetricBlock, [](float a, float b) { return std::abs(a) < std::abs(b); });
    double best = 0;
    double best_error = INFINITY;
    constexpr int kSteps = 13;
    for (int step = 0; step < kSteps && extreme != 0.0; ++step) {
      const Moments m = moments(j, extreme / -(31.0 + 0.25 * step));
      const double scale = m.wqq > 0.0 ? m.wqx / m.wqq : 0.0;
      const double error = m.error(scale, 0.0);
      if (error >= best_error) continue;
      best = scale;
      best_error = error;
    }
    return best;
  }

  double settle_integers(SymmetricSuperBlock& block) const {
    double total = 0;
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      int best_scale = 0;
      double best_error = INFINITY;
      for (int scale = std::max(block.scales[j] - 1, -128); scale <= std::min(block.scales[j] + 1, 127);
           ++scale) {
        const double s = block.d * scale;
        const double error = moments(j, s).error(s, 0.0);
        if (error >= best_error) continue;
        best_error = error;
        best_scale = scale;
      }
      block.scales[j] = best_scale;
      total += best_error;
    }
    return total;
  }

  SymmetricSuperBlock with_best_factor(const SymmetricSuperBlock& block) const {
    double a = 0;
    double p = 0;
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      const Moments m = moments(j, block.d * block.scales[j]);
      const double s = block.scales[j];
      a += s * s * m.wqq;
      p += s * m.wqx;
    }
    SymmetricSuperBlock next = block;
    if (a > 0.0) next.d = rounded_to_f16(p / a);
    return next;
  }

  const float* x_;
  std::array<float, kSuperBlock> weights_{};
};

}  // namespace

void quantize_q4_k(const float* source, std::byte* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, target += 144) {
    put_paired_nibbles(put_affine_head(source + base, 15, target), target + 16);
  }
}

void quantize_q5_k(const float* source, std::byte* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, target += 176) {
    const SuperBlockQuants q = put_affine_head(source + base, 31, target);
    for (std::size_t i = 0; i < 32; ++i) {
      unsigned fifth = 0;
      for (std::size_t j = 0; j < kAffineBlocks; ++j) fifth |= (q[32 * j + i] >> 4) << j;
      target[16 + i] = static_cast<std::byte>(fifth);
    }
    put_paired_nibbles(q, target + 48);
  }
}

void quantize_q6_k(const float* source, std::byte* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, target += 210) {
    const float* x = source + base;
    const SymmetricSuperBlock block = SymmetricSearch(x).find();
    const float d = put_f16(target + 208, block.d);
    SuperBlockQuants q{};
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const float scale = d * static_cast<float>(block.scales[i / kSymmetricBlock]);
      const float steps = scale == 0.0F ? 0.0F : std::clamp(x[i] / scale, -32.0F, 31.0F);
      q[i] = static_cast<unsigned>(static_cast<int>(std::floor(steps + 0.5F)) + 32);
    }
    for (std::size_t j = 0; j < kSymmetricBlocks; ++j) {
      target[192 + j] = static_cast<std::byte>(block.scales[j]);
    }
    for (std::size_t half = 0; half < 2; ++half) {
      const unsigned* quarter = q.data() + 128 * half;
      for (std::size_t i = 0; i < 64; ++i) {
        target[64 * half + i] = static_cast<std::byte>((quarter[i] & 15U) | ((quarter[i + 64] & 15U) << 4));
      }
      for (std::size_t i = 0; i < 32; ++i) {
        target[128 + 32 * half + i] =
            static_cast<std::byte>((quarter[i] >> 4) | ((quarter[i + 32] >> 4) << 2) |
                                   ((quarter[i + 64] >> 4) << 4) | ((quarter[i + 96] >> 4) << 6));
      }
    }
  }
}

}  // namespace tessera::kernels::ref
