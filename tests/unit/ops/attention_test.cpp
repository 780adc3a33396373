// Paged attention against the plain definition, whatever the batch, the chunks and the threads.
#include "ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"

namespace tessera::ops {
namespace {

constexpr std::int64_t kBlockSize = 16;
constexpr std::int64_t kHeads = 6;
constexpr std::int64_t kKeyValueHeads = 2;

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// A cache whose memory starts as NaN, so that reading what was never written shows.
struct Cache {
  Cache(DType dtype, std::int64_t blocks, std::int64_t head_dim) {
    layer = {.key_dtype = dtype,
             .value_dtype = dtype,
             .num_blocks = blocks,
             .block_size = kBlockSize,
             .num_key_value_heads = kKeyValueHeads,
             .head_dim = head_dim};
    keys.assign(static_cast<std::size_t>(blocks * kKeyValueHeads * layer.head_key_bytes()), std::byte{0xff});
    values.assign(static_cast<std::size_t>(blocks * kKeyValueHeads * layer.head_value_bytes()),
                  std::byte{0xff});
    layer.keys = keys.data();
    layer.values = values.data();
  }
  std::vector<std::byte> keys;
  std::vector<std::byte> values;
  KeyValueCacheLayer layer;
};

// One forward pass's worth of sequences, each with `tokens` new ones after `past`; blocks are dealt out in
// turn, so that sequences lie interleaved.
struct Batch {
  struct Part {
    std::int32_t past;
    std::int32_t tokens;
  };
  explicit Batch(std::vector<Part> parts, std::int32_t blocks_per_sequence = 8) {
    const auto sequences = static_cast<std::int32_t>(parts.size());
    query_start.push_back(0);
    for (std::int32_t n = 0; n < sequences; ++n) {
      const Part part = parts[static_cast<std::size_t>(n)];
      for (std::int32_t b = 0; b < blocks_per_sequence; ++b) tables.push_back(b * sequences + n);
      for (std::int32_t i = 0; i < part.tokens; ++i) {
        const std::int32_t position = part.past + i;
        tokens.push_back(0);
        positions.push_back(position);
        slots.push_back(static_cast<std::int32_t>((position / kBlockSize * sequences + n) * kBlockSize +
                                                  position % kBlockSize));
      }
      query_start.push_back(query_start.back() + part.tokens);
      lengths.push_back(part.past + part.tokens);
    }
    view = {tokens, positions, query_start, lengths, slots, tables, blocks_per_sequence};
  }
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions, query_start, lengths, slots, tables;
  RaggedBatch view;
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Each test runs again with other thread counts; the pool goes back to one a CPU afterwards.
class PagedAttentionTest : public ::testing::Test {
 protected:
  void TearDown() override { set_thread_count(usable_cpus()); }
};

// u = 2^-24. Scores of D = 40 normal products, |q||k| scale <= (sqrt(40) + 4)^2 / sqrt(40) = 17: (40 + 4) u
// of that is 750 u at most, in the one form; weights change by twice that, values are below 6: 2 * 750 * 6 u
// < 10000 u.
TEST_F(PagedAttentionTest, EqualsTheDefinitionForEveryWindowAndCap) {
  const std::int64_t head_dim = 40;
  const Batch batch({{0, 37}, {0, 1}, {0, 90}});
  const Tensor q = normal({128, kHeads, head_dim}, 1);
  const Tensor k = normal({128, kKeyValueHeads, head_dim}, 2);
  const Tensor v = normal({128, kKeyValueHeads, head_dim}, 3);
  for (const std::int64_t window : {0, 1, 7, 33, 1000}) {
    for (const float cap : {0.0F, 5.0F}) {
      Cache cache(DType::f32, 24, head_dim);
      const AttentionParameters parameters{1.0F / std::sqrt(40.0F), window, cap};
      write_key_values(k, v, batch.view, cache.layer);
      const Tensor paged = paged_attention(q, batch.view, cache.layer, parameters);
      const Tensor dense = dense_attention(q, k, v, batch.view, parameters);
      for (std::size_t i = 0; i < paged.as<float>().size(); ++i) {
        ASSERT_NEAR(paged.as<float>()[i], dense.as<float>()[i], 10000 * 0x1p-24)
            << "window " << window << ", cap " << cap << ", element " << i;
      }
    }
  }
}

TEST_F(PagedAttentionTest, GivesTheSameBitsInChunksInCompanyAndOnAnyNumberOfThreads) {
  const std::int64_t head_dim = 64;
  const Tensor q = normal({100, kHeads, head_dim}, 4);
  const Tensor k = normal({100, kKeyValueHeads, head_dim}, 5);
  const Tensor v = normal({100, kKeyValueHeads, head_dim}, 6);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    for (const std::int64_t window : {0, 20}) {
      const AttentionParameters parameters{0.125F, window, 0.0F};
      set_thread_count(1);
      Cache whole(dtype, 8, head_dim);
      const Batch batch({{0, 100}});
      write_key_values(k, v, batch.view, whole.layer);
      const Tensor expected = paged_attention(q, batch.view, whole.layer, parameters);
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        Cache pieces(dtype, 16, head_dim);
        for (std::int32_t begin = 0, step = 1; begin < 100; begin += step, step = step % 17 + 5) {
          const std::int32_t end = std::min(100, begin + step);
          // The same text twice in the batch: the second sequence is the company.
          const Batch part({{begin, end - begin}, {begin, end - begin}});
          const auto twice = [&](const Tensor& x) {
            Tensor both = Tensor::empty({2 * (end - begin), x.dim(1), x.dim(2)});
            const std::span<const float> rows = x.rows(begin, end).as<float>();
            std::copy(rows.begin(), rows.end(), both.as_mutable<float>().begin());
            std::copy(rows.begin(), rows.end(),
                      both.as_mutable<float>().begin() + static_cast<long>(rows.size()));
            return both;
          };
          write_key_values(twice(k), twice(v), part.view, pieces.layer);
          const Tensor y = paged_attention(twice(q), part.view, pieces.layer, parameters);
          const auto want = expected.rows(begin, end);
          ASSERT_TRUE(same_bits(y.rows(0, end - begin).as<float>(), want.as<float>()))
              << name(dtype) << ", window " << window << ", tokens from " << begin << ", " << threads
              << " threads";
          ASSERT_TRUE(same_bits(y.rows(end - begin, 2 * (end - begin)).as<float>(), want.as<float>()));
        }
      }
    }
  }
}

TEST_F(PagedAttentionTest, RejectsWhatDoesNotFit) {
  Cache cache(DType::f32, 8, 64);
  const Batch batch({{0, 10}});
  const Tensor q = normal({10, kHeads, 64}, 7);
  EXPECT_THROW(paged_attention(normal({10, 5, 64}, 7), batch.view, cache.layer, {}), Error);
  EXPECT_THROW(paged_attention(normal({10, kHeads, 32}, 7), batch.view, cache.layer, {}), Error);
  EXPECT_THROW(paged_attention(normal({9, kHeads, 64}, 7), batch.view, cache.layer, {}), Error);
  Batch outside({{0, 10}});
  outside.slots[3] = 8 * kBlockSize;
  outside.view.slot_mapping = outside.slots;
  const Tensor k = normal({10, kKeyValueHeads, 64}, 8);
  EXPECT_THROW(write_key_values(k, k, outside.view, cache.layer), Error);
  cache.layer.value_dtype = DType::q4_0;
  EXPECT_THROW(paged_attention(q, batch.view, cache.layer, {}), Error);
}

TEST_F(PagedAttentionTest, DenseRefusesAContextItDoesNotHave) {
  const Batch batch({{5, 10}});
  const Tensor q = normal({10, kHeads, 64}, 7);
  const Tensor k = normal({10, kKeyValueHeads, 64}, 8);
  EXPECT_THROW(dense_attention(q, k, k, batch.view, {}), Error);
}

}  // namespace
}  // namespace tessera::ops
