#include "ops/attention.h"

#include <atomic>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/attention_plan.h"
#include "ops/check.h"
#include "ops/grain.h"
#include "ops/sparse_attention.h"

namespace tessera::ops {
namespace {

void expect_cache(const KeyValueCacheLayer& cache, std::int64_t head_dim) {
  if (cache.head_dim != head_dim || cache.num_key_value_heads <= 0 || cache.block_size <= 0 ||
      cache.block_size % kKeyGroup != 0) {
    fail(ErrorKind::internal,
         "attention: a cache of {} heads x {} in blocks of {} does not fit heads of {} in groups of {}",
         cache.num_key_value_heads, cache.head_dim, cache.block_size, head_dim, kKeyGroup);
  }
  for (const DType dtype : {cache.key_dtype, cache.value_dtype}) {
    if (!is_key_value_type(dtype)) {
      fail(ErrorKind::internal, "attention: expected a cache of F32, F16, BF16 or Q8_0, found {}",
           name(dtype));
    }
  }
}

// The units of one call, run by whichever thread is free; the last part of a piece merges its partial
// results.
class AttentionRun {
 public:
  AttentionRun(const kernels::AttentionArguments& common, const RaggedBatch& batch,
               const KeyValueCacheLayer& cache, const AttentionPlan& plan)
      : common_(common), batch_(&batch), cache_(&cache), plan_(&plan) {
    std::int64_t floats = 0;
    for (const AttentionPiece& piece : plan.pieces) {
      partials_at_.push_back(floats);
      if (piece.parts > 1) floats += cache.num_key_value_heads * head_floats(piece);
    }
    if (floats > 0) partials_ = Tensor::empty({floats});
    const auto groups = plan.pieces.size() * static_cast<std::size_t>(cache.num_key_value_heads);
    if (floats > 0) unfinished_ = std::vector<std::atomic<std::int64_t>>(groups);
    for (std::size_t i = 0; i < unfinished_.size(); ++i) {
      unfinished_[i] = plan.pieces[i / static_cast<std::size_t>(cache.num_key_value_heads)].parts;
    }
  }

  void operator()() {
    std::atomic<std::size_t> next{0};
    thread_pool().parallel_for(plan_->threads, 1, [&](std::int64_t, std::int64_t) {
      for (std::size_t i = next++; i < plan_->units.size(); i = next++) run(plan_->units[i]);
    });
  }

 private:
  // Of the partial results of one piece and key/value head.
  std::int64_t head_floats(const AttentionPiece& piece) const {
    return (piece.tile_end - piece.tile_begin) * piece.tokens * common_.group_size *
           kernels::partial_floats(common_.head_dim);
  }

  kernels::AttentionArguments arguments_of(const AttentionPiece& piece, std::int64_t head) const {
    kernels::AttentionArguments arguments = common_;
    const std::int64_t offset =
        piece.first_token * common_.token_stride + head * common_.group_size * common_.head_dim;
    arguments.query += offset;
    arguments.output += offset;
    arguments.tokens = piece.tokens;
    arguments.first_position = piece.first_position;
    arguments.keys = cache_->keys + head * cache_->head_key_bytes();
    arguments.values = cache_->values + head * cache_->head_value_bytes();
    arguments.block_table = batch_->block_tables.data() + piece.sequence * batch_->blocks_per_sequence;
    return arguments;
  }

  void run(const AttentionUnit& unit) {
    const auto index = static_cast<std::size_t>(unit.piece);
    const AttentionPiece& piece = plan_->pieces[index];
    kernels::AttentionArguments arguments = arguments_of(piece, unit.head);
    const auto& table = kernels::active();
    if (piece.parts == 1) return table.attention(arguments);
    const std::int64_t tile_floats =
        piece.tokens * common_.group_size * kernels::partial_floats(common_.head_dim);
    float* partials =
        partials_.as_mutable<float>().data() + partials_at_[index] + unit.head * head_floats(piece);
    arguments.tile_begin = AttentionPlan::part_begin(piece, unit.part);
    arguments.tile_end = AttentionPlan::part_begin(piece, unit.part + 1);
    arguments.partials = partials + (arguments.tile_begin - piece.tile_begin) * tile_floats;
    table.attention_partials(arguments);
    auto& unfinished = unfinished_[index * static_cast<std::size_t>(cache_->num_key_value_heads) +
                                   static_cast<std::size_t>(unit.head)];
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    arguments.tile_begin = piece.tile_begin;
    arguments.tile_end = piece.tile_end;
    arguments.partials = partials;
    table.merge_attention(arguments);
  }

  kernels::AttentionArguments common_;
  const RaggedBatch* batch_;
  const KeyValueCacheLayer* cache_;
  const AttentionPlan* plan_;
  Tensor partials_;
  std::vector<std::int64_t> partials_at_;              // of each piece
  std::vector<std::atomic<std::int64_t>> unfinished_;  // parts of each piece and key/value head
};

}  // namespace

void write_key_values(const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                      const KeyValueCacheLayer& cache) {
  const ProfileTimer timer("write_key_values");
  expect_f32(k, "write_key_values: k");
  expect_f32(v, "write_key_values: v");
  expect_shape(k, {batch.token_count(), cache.num_key_value_heads, cache.head_dim}, "write_key_values: k");
  expect_shape(v, k.shape(), "write_key_values: v");
  expect_cache(cache, cache.head_dim);
  if (static_cast<std::int64_t>(batch.slot_mapping.size()) != batch.token_count()) {
    fail(ErrorKind::internal, "write_key_values: {} slots for {} tokens", batch.slot_mapping.size(),
         batch.token_count());
  }
  const auto store_key = kernels::active().store_key[static_cast<std::size_t>(cache.key_dtype)];
  const auto store_value = kernels::active().store_value[static_cast<std::size_t>(cache.value_dtype)];
  const std::int64_t key_bytes = key_group_bytes(cache.key_dtype, cache.head_dim);
  const std::int64_t value_bytes = value_group_bytes(cache.value_dtype, cache.head_dim);
  const std::int64_t width = cache.num_key_value_heads * cache.head_dim;
  const float* keys = k.as<float>().data();
  const float* values = v.as<float>().data();
  for (const std::int32_t slot : batch.slot_mapping) {
    if (slot < 0 || slot >= cache.num_blocks * cache.block_size) {
      fail(ErrorKind::internal, "write_key_values: slot {} of {}", slot, cache.num_blocks * cache.block_size);
    }
  }
  thread_pool().parallel_for(
      batch.token_count(), row_grain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t t = begin; t < end; ++t) {
          const std::int64_t slot = batch.slot_mapping[static_cast<std::size_t>(t)];
          const std::int64_t head_groups = cache.block_size / kKeyGroup;
          const std::int64_t first = slot / cache.block_size * cache.num_key_value_heads * head_groups +
                                     slot % cache.block_size / kKeyGroup;
          for (std::int64_t h = 0; h < cache.num_key_value_heads; ++h) {
            const std::int64_t group = first + h * head_groups;
            const std::int64_t source = t * width + h * cache.head_dim;
            store_key(keys + source, cache.head_dim, cache.keys + group * key_bytes, slot % kKeyGroup);
            store_value(values + source, cache.head_dim, cache.values + group * value_bytes,
                        slot % kKeyGroup);
          }
        }
      });
}

Tensor paged_attention(const Tensor& q, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                       const AttentionParameters& parameters) {
  const ProfileTimer timer("attention");
  expect_f32(q, "paged_attention: q");
  expect_rank(q, 3, "paged_attention: q");
  expect_dim(q, 0, batch.token_count(), "paged_attention: q");
  expect_cache(cache, q.dim(2));
  const std::int64_t heads = cache.num_key_value_heads;
  expect_dim(q, 1, q.dim(1) / heads * heads, "paged_attention: q");
  const std::int64_t capacity = batch.blocks_per_sequence * cache.block_size;
  for (const std::int32_t length : batch.context_length) {
    if (length > capacity)
      fail(ErrorKind::internal, "paged_attention: context {} in blocks for {}", length, capacity);
  }
  if (!parameters.patterns.empty()) return paged_sparse_attention(q, batch, cache, parameters);
  Tensor y = Tensor::empty(q.shape());
  kernels::AttentionArguments common;
  common.query = q.as<float>().data();
  common.output = y.as_mutable<float>().data();
  common.token_stride = q.dim(1) * q.dim(2);
  common.group_size = q.dim(1) / heads;
  common.head_dim = q.dim(2);
  common.key_dtype = cache.key_dtype;
  common.value_dtype = cache.value_dtype;
  common.block_size = cache.block_size;
  common.key_block_stride = heads * cache.head_key_bytes();
  common.value_block_stride = heads * cache.head_value_bytes();
  common.scale = parameters.scale;
  common.sliding_window = parameters.sliding_window;
  common.logit_softcap = parameters.logit_softcap;
  const AttentionPlan plan = plan_attention(batch, heads, common.group_size, parameters, thread_pool().size(),
                                            kernels::active().attention_partials != nullptr);
  AttentionRun(common, batch, cache, plan)();
  return y;
}

}  // namespace tessera::ops
