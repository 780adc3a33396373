#include "engine/model_runner.h"

#include <algorithm>

#include "base/error.h"
#include "ops/elementwise.h"

namespace tessera::engine {

ModelRunner::ModelRunner(const models::Model& model, KeyValueCache& cache)
    : model_(&model), cache_(&cache), attention_(cache.layers(), cache.states()) {}

Tensor ModelRunner::run(std::span<const SequenceStep> steps) {
  check(steps);
  const std::vector<std::int64_t> lengths_before = cached_lengths(steps);
  try {
    lay_out(steps);
    cache_->copy_blocks(copies_);
    RaggedBatch batch;
    batch.tokens = tokens_;
    batch.positions = positions_;
    batch.query_start = query_start_;
    batch.context_length = context_length_;
    batch.slot_mapping = slot_mapping_;
    batch.block_tables = block_tables_;
    batch.blocks_per_sequence = blocks_per_sequence_;
    batch.state_slots = state_slots_;
    return wanted_logits(batch);
  } catch (...) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      BlockTable& table = steps[i].sequence->table();
      table.truncate(std::min(table.length(), lengths_before[i]));
    }
    throw;
  }
}

// The last layer computes only the rows that somebody reads, unless adapters have been told of all rows.
Tensor ModelRunner::wanted_logits(const RaggedBatch& batch) {
  const bool adapted = std::ranges::any_of(lora_rows_, [](nn::LoraId id) { return id != nn::kNoLora; });
  if (!adapted && logit_rows_.size() < tokens_.size()) {
    const Tensor hidden = model_->forward_rows(batch, wanted_rows(batch), attention_);  // [R, C]
    return logit_rows_.empty() ? Tensor() : model_->logits(hidden);                     // [R, V]
  }
  const Tensor hidden = forward(batch);  // [T, C]
  if (logit_rows_.empty()) return {};
  const nn::LoraScope adapters(lora_logit_rows_);
  const bool all = logit_rows_.size() == tokens_.size();
  return model_->logits(all ? hidden : ops::gather_rows(hidden, logit_rows_));  // [R, V]
}

Tensor ModelRunner::forward(const RaggedBatch& batch) {
  const nn::LoraScope adapters(lora_rows_);
  return model_->forward(batch, attention_);
}

WantedRows ModelRunner::wanted_rows(const RaggedBatch& batch) {
  wanted_tokens_.clear();
  wanted_positions_.clear();
  wanted_slots_.clear();
  wanted_start_.assign(1, 0);
  std::size_t next = 0;
  for (std::size_t n = 1; n < query_start_.size(); ++n) {
    for (; next < logit_rows_.size() && logit_rows_[next] < query_start_[n]; ++next) {
      const auto row = static_cast<std::size_t>(logit_rows_[next]);
      wanted_tokens_.push_back(tokens_[row]);
      wanted_positions_.push_back(positions_[row]);
      wanted_slots_.push_back(slot_mapping_[row]);
    }
    wanted_start_.push_back(static_cast<std::int32_t>(next));
  }
  WantedRows wanted{.rows = logit_rows_, .batch = batch};
  wanted.batch.tokens = wanted_tokens_;
  wanted.batch.positions = wanted_positions_;
  wanted.batch.slot_mapping = wanted_slots_;
  wanted.batch.query_start = wanted_start_;
  return wanted;
}

void ModelRunner::check(std::span<const SequenceStep> steps) const {
  std::int64_t needed = 0;
  for (const SequenceStep& step : steps) {
    const std::int64_t uncached = step.sequence->length() - step.sequence->cached();
    if (step.tokens < 1 || step.tokens > uncached || step.logit_rows < 0 || step.logit_rows > step.tokens) {
      fail(ErrorKind::internal,
           "model runner: a step of {} tokens with {} rows of logits on a sequence with {} uncached",
           step.tokens, step.logit_rows, uncached);
    }
    needed += step.sequence->table().blocks_needed(step.tokens);
  }
  const BlockManager& manager = cache_->block_manager();
  if (needed > manager.free_blocks()) {
    fail(ErrorKind::limit, "key/value cache: this step needs {} blocks of {} tokens, {} of {} are free",
         needed, manager.block_size(), manager.free_blocks(), manager.num_blocks());
  }
}

std::vector<std::int64_t> ModelRunner::cached_lengths(std::span<const SequenceStep> steps) {
  std::vector<std::int64_t> lengths;
  lengths.reserve(steps.size());
  for (const SequenceStep& step : steps) lengths.push_back(step.sequence->cached());
  return lengths;
}

void ModelRunner::lay_out(std::span<const SequenceStep> steps) {
  for (auto* column : {&positions_, &query_start_, &context_length_, &slot_mapping_, &block_tables_,
                       &state_slots_, &logit_rows_}) {
    column->clear();
  }
  tokens_.clear();
  lora_rows_.clear();
  lora_logit_rows_.clear();
  copies_.clear();
  query_start_.push_back(0);
  std::size_t widest = 0;
  for (const SequenceStep& step : steps) {
    Sequence& sequence = *step.sequence;
    const std::int64_t begin = sequence.cached();
    const std::int64_t end = begin + step.tokens;
    sequence.table().append(step.tokens, copies_);
    for (std::int64_t position = begin; position < end; ++position) {
      tokens_.push_back(sequence.tokens()[static_cast<std::size_t>(position)]);
      positions_.push_back(static_cast<std::int32_t>(position));
      slot_mapping_.push_back(sequence.table().slot(position));
      lora_rows_.push_back(sequence.lora());
      if (position >= end - step.logit_rows) {
        logit_rows_.push_back(static_cast<std::int32_t>(tokens_.size() - 1));
        lora_logit_rows_.push_back(sequence.lora());
      }
    }
    query_start_.push_back(static_cast<std::int32_t>(tokens_.size()));
    context_length_.push_back(static_cast<std::int32_t>(end));
    if (cache_->block_manager().stateful()) state_slots_.push_back(sequence.table().state_slot());
    widest = std::max(widest, sequence.table().blocks().size());
  }
  blocks_per_sequence_ = static_cast<std::int32_t>(widest);
  block_tables_.resize(widest * steps.size(), 0);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::ranges::copy(steps[i].sequence->table().blocks(),
                      block_tables_.begin() + static_cast<std::ptrdiff_t>(i * widest));
  }
}

}  // namespace tessera::engine
