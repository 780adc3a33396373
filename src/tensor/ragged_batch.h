// Several sequences in one forward pass: their new tokens laid end to end, and where each one's keys and
// values go. Plain data that the engine (or the trainer) fills and ops read; no room owns a global batch.
#pragma once
#include <cstdint>
#include <span>

#include "base/token_id.h"
#include "tensor/dtype.h"
#include "tensor/key_value_layout.h"

namespace tessera {

// T: new tokens of all sequences together; N: sequences. The spans are borrowed for the duration of one
// forward.
struct RaggedBatch {
  std::span<const TokenId> tokens;          // [T]
  std::span<const std::int32_t> positions;  // [T] position of each token in its own sequence
  std::span<const std::int32_t>
      query_start;  // [N + 1] sequence n owns tokens [query_start[n], query_start[n+1])
  std::span<const std::int32_t> context_length;  // [N] keys visible to the last token of n, its own included
  std::span<const std::int32_t>
      slot_mapping;  // [T] block * block_size + offset where the token's K and V are kept
  std::span<const std::int32_t>
      block_tables;  // [N, blocks_per_sequence] physical blocks of each sequence in order
  std::int32_t blocks_per_sequence = 0;
  std::span<const std::int32_t> state_slots = {};  // [N] where layers with a state of constant size keep it

  std::int64_t token_count() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t sequence_count() const { return static_cast<std::int64_t>(context_length.size()); }
};

// Rows of a batch that somebody will read. The others still need keys and values in every layer, but nothing
// of the last layer beyond those.
struct WantedRows {
  std::span<const std::int32_t> rows;  // [R], ascending
  RaggedBatch batch;                   // these rows alone, of the same N sequences
};

// One layer of the paged cache, owned by the engine. Keys and values each: [blocks, K, block_size /
// kKeyGroup] groups of tensor/key_value_layout.h.
struct KeyValueCacheLayer {
  std::byte* keys = nullptr;
  std::byte* values = nullptr;
  DType key_dtype = DType::f32;  // f32, f16, bf16 or q8_0
  DType value_dtype = DType::f32;
  std::int64_t num_blocks = 0;
  std::int64_t block_size = 0;           // tokens; whole groups
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // D

  // Bytes of one head's keys, or values, in one block; a block has num_key_value_heads times as many.
  std::int64_t head_key_bytes() const {
    return block_size / kKeyGroup * key_group_bytes(key_dtype, head_dim);
  }
  std::int64_t head_value_bytes() const {
    return block_size / kKeyGroup * value_group_bytes(value_dtype, head_dim);
  }
};

// Chunks of the linear kinds of attention begin at multiples of this position of a sequence: within one,
// pairs of tokens meet directly; what came before is a matrix. Prefill, chunked prefill and decoding have the
// same borders, hence the same bits. Tokens of the last chunk can be taken back, earlier ones cannot.
inline constexpr std::int64_t kLinearChunk = 16;

// One layer's states of constant size (linear kinds of attention), owned by the engine: [slots, slot_floats].
struct LinearStateLayer {
  float* states = nullptr;
  std::int64_t num_slots = 0;
  std::int64_t slot_floats = 0;  // 0: this layer has none
};

}  // namespace tessera
