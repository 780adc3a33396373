// Tile registers in plain C++ (Intel SDM volume 2, the operations of TILELOADD, TDPBSUD and TDPBF16PS), so
// that the tile kernels' arithmetic is tested on every machine with AVX-512. Misuse of a tile ends the test.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#define TESSERA_TILES emulated

namespace tessera::kernels::emulated {

struct TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

struct TileState {
  TileShapes shapes;
  bool configured = false;
  std::array<std::array<std::array<std::byte, 64>, 16>, 8> tiles{};
};
inline thread_local TileState tile_state;

inline void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}
// A float32 as the unit takes and gives it: what is denormal counts as zero.
inline float flushed(float v) {
  return (std::bit_cast<std::uint32_t>(v) & 0x7f800000U) == 0
             ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(v) & 0x80000000U)
             : v;
}

struct Tiles {
  static void configure(const TileShapes& shapes) {
    require(shapes.palette == 1 && shapes.start_row == 0, "LDTILECFG: palette 1 and start row 0");
    for (int i = 0; i < 16; ++i) {
      require(shapes.rows[i] <= 16 && shapes.row_bytes[i] <= 64, "LDTILECFG: at most 16 rows of 64 bytes");
      require(i < 8 || (shapes.rows[i] == 0 && shapes.row_bytes[i] == 0), "LDTILECFG: eight tiles");
    }
    tile_state = {shapes, true, {}};
  }
  static void release() { tile_state = {}; }
  template <int kTile>
  static void zero() {
    check(kTile);
    tile_state.tiles[kTile] = {};
  }
  template <int kTile>
  static void load(const void* rows, std::int64_t stride) {
    check(kTile);
    tile_state.tiles[kTile] = {};
    for (std::size_t r = 0; r < tile_state.shapes.rows[kTile]; ++r) {
      std::memcpy(tile_state.tiles[kTile][r].data(),
                  static_cast<const std::byte*>(rows) + static_cast<std::int64_t>(r) * stride,
                  tile_state.shapes.row_bytes[kTile]);
    }
  }
  template <int kTile>
  static void store(void* rows, std::int64_t stride) {
    check(kTile);
    for (std::size_t r = 0; r < tile_state.shapes.rows[kTile]; ++r) {
      std::memcpy(static_cast<std::byte*>(rows) + static_cast<std::int64_t>(r) * stride,
                  tile_state.tiles[kTile][r].data(), tile_state.shapes.row_bytes[kTile]);
    }
  }
  template <int kSums, int kInputs, int kWeights>
  static void add_byte_products() {
    for_each_product(kSums, kInputs, kWeights,
                     [](std::byte* sum, const std::byte* input, const std::byte* weight) {
                       auto total = read<std::int32_t>(sum);
                       for (int i = 0; i < 4; ++i)
                         total += static_cast<std::int8_t>(input[i]) * static_cast<std::uint8_t>(weight[i]);
                       std::memcpy(sum, &total, sizeof(total));
                     });
  }
  // Even and odd elements are summed apart over the row and added to each other, then to the tile.
  template <int kSums, int kInputs, int kWeights>
  static void add_bf16_products() {
    check(kSums), check(kInputs), check(kWeights);
    check_shapes(kSums, kInputs, kWeights);
    const Halves inputs = halves_of(kInputs);
    const Halves weights = halves_of(kWeights);
    const std::size_t pairs = tile_state.shapes.row_bytes[kInputs] / 4U;
    const std::size_t columns = tile_state.shapes.row_bytes[kSums] / 4U;
    for (std::size_t m = 0; m < tile_state.shapes.rows[kSums]; ++m) {
      std::array<float, 16> even{};
      std::array<float, 16> odd{};
      for (std::size_t k = 0; k < pairs; ++k) {
        for (std::size_t n = 0; n < 16; ++n) {
          even[n] = flushed(__builtin_fmaf(inputs.even[m][k], weights.even[k][n], even[n]));
          odd[n] = flushed(__builtin_fmaf(inputs.odd[m][k], weights.odd[k][n], odd[n]));
        }
      }
      std::array<float, 16> sums{};
      auto& row = tile_state.tiles[kSums][m];
      std::memcpy(sums.data(), row.data(), 4 * columns);
      for (std::size_t n = 0; n < 16; ++n) sums[n] = flushed(flushed(sums[n]) + flushed(even[n] + odd[n]));
      std::memcpy(row.data(), sums.data(), 4 * columns);
    }
  }

 private:
  template <typename T>
  static T read(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof(value));
    return value;
  }
  // A tile's bf16 as float32: [row][pair].
  struct Halves {
    std::array<std::array<float, 16>, 16> even;
    std::array<std::array<float, 16>, 16> odd;
  };
  static Halves halves_of(int tile) {
    Halves halves{};
    for (std::size_t r = 0; r < 16; ++r) {
      for (std::size_t i = 0; i < 16; ++i) {
        const auto pair = read<std::uint32_t>(&tile_state.tiles[static_cast<std::size_t>(tile)][r][4 * i]);
        halves.even[r][i] = flushed(std::bit_cast<float>(pair << 16U));
        halves.odd[r][i] = flushed(std::bit_cast<float>(pair & 0xffff0000U));
      }
    }
    return halves;
  }
  static void check(int tile) {
    require(tile_state.configured && tile < 8 && tile_state.shapes.rows[tile] > 0, "a tile without a shape");
  }
  static void check_shapes(int sums, int inputs, int weights) {
    const auto& shapes = tile_state.shapes;
    require(sums != inputs && sums != weights && inputs != weights, "TDP: three tiles");
    require(shapes.rows[inputs] == shapes.rows[sums] && shapes.row_bytes[weights] == shapes.row_bytes[sums] &&
                shapes.row_bytes[inputs] / 4 == shapes.rows[weights],
            "TDP: shapes that fit");
  }
  template <typename Add>
  static void for_each_product(int sums, int inputs, int weights, Add add) {
    check(sums), check(inputs), check(weights);
    check_shapes(sums, inputs, weights);
    const auto& shapes = tile_state.shapes;
    auto& tiles = tile_state.tiles;
    for (std::size_t m = 0; m < shapes.rows[sums]; ++m) {
      for (std::size_t k = 0; k < shapes.row_bytes[inputs] / 4U; ++k) {
        for (std::size_t n = 0; n < shapes.row_bytes[sums] / 4U; ++n) {
          add(&tiles[static_cast<std::size_t>(sums)][m][4 * n],
              &tiles[static_cast<std::size_t>(inputs)][m][4 * k],
              &tiles[static_cast<std::size_t>(weights)][k][4 * n]);
        }
      }
    }
  }
};

}  // namespace tessera::kernels::emulated
