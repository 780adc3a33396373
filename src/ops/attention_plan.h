// How one attention call is cut into work that threads take one after another.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/attention.h"
#include "tensor/ragged_batch.h"

namespace tessera::ops {

// Some tokens of one sequence: rows that share the keys they load.
struct AttentionPiece {
  std::int64_t sequence = 0;
  std::int64_t first_token = 0;  // in the batch
  std::int64_t tokens = 0;
  std::int64_t first_position = 0;
  // Tiles that hold a key which some row sees.
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  std::int64_t parts =
      1;  // into which the tiles are split; more than one: partial results are kept and merged
};

// One part of a piece's tiles for one key/value head.
struct AttentionUnit {
  std::int64_t piece = 0;
  std::int64_t head = 0;
  std::int64_t part = 0;
  std::int64_t work = 0;  // for the order: the longest first
};

struct AttentionPlan {
  std::vector<AttentionPiece> pieces;
  std::vector<AttentionUnit> units;
  std::int64_t threads = 1;  // worth waking

  // Tiles of part `part` of a piece.
  static std::int64_t part_begin(const AttentionPiece& piece, std::int64_t part) {
    return piece.tile_begin + (piece.tile_end - piece.tile_begin) * part / piece.parts;
  }
};

// Long contexts with few rows are split over their tiles where `may_split`. What a row computes does not
// depend on the plan. Error internal: a batch that contradicts itself.
AttentionPlan plan_attention(const RaggedBatch& batch, std::int64_t key_value_heads, std::int64_t group_size,
                             const AttentionParameters& parameters, std::int64_t threads, bool may_split);

}  // namespace tessera::ops
