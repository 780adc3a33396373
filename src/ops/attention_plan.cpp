#include "ops/attention_plan.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/kernel_table.h"

namespace tessera::ops {
namespace {

// Rows that a piece has at most: enough to hide what loading a tile costs, few enough that queries, mixtures
// and a tile stay in L2.
constexpr std::int64_t kPieceRows = 96;
constexpr std::int64_t kFewestPieceRows = 24;
// Units for each thread: with fewer the last one to finish is waited for too long.
constexpr std::int64_t kUnitsPerThread = 8;
// What fetching a tile costs beside the arithmetic of a row on it, in rows.
constexpr std::int64_t kTileCost = 2;
// Below this much work, about five microseconds, waking another thread costs more than it saves.
constexpr std::int64_t kWorkPerThread = 12;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t work_of(const AttentionPiece& piece, std::int64_t group_size) {
  return (piece.tile_end - piece.tile_begin) * (piece.tokens * group_size + kTileCost);
}

std::vector<AttentionPiece> cut(const RaggedBatch& batch, std::int64_t most_tokens, std::int64_t window) {
  std::vector<AttentionPiece> pieces;
  for (std::int64_t n = 0; n < batch.sequence_count(); ++n) {
    const auto index = static_cast<std::size_t>(n);
    const std::int64_t begin = batch.query_start[index];
    const std::int64_t end = batch.query_start[index + 1];
    const std::int64_t first_position = batch.context_length[index] - (end - begin);
    if (begin < 0 || end < begin || end > batch.token_count() || first_position < 0) {
      fail(ErrorKind::internal, "attention: sequence {} has tokens [{}, {}) and a context of {}", n, begin,
           end, batch.context_length[index]);
    }
    for (std::int64_t t = begin; t < end; t += most_tokens) {
      AttentionPiece piece{.sequence = n, .first_token = t, .tokens = std::min(most_tokens, end - t)};
      piece.first_position = first_position + t - begin;
      const std::int64_t first_key =
          window > 0 ? std::max<std::int64_t>(0, piece.first_position + 1 - window) : 0;
      piece.tile_begin = first_key / kernels::kKeyTile;
      piece.tile_end = divide_up(piece.first_position + piece.tokens, kernels::kKeyTile);
      pieces.push_back(piece);
    }
  }
  return pieces;
}

}  // namespace

AttentionPlan plan_attention(const RaggedBatch& batch, std::int64_t key_value_heads, std::int64_t group_size,
                             const AttentionParameters& parameters, std::int64_t threads, bool may_split) {
  AttentionPlan plan;
  const std::int64_t wanted = threads > 1 ? threads * kUnitsPerThread : 1;
  for (std::int64_t rows = kPieceRows; rows >= kFewestPieceRows; rows /= 2) {
    plan.pieces = cut(batch, std::max<std::int64_t>(1, rows / group_size), parameters.sliding_window);
    if (static_cast<std::int64_t>(plan.pieces.size()) * key_value_heads >= wanted) break;
  }
  std::int64_t total = 0;
  for (const AttentionPiece& piece : plan.pieces) total += work_of(piece, group_size) * key_value_heads;
  plan.threads = std::clamp<std::int64_t>(total / kWorkPerThread, 1, threads);
  const std::int64_t share = std::max<std::int64_t>(1, total / wanted);
  for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
    AttentionPiece& piece = plan.pieces[i];
    const std::int64_t work = work_of(piece, group_size);
    if (may_split && plan.threads > 1 && 2 * work > 3 * share) {
      piece.parts = std::clamp<std::int64_t>(divide_up(work, share), 1, piece.tile_end - piece.tile_begin);
    }
    for (std::int64_t head = 0; head < key_value_heads; ++head) {
      for (std::int64_t part = 0; part < piece.parts; ++part) {
        plan.units.push_back({static_cast<std::int64_t>(i), head, part, work / piece.parts});
      }
    }
  }
  std::ranges::stable_sort(plan.units, std::ranges::greater{}, &AttentionUnit::work);
  return plan;
}

}  // namespace tessera::ops
