// From sequences to logits: lays the tokens to compute of several sequences into one ragged batch, runs the
// model on the paged cache, and projects only the rows whose logits are wanted.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/key_value_cache.h"
#include "engine/sequence.h"
#include "models/model.h"
#include "nn/attention/paged_attention.h"
#include "tensor/tensor.h"

namespace tessera::engine {

// What one sequence does in a step: its next `tokens` uncached tokens; logits of the last `logit_rows` of
// them.
struct SequenceStep {
  Sequence* sequence = nullptr;
  std::int64_t tokens = 0;
  std::int64_t logit_rows = 0;
};

class ModelRunner {
 public:
  // Both must outlive the runner.
  ModelRunner(const models::Model& model, KeyValueCache& cache);

  // Runs one batch → logits [R, V] f32, R = sum of logit_rows in the order of `steps`; undefined tensor when
  // R is 0. Afterwards the tokens count as cached. Error limit when the cache has too few free blocks
  // (nothing has changed then); internal when a step asks for more tokens than its sequence has.
  Tensor run(std::span<const SequenceStep> steps);

  std::int64_t block_size() const { return cache_->block_manager().block_size(); }

 private:
  Tensor forward(const RaggedBatch& batch);
  void check(std::span<const SequenceStep> steps) const;
  static std::vector<std::int64_t> cached_lengths(std::span<const SequenceStep> steps);
  void lay_out(std::span<const SequenceStep> steps);
  Tensor wanted_logits(const RaggedBatch& batch);
  // The rows of `batch`, as laid out, whose logits are wanted: the last ones of each sequence.
  WantedRows wanted_rows(const RaggedBatch& batch);

  const models::Model* model_;
  KeyValueCache* cache_;
  nn::PagedAttention attention_;
  // The batch's arrays, kept between steps so that decoding allocates nothing here.
  std::vector<TokenId> tokens_;
  std::vector<std::int32_t> positions_;
  std::vector<std::int32_t> query_start_;
  std::vector<std::int32_t> context_length_;
  std::vector<std::int32_t> slot_mapping_;
  std::vector<std::int32_t> block_tables_;
  std::int32_t blocks_per_sequence_ = 0;
  std::vector<std::int32_t> state_slots_;
  std::vector<std::int32_t> logit_rows_;
  std::vector<TokenId> wanted_tokens_;
  std::vector<std::int32_t> wanted_positions_;
  std::vector<std::int32_t> wanted_slots_;
  std::vector<std::int32_t> wanted_start_;
  std::vector<nn::LoraId> lora_rows_;        // of each token
  std::vector<nn::LoraId> lora_logit_rows_;  // of each of logit_rows_
  std::vector<BlockCopy> copies_;
};

}  // namespace tessera::engine
