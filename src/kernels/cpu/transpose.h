// Turns a square of kLanes x kLanes floats in registers. Included by the translation units of one ISA after
// its vector header.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

#if defined(__AVX512F__)
// keep(j, column j) of the kLanes rows that row(i) gives.
template <typename Row, typename Keep>
TESSERA_INLINE void transpose_rows(Row row, Keep keep) {
  Float t[16];
  Float u[16];
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) {
    const Float a = row(2 * i);
    const Float b = row(2 * i + 1);
    t[2 * i] = _mm512_unpacklo_ps(a, b);
    t[2 * i + 1] = _mm512_unpackhi_ps(a, b);
  }
  const auto low = [](Float a, Float b) TESSERA_LAMBDA {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  const auto high = [](Float a, Float b) TESSERA_LAMBDA {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  TESSERA_UNROLL
  for (int i = 0; i < 16; i += 4) {  // u[i + c]: quarter q holds column 4 q + c of rows i ... i + 3
    u[i] = low(t[i], t[i + 2]);
    u[i + 1] = high(t[i], t[i + 2]);
    u[i + 2] = low(t[i + 1], t[i + 3]);
    u[i + 3] = high(t[i + 1], t[i + 3]);
  }
  TESSERA_UNROLL
  for (int c = 0; c < 4; ++c) {
    const Float even_low = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88);
    const Float odd_low = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xDD);
    const Float even_high = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
    const Float odd_high = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xDD);
    keep(c, _mm512_shuffle_f32x4(even_low, even_high, 0x88));
    keep(4 + c, _mm512_shuffle_f32x4(odd_low, odd_high, 0x88));
    keep(8 + c, _mm512_shuffle_f32x4(even_low, even_high, 0xDD));
    keep(12 + c, _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD));
  }
}

// target[j][i] = source[i][j], i and j < kLanes; rows lie the strides apart.
TESSERA_INLINE void transpose_square(const float* source, std::int64_t source_stride, float* target,
                                     std::int64_t target_stride) {
  transpose_rows([&](int row) TESSERA_LAMBDA { return load(source + row * source_stride); },
                 [&](int column, Float v) TESSERA_LAMBDA { store(target + column * target_stride, v); });
}
#else
// target[j][i] = source[i][j], i and j < kLanes; rows lie the strides apart.
TESSERA_INLINE void transpose_square(const float* source, std::int64_t source_stride, float* target,
                                     std::int64_t target_stride) {
  Float t[8];
  Float u[8];
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) {
    const Float a = load(source + 2 * i * source_stride);
    const Float b = load(source + (2 * i + 1) * source_stride);
    t[2 * i] = _mm256_unpacklo_ps(a, b);
    t[2 * i + 1] = _mm256_unpackhi_ps(a, b);
  }
  const auto low = [](Float a, Float b) TESSERA_LAMBDA {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  };
  const auto high = [](Float a, Float b) TESSERA_LAMBDA {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  };
  TESSERA_UNROLL
  for (int i = 0; i < 8; i += 4) {  // u[i + c]: half h holds column 4 h + c of rows i ... i + 3
    u[i] = low(t[i], t[i + 2]);
    u[i + 1] = high(t[i], t[i + 2]);
    u[i + 2] = low(t[i + 1], t[i + 3]);
    u[i + 3] = high(t[i + 1], t[i + 3]);
  }
  TESSERA_UNROLL
  for (int c = 0; c < 4; ++c) {
    store(target + c * target_stride, _mm256_permute2f128_ps(u[c], u[4 + c], 0x20));
    store(target + (4 + c) * target_stride, _mm256_permute2f128_ps(u[c], u[4 + c], 0x31));
  }
}
#endif

}  // namespace tessera::kernels::TESSERA_ISA
