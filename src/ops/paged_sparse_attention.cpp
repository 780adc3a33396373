// Sparse patterns on the paged cache. A piece of a sequence's tokens that see the same keys, but for where
// they end, has those keys and values copied side by side; on the copies it is plain causal attention, done
// by the kernels of ops/attention.cpp. Tiles of keys are counted along the copies, so that a token's bits
// depend on what it sees alone. Copying n keys costs less than attending to them.
#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "kernels/key_value_copy.h"
#include "kernels/sparse_tiles.h"
#include "ops/sparse_attention.h"
#include "tensor/storage.h"

namespace tessera::ops {
namespace {

// Keys and values of one head, side by side in groups. One a thread, kept and grown.
struct SideBySide {
  std::shared_ptr<Storage> memory;
  std::vector<std::int32_t> groups;  // 0, 1, 2, ...: a block table
  std::byte* keys = nullptr;
  std::byte* values = nullptr;

  void reserve(const KeyValueCacheLayer& cache, std::int64_t count) {
    const std::int64_t wanted = (count + kKeyGroup - 1) / kKeyGroup;
    const std::int64_t key_bytes = wanted * key_group_bytes(cache.key_dtype, cache.head_dim);
    const auto bytes =
        static_cast<std::size_t>(key_bytes + wanted * value_group_bytes(cache.value_dtype, cache.head_dim));
    if (memory == nullptr || memory->bytes().size() < bytes) {
      memory = nullptr;  // let go of the old memory first
      memory = Storage::allocate(bytes);
    }
    keys = memory->mutable_bytes().data();
    values = keys + key_bytes;
    while (static_cast<std::int64_t>(groups.size()) < wanted) {
      groups.push_back(static_cast<std::int32_t>(groups.size()));
    }
  }
};

// One head of the cache, as one sequence sees it.
struct CachedHead {
  const KeyValueCacheLayer* cache;
  const std::int32_t* block_table;
  std::int64_t head;

  std::int64_t group_index(std::int64_t position) const {
    const std::int64_t block = block_table[position / cache->block_size];
    const std::int64_t groups = cache->block_size / kKeyGroup;
    return (block * cache->num_key_value_heads + head) * groups + position % cache->block_size / kKeyGroup;
  }
};

// The keys of `run` to places from `place` on; returns the place after them.
std::int64_t copy_run(const CachedHead& head, const kernels::KeyRun& run, std::int64_t step,
                      SideBySide& target, std::int64_t place) {
  const KeyValueCacheLayer& cache = *head.cache;
  const std::int64_t key_bytes = key_group_bytes(cache.key_dtype, cache.head_dim);
  const std::int64_t value_bytes = value_group_bytes(cache.value_dtype, cache.head_dim);
  for (std::int64_t key = run.begin; key < run.end;) {
    const std::int64_t from = key % kKeyGroup;
    const std::int64_t to = place % kKeyGroup;
    const std::int64_t count = step > 1 ? 1 : std::min({run.end - key, kKeyGroup - from, kKeyGroup - to});
    const std::int64_t group = head.group_index(key);
    kernels::copy_keys(cache.key_dtype, cache.head_dim, cache.keys + group * key_bytes, from,
                       target.keys + place / kKeyGroup * key_bytes, to, count);
    kernels::copy_values(cache.value_dtype, cache.head_dim, cache.values + group * value_bytes, from,
                         target.values + place / kKeyGroup * value_bytes, to, count);
    key += count * step;
    place += count;
  }
  return place;
}

// Tokens of one sequence and some query heads of one key/value head.
struct Unit {
  std::int64_t sequence;
  std::int64_t tile;
  std::int64_t query_head;  // the first
};

class PagedSparseRun {
 public:
  PagedSparseRun(const Tensor& q, Tensor& y, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                 const AttentionParameters& parameters)
      : batch_(&batch), cache_(&cache), parameters_(&parameters) {
    heads_ = q.dim(1);
    patterns_ = std::min<std::int64_t>(static_cast<std::int64_t>(parameters.patterns.size()), heads_);
    const std::int64_t group = heads_ / cache.num_key_value_heads;
    heads_alike_ = patterns_ == 1 ? group : 1;
    common_.query = q.as<float>().data();
    common_.output = y.as_mutable<float>().data();
    common_.token_stride = heads_ * cache.head_dim;
    common_.group_size = heads_alike_;
    common_.head_dim = cache.head_dim;
    common_.key_dtype = cache.key_dtype;
    common_.value_dtype = cache.value_dtype;
    common_.scale = parameters.scale;
    common_.logit_softcap = parameters.logit_softcap;
    for (std::int64_t n = 0; n < batch.sequence_count(); ++n) plan(n);
  }

  void operator()() {
    thread_pool().parallel_for(static_cast<std::int64_t>(units_.size()), 1,
                               [&](std::int64_t begin, std::int64_t end) {
                                 for (std::int64_t i = begin; i < end; ++i) {
                                   run(units_[static_cast<std::size_t>(i)]);
                                 }
                               });
  }

 private:
  std::int64_t first_position(std::int64_t n) const {
    const auto at = static_cast<std::size_t>(n);
    return batch_->context_length[at] - (batch_->query_start[at + 1] - batch_->query_start[at]);
  }
  const kernels::SparseTiles& tiles_of(std::int64_t n, std::int64_t query_head) const {
    return tiles_[static_cast<std::size_t>(n * patterns_ + query_head % patterns_)];
  }

  void plan(std::int64_t n) {
    const std::int64_t length = batch_->context_length[static_cast<std::size_t>(n)];
    for (std::int64_t p = 0; p < patterns_; ++p) {
      const AttentionPattern pattern = pattern_of(*parameters_, p);
      if (!pattern.causal) fail(ErrorKind::internal, "paged attention: a pattern that looks ahead");
      expect_within(pattern, length);
      tiles_.push_back(kernels::sparse_tiles(pattern, first_position(n), length, length));
    }
    for (std::int64_t head = 0; head < heads_; head += heads_alike_) {
      const auto count = static_cast<std::int64_t>(tiles_of(n, head).tiles.size());
      for (std::int64_t tile = 0; tile < count; ++tile) units_.push_back({n, tile, head});
    }
  }

  void run(const Unit& unit) const {
    const kernels::SparseTiles& tiles = tiles_of(unit.sequence, unit.query_head);
    const kernels::QueryTile& tile = tiles.tiles[static_cast<std::size_t>(unit.tile)];
    const std::int64_t token = batch_->query_start[static_cast<std::size_t>(unit.sequence)] + tile.first_row -
                               first_position(unit.sequence);
    const CachedHead head{cache_, batch_->block_tables.data() + unit.sequence * batch_->blocks_per_sequence,
                          unit.query_head / (heads_ / cache_->num_key_value_heads)};
    kernels::AttentionArguments a = common_;
    const std::int64_t offset = token * common_.token_stride + unit.query_head * common_.head_dim;
    a.query += offset;
    a.output += offset;
    a.token_stride *= tile.step;
    a.tokens = tile.rows;
    const AttentionPattern pattern = pattern_of(*parameters_, unit.query_head);
    const kernels::KeyRun& last = tiles.runs[static_cast<std::size_t>(tile.run_end - 1)];
    const bool one_run = tile.run_end - tile.run_begin == 1 && tile.step == 1;
    if (pattern.kind == PatternKind::sliding_window || (one_run && last.begin == 0)) {
      a.sliding_window = pattern.kind == PatternKind::sliding_window ? pattern.window : 0;
      attend_in_place(a, tile, head);
    } else {
      attend_side_by_side(a, tiles, tile, head);
    }
  }

  // Windows, and rows that see everything before them: the keys as they lie in the cache.
  static void attend_in_place(kernels::AttentionArguments& a, const kernels::QueryTile& tile,
                              const CachedHead& head) {
    const KeyValueCacheLayer& cache = *head.cache;
    a.first_position = tile.first_row;
    a.keys = cache.keys + head.head * cache.head_key_bytes();
    a.values = cache.values + head.head * cache.head_value_bytes();
    a.block_table = head.block_table;
    a.block_size = cache.block_size;
    a.key_block_stride = cache.num_key_value_heads * cache.head_key_bytes();
    a.value_block_stride = cache.num_key_value_heads * cache.head_value_bytes();
    kernels::active().attention(a);
  }

  static void attend_side_by_side(kernels::AttentionArguments& a, const kernels::SparseTiles& tiles,
                                  const kernels::QueryTile& tile, const CachedHead& head) {
    thread_local SideBySide copies;
    const std::int64_t count = tiles.keys_of(tile);
    copies.reserve(*head.cache, count);
    std::int64_t place = 0;
    for (std::int64_t run = tile.run_begin; run < tile.run_end; ++run) {
      place = copy_run(head, tiles.runs[static_cast<std::size_t>(run)], tile.step, copies, place);
    }
    a.first_position = count - tile.rows;  // the tile's own keys are the last
    a.keys = copies.keys;
    a.values = copies.values;
    a.block_table = copies.groups.data();
    a.block_size = kKeyGroup;
    a.key_block_stride = key_group_bytes(a.key_dtype, a.head_dim);
    a.value_block_stride = value_group_bytes(a.value_dtype, a.head_dim);
    kernels::active().attention(a);
  }

  const RaggedBatch* batch_;
  const KeyValueCacheLayer* cache_;
  const AttentionParameters* parameters_;
  kernels::AttentionArguments common_;
  std::int64_t heads_ = 0;
  std::int64_t patterns_ = 1;
  std::int64_t heads_alike_ = 1;             // neighbours with one pattern and one key/value head
  std::vector<kernels::SparseTiles> tiles_;  // [N, patterns]
  std::vector<Unit> units_;
};

}  // namespace

Tensor paged_sparse_attention(const Tensor& q, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                              const AttentionParameters& parameters) {
  Tensor y = Tensor::empty(q.shape());
  PagedSparseRun(q, y, batch, cache, parameters)();
  return y;
}

}  // namespace tessera::ops
