// The arguments of sparse attention for training: softmax attention and its gradient over tiles of queries
// and the runs of keys they see, which sparse_tiles.h makes of a pattern.
#pragma once
#include <cstdint>

namespace tessera::kernels {

// Rows of a tile, and keys that are taken together, at most.
inline constexpr std::int64_t kSparseTile = 64;

// Keys begin, begin + step, ... below end, step being that of the tile.
struct KeyRun {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Queries first_row + i * step, i < rows. They see the keys of runs [run_begin, run_end), in which key k is
// seen by query q when q - past <= k <= q + future (of the arguments). Runs ascend and do not overlap.
struct QueryTile {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t step = 1;
  std::int64_t run_begin = 0;
  std::int64_t run_end = 0;
};

// The H / K query heads that share one key/value head, over one sequence's own tokens. Row t of head g is at
// p + t * stride + g * head_dim. Time and memory are those of the keys that tiles see: nothing of size T x S
// is kept, the backward computes the scores again from the rows' log sums (Dao et al. 2022).
struct SparseAttentionArguments {
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  float* output = nullptr;
  float* log_sums = nullptr;          // log sum exp of each row's scores: [t * log_sum_stride + g]
  std::int64_t query_stride = 0;      // of query, output and their gradients
  std::int64_t key_value_stride = 0;  // of key, value and their gradients
  std::int64_t log_sum_stride = 0;
  std::int64_t head_dim = 0;  // D
  float scale = 1.0F;
  float logit_softcap = 0.0F;  // 0: none
  // Tiles [tile_begin, tile_end) of heads [head_begin, head_end) of the group.
  std::int64_t head_begin = 0;
  std::int64_t head_end = 0;
  const QueryTile* tiles = nullptr;
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  const KeyRun* runs = nullptr;
  std::int64_t past = 0;  // see QueryTile
  std::int64_t future = 0;
  // The backward alone: dquery is written for the tiles' rows, dkey and dvalue are added to.
  const float* doutput = nullptr;
  float* dquery = nullptr;
  float* dkey = nullptr;
  float* dvalue = nullptr;
};
using SparseAttentionKernel = void (*)(const SparseAttentionArguments&);

}  // namespace tessera::kernels
