// The tile registers of AMX (Intel SDM volume 2, "TILELOADD", "TDPBSUD", "TDPBF16PS"), as the vocabulary that
// kernels/cpu/tile_linear.h is written in. Instructions are spelled as assembly that clobbers memory: the
// intrinsics of g++ 12 let stores to what a tile is loaded from move past the load.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/unroll.h"

#define TESSERA_TILES amx

namespace tessera::kernels::amx {

// What LDTILECFG reads: for each tile its rows and the bytes of a row.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

struct Tiles {
  // All tiles become zero. The state is this thread's alone; release() gives it back.
  TESSERA_INLINE static void configure(const TileShapes& shapes) {
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }
  TESSERA_INLINE static void release() { __asm__ volatile("tilerelease" : : : "memory"); }
  template <int kTile>
  TESSERA_INLINE static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Rows `stride` bytes apart.
  template <int kTile>
  TESSERA_INLINE static void load(const void* rows, std::int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  TESSERA_INLINE static void store(void* rows, std::int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
  }
  // sums[m][n] += the dot products of four signed bytes of inputs[m] with four unsigned ones of weights.
  template <int kSums, int kInputs, int kWeights>
  TESSERA_INLINE static void add_byte_products() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kInputs), "i"(kWeights));
  }
  // The same of pairs of bf16, in float32.
  template <int kSums, int kInputs, int kWeights>
  TESSERA_INLINE static void add_bf16_products() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kInputs), "i"(kWeights));
  }
};

}  // namespace tessera::kernels::amx
