// What a pattern of sparse attention comes to for kernels, which know none: tiles of queries, and the runs of
// keys that each tile sees. One description for all patterns, and no larger than the tiles it names.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/sparse_attention.h"
#include "tensor/attention_pattern.h"

namespace tessera::kernels {

struct SparseTiles {
  std::vector<QueryTile> tiles;
  std::vector<KeyRun> runs;
  std::int64_t past = 0;
  std::int64_t future = 0;

  // Keys that the runs of a tile hold.
  std::int64_t keys_of(const QueryTile& tile) const;
};

// Tiles that cover each query in [row_begin, row_end) of a text of T tokens once. Of a causal pattern other
// than the window, the keys that query i of a tile sees are all its keys but the last rows - 1 - i.
SparseTiles sparse_tiles(const AttentionPattern& pattern, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t T);

}  // namespace tessera::kernels
