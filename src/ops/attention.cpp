#include "ops/attention.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

// Query tokens that one piece of work takes together: enough to reuse a key for all of them while it is in
// cache.
constexpr std::int64_t kTokenTile = 16;

std::size_t element_bytes(DType dtype) { return traits(dtype).block_bytes; }

void expect_cache(const KeyValueCacheLayer& cache, std::int64_t head_dim) {
  if (cache.head_dim != head_dim || cache.num_key_value_heads <= 0 || cache.block_size <= 0) {
    fail(ErrorKind::internal, "attention: a cache of {} heads x {} in blocks of {} does not fit heads of {}",
         cache.num_key_value_heads, cache.head_dim, cache.block_size, head_dim);
  }
  if (kernels::active().narrow[static_cast<std::size_t>(cache.dtype)] == nullptr) {
    fail(ErrorKind::internal, "attention: expected a cache of F32, F16 or BF16, found {}", name(cache.dtype));
  }
}

// What is the same for all work of one call.
kernels::AttentionArguments common_arguments(const Tensor& q, Tensor& y, std::int64_t key_value_heads,
                                             const AttentionParameters& parameters) {
  kernels::AttentionArguments arguments;
  arguments.query = q.as<float>().data();
  arguments.output = y.as_mutable<float>().data();
  arguments.token_stride = q.dim(1) * q.dim(2);
  arguments.group_size = q.dim(1) / key_value_heads;
  arguments.head_dim = q.dim(2);
  arguments.scale = parameters.scale;
  arguments.sliding_window = parameters.sliding_window;
  arguments.logit_softcap = parameters.logit_softcap;
  return arguments;
}

// A piece of work: up to kTokenTile tokens of one sequence and one key/value head.
struct Piece {
  std::int64_t sequence;
  std::int64_t first_token;  // in the batch
  std::int64_t tokens;
  std::int64_t first_position;
};

std::vector<Piece> split(const RaggedBatch& batch) {
  std::vector<Piece> pieces;
  for (std::int64_t n = 0; n < batch.sequence_count(); ++n) {
    const auto index = static_cast<std::size_t>(n);
    const std::int64_t begin = batch.query_start[index];
    const std::int64_t end = batch.query_start[index + 1];
    const std::int64_t first_position = batch.context_length[index] - (end - begin);
    if (begin < 0 || end < begin || end > batch.token_count() || first_position < 0) {
      fail(ErrorKind::internal, "attention: sequence {} has tokens [{}, {}) and a context of {}", n, begin,
           end, batch.context_length[index]);
    }
    for (std::int64_t t = begin; t < end; t += kTokenTile) {
      pieces.push_back({n, t, std::min(kTokenTile, end - t), first_position + t - begin});
    }
  }
  return pieces;
}

// Into how many parts the query heads of a group are cut: one where there is work enough for all threads,
// because the group shares the keys it loads; more when a single token decodes. A divisor of the group;
// results do not depend on it.
std::int64_t group_parts(std::int64_t group_size, std::int64_t pieces) {
  const std::int64_t wanted = 2 * std::int64_t{thread_pool().size()};
  std::int64_t parts = 1;
  while (parts < group_size && (pieces * parts < wanted || group_size % parts != 0)) ++parts;
  return thread_pool().size() == 1 ? 1 : parts;
}

void run(const kernels::AttentionArguments& common, std::span<const Piece> pieces,
         std::int64_t key_value_heads,
         FunctionReference<void(kernels::AttentionArguments&, const Piece&, std::int64_t)> place) {
  const auto kernel = kernels::active().attention;
  const auto heads = static_cast<std::int64_t>(pieces.size()) * key_value_heads;
  const std::int64_t parts = group_parts(common.group_size, heads);
  const std::int64_t group = common.group_size / parts;
  thread_pool().parallel_for(heads * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t work = begin; work < end; ++work) {
      const Piece& piece = pieces[static_cast<std::size_t>(work / parts / key_value_heads)];
      const std::int64_t head = work / parts % key_value_heads;
      kernels::AttentionArguments arguments = common;
      const std::int64_t query_head = head * common.group_size + work % parts * group;
      const std::int64_t offset = piece.first_token * common.token_stride + query_head * common.head_dim;
      arguments.query += offset;
      arguments.output += offset;
      arguments.group_size = group;
      arguments.tokens = piece.tokens;
      arguments.first_position = piece.first_position;
      place(arguments, piece, head);
      kernel(arguments);
    }
  });
}

}  // namespace

void write_key_values(const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                      const KeyValueCacheLayer& cache) {
  expect_f32(k, "write_key_values: k");
  expect_f32(v, "write_key_values: v");
  expect_shape(k, {batch.token_count(), cache.num_key_value_heads, cache.head_dim}, "write_key_values: k");
  expect_shape(v, k.shape(), "write_key_values: v");
  expect_cache(cache, cache.head_dim);
  if (static_cast<std::int64_t>(batch.slot_mapping.size()) != batch.token_count()) {
    fail(ErrorKind::internal, "write_key_values: {} slots for {} tokens", batch.slot_mapping.size(),
         batch.token_count());
  }
  const auto narrow = kernels::active().narrow[static_cast<std::size_t>(cache.dtype)];
  const std::size_t bytes = element_bytes(cache.dtype);
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
          const std::int64_t block = slot / cache.block_size;
          for (std::int64_t h = 0; h < cache.num_key_value_heads; ++h) {
            const std::int64_t row =
                (block * cache.num_key_value_heads + h) * cache.block_size + slot % cache.block_size;
            const std::size_t target = static_cast<std::size_t>(row * cache.head_dim) * bytes;
            const std::int64_t source = t * width + h * cache.head_dim;
            narrow(keys + source, cache.keys + target, cache.head_dim);
            narrow(values + source, cache.values + target, cache.head_dim);
          }
        }
      });
}

Tensor paged_attention(const Tensor& q, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                       const AttentionParameters& parameters) {
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
  Tensor y = Tensor::empty(q.shape());
  kernels::AttentionArguments common = common_arguments(q, y, heads, parameters);
  common.dtype = cache.dtype;
  common.block_size = cache.block_size;
  common.block_stride = heads * cache.block_size * cache.head_dim;
  const auto head_bytes =
      static_cast<std::size_t>(cache.block_size * cache.head_dim) * element_bytes(cache.dtype);
  run(common, split(batch), heads,
      [&](kernels::AttentionArguments& arguments, const Piece& piece, std::int64_t head) {
        arguments.keys = cache.keys + static_cast<std::size_t>(head) * head_bytes;
        arguments.values = cache.values + static_cast<std::size_t>(head) * head_bytes;
        arguments.block_table = batch.block_tables.data() + piece.sequence * batch.blocks_per_sequence;
      });
  return y;
}

}  // namespace tessera::ops
