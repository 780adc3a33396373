// What the parts of one ISA's attention share: the working memory of a call, the keys a row sees, and where a
// tile lies in the paged cache. Included by its translation units after the vector header.
#pragma once
#include "kernels/cpu/math.h"
#include "kernels/cpu/scratch.h"
#include "kernels/kernel_table.h"

namespace tessera::kernels::TESSERA_ISA {

// Rows whose sums share the registers: kMostRows x 2 vectors, and the vectors they are made of.
inline constexpr int kMostRows = kLanes == 8 ? 6 : 12;  // of 16 or 32 registers
inline constexpr std::int64_t kTileGroups = kKeyTile / kKeyGroup;
inline constexpr std::int64_t kTileColumns = kKeyTile / kLanes;

template <int kValue>
struct IntConstant {
  static constexpr int value = kValue;
};

// Rows are taken in blocks of 12 (where registers allow), 6, 4, 3, 2 and 1: the largest that are left.
TESSERA_INLINE constexpr int block_rows(std::int64_t left) {
  if (left >= kMostRows) return kMostRows;
  if (left >= 6) return 6;
  return left >= 4 ? 4 : static_cast<int>(left);
}

TESSERA_INLINE constexpr std::int64_t lesser(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
TESSERA_INLINE constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
TESSERA_INLINE constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Keys [begin, end): of the sequence, or within a tile.
struct KeyRange {
  std::int64_t begin;
  std::int64_t end;
  bool empty() const { return begin >= end; }
};

TESSERA_INLINE KeyRange visible_keys(const AttentionArguments& arguments, std::int64_t token) {
  const std::int64_t end = arguments.first_position + token + 1;
  return {arguments.sliding_window > 0 ? larger(0, end - arguments.sliding_window) : 0, end};
}

TESSERA_INLINE KeyRange within_tile(KeyRange keys, std::int64_t tile) {
  return {larger(keys.begin - tile * kKeyTile, 0), lesser(keys.end - tile * kKeyTile, kKeyTile)};
}

// Tiles that hold a key which some row sees.
TESSERA_INLINE KeyRange visible_tiles(const AttentionArguments& arguments) {
  return {visible_keys(arguments, 0).begin / kKeyTile,
          divide_up(visible_keys(arguments, arguments.tokens - 1).end, kKeyTile)};
}

// Where the groups of one tile lie; those without a visible key are not looked up.
struct GroupAddresses {
  const std::byte* keys[kTileGroups] = {};
  const std::byte* values[kTileGroups] = {};
};

struct TileGroups {
  GroupAddresses now;
  GroupAddresses next;  // the tile after it, to be fetched meanwhile; null: none
};

static void find_groups(const AttentionArguments& arguments, std::int64_t tile, GroupAddresses& groups) {
  const std::int64_t key_bytes = key_group_bytes(arguments.key_dtype, arguments.head_dim);
  const std::int64_t value_bytes = value_group_bytes(arguments.value_dtype, arguments.head_dim);
  const std::int64_t first =
      larger(tile * kKeyTile, visible_keys(arguments, 0).begin / kKeyGroup * kKeyGroup);
  const std::int64_t end = lesser((tile + 1) * kKeyTile, visible_keys(arguments, arguments.tokens - 1).end);
  const std::int64_t block_groups = arguments.block_size / kKeyGroup;
  const std::int32_t* block = arguments.block_table + first / arguments.block_size;
  std::int64_t group = first % arguments.block_size / kKeyGroup;
  for (std::int64_t key = first; key < end; key += kKeyGroup) {
    const std::int64_t index = key % kKeyTile / kKeyGroup;
    groups.keys[index] = arguments.keys + *block * arguments.key_block_stride + group * key_bytes;
    groups.values[index] = arguments.values + *block * arguments.value_block_stride + group * value_bytes;
    if (++group == block_groups) {
      group = 0;
      ++block;
    }
  }
}

// The lines of one group: the memory's latency passes while the tile before it is computed.
TESSERA_INLINE void prefetch_group(const std::byte* group, std::int64_t bytes) {
  if (group == nullptr) return;
  for (std::int64_t offset = 0; offset < bytes; offset += 64) prefetch(group + offset);
}

// Working memory of one call. Scores are kept in units of ln 2: weights are 2^(score - maximum).
struct AttentionState {
  std::int64_t rows = 0;
  std::int64_t width = 0;         // value_width(head_dim)
  std::int64_t scale_blocks = 0;  // of a q8_0 row
  float* queries = nullptr;       // [rows, width] scaled; of each row block [width, rows of the block]
  float* mixtures = nullptr;      // [rows, width] sum of weight * value so far
  float* maxima = nullptr;        // [rows] largest score so far
  float* totals = nullptr;        // [rows] sum of weights so far
  // Of one tile and up to kMostRows rows:
  float* scores = nullptr;  // [kMostRows, kKeyTile], then weights
  float* scaled_weights =
      nullptr;  // [scale_blocks, kMostRows, kKeyTile] the same, times the scales of q8_0 values
  float* tile_mixtures = nullptr;  // [kMostRows, width]
  // Queries as integers, for q8_0 keys: see attention_scores.h.
  std::int32_t* quants = nullptr;         // of each row block [width / 4, 2, rows of the block]
  float* quant_scales = nullptr;          // [rows, scale_blocks]
  std::int32_t* quant_offsets = nullptr;  // [rows, scale_blocks]
};

static AttentionState make_state(const AttentionArguments& arguments) {
  AttentionState state;
  state.rows = arguments.tokens * arguments.group_size;
  state.width = value_width(arguments.head_dim);
  state.scale_blocks = divide_up(arguments.head_dim, kKeyValueScaleElements);
  const bool quantized = arguments.key_dtype == DType::q8_0;
  const bool scaled = arguments.value_dtype == DType::q8_0;
  const std::int64_t per_row = divide_up(state.rows, 16) * 16;
  const std::int64_t blocks = divide_up(state.rows * state.scale_blocks, 16) * 16;
  float* memory =
      thread_scratch(2 * state.rows * state.width + 2 * per_row + kMostRows * kKeyTile +
                     kMostRows * state.width + (quantized ? state.rows * state.width / 2 + 2 * blocks : 0) +
                     (scaled ? state.scale_blocks * kMostRows * kKeyTile : 0));
  const auto take = [&](std::int64_t floats) {
    float* taken = memory;
    memory += floats;
    return taken;
  };
  state.queries = take(state.rows * state.width);
  state.mixtures = take(state.rows * state.width);
  state.maxima = take(per_row);
  state.totals = take(per_row);
  state.scores = take(kMostRows * kKeyTile);
  state.tile_mixtures = take(kMostRows * state.width);
  if (quantized) {
    state.quants = reinterpret_cast<std::int32_t*>(take(state.rows * state.width / 2));
    state.quant_scales = take(blocks);
    state.quant_offsets = reinterpret_cast<std::int32_t*>(take(blocks));
  }
  if (scaled) state.scaled_weights = take(state.scale_blocks * kMostRows * kKeyTile);
  return state;
}

}  // namespace tessera::kernels::TESSERA_ISA
