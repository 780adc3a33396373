// Sparse patterns in training and on the paged cache: against the definition and the explicit mask in
// PyTorch; and the same bits in chunks, in company and on any number of threads.
#include "ops/sparse_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/ref/attention_pattern.h"
#include "numerics/golden_tensors.h"

namespace tessera::ops {
namespace {

constexpr std::int64_t kHeads = 6;
constexpr std::int64_t kKeyValueHeads = 2;
constexpr std::int64_t kBlockSize = 16;

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// Sequences without a past, or with one, blocks dealt out in turn.
struct Batch {
  struct Part {
    std::int32_t past;
    std::int32_t tokens;
  };
  explicit Batch(const std::vector<Part>& parts, std::int32_t blocks_per_sequence = 24) {
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

const AttentionPattern kLocal{.kind = PatternKind::sliding_window, .window = 20};
const AttentionPattern kStrided{.kind = PatternKind::strided, .stride = 7};
const AttentionPattern kFixed{.kind = PatternKind::fixed, .stride = 24, .columns = 5};
const AttentionPattern kBigBird{
    .kind = PatternKind::bigbird, .block = 16, .random_blocks = 2, .seed = 3, .length = 320};
const AttentionPattern kOddBigBird{
    .kind = PatternKind::bigbird, .block = 5, .random_blocks = 1, .seed = 4, .length = 301};

std::vector<std::vector<AttentionPattern>> choices() {
  return {{kLocal},      {kStrided},         {kFixed},           {kBigBird},
          {kOddBigBird}, {kLocal, kStrided}, {kFixed, kBigBird}, {{}, kFixed}};
}

AttentionParameters with(std::vector<AttentionPattern> patterns, std::int64_t head_dim) {
  AttentionParameters parameters{1.0F / std::sqrt(static_cast<float>(head_dim))};
  parameters.patterns = std::move(patterns);
  return parameters;
}

// The definition, head by head, for a sequence of tokens [begin, end) of the batch.
std::vector<double> defined(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t begin,
                            std::int64_t end, std::int64_t head, const AttentionParameters& parameters) {
  const auto rows = [&](const Tensor& x, std::int64_t of_head) {
    std::vector<double> values;
    for (std::int64_t t = begin; t < end; ++t) {
      const auto row = x.as<float>().subspan(static_cast<std::size_t>((t * x.dim(1) + of_head) * x.dim(2)),
                                             static_cast<std::size_t>(x.dim(2)));
      values.insert(values.end(), row.begin(), row.end());
    }
    return values;
  };
  const std::int64_t shared = head / (q.dim(1) / k.dim(1));
  AttentionPattern pattern = pattern_of(parameters, head);
  const std::int64_t T = end - begin;
  const std::int64_t length = std::max(T, pattern.length);
  std::vector<double> out(static_cast<std::size_t>(length * q.dim(2)));
  const auto padded = [&](std::vector<double> x) {  // behind the text: nobody looks there
    x.resize(out.size());
    return x;
  };
  kernels::ref::pattern_attention_masked(pattern, length, q.dim(2), q.dim(2), double{parameters.scale},
                                         padded(rows(q, head)), padded(rows(k, shared)),
                                         padded(rows(v, shared)), out);
  return out;
}

class SparseAttention : public ::testing::Test {
 protected:
  void TearDown() override { set_thread_count(usable_cpus()); }
};

// 10000 u: see PagedAttentionTest.EqualsTheDefinitionForEveryWindowAndCap.
TEST_F(SparseAttention, IsTheDefinitionInTrainingAndOnTheCache) {
  const std::int64_t head_dim = 40;
  const Batch batch({{0, 37}, {0, 1}, {0, 230}});
  const std::int64_t T = batch.view.token_count();
  const Tensor q = normal({T, kHeads, head_dim}, 1);
  const Tensor k = normal({T, kKeyValueHeads, head_dim}, 2);
  const Tensor v = normal({T, kKeyValueHeads, head_dim}, 3);
  for (const auto& patterns : choices()) {
    const AttentionParameters parameters = with(patterns, head_dim);
    const Tensor trained = sparse_attention(q, k, v, batch.view, parameters);
    Cache cache(DType::f32, 72, head_dim);
    write_key_values(k, v, batch.view, cache.layer);
    const Tensor paged = paged_attention(q, batch.view, cache.layer, parameters);
    for (std::size_t n = 0; n + 1 < batch.query_start.size(); ++n) {
      const std::int64_t begin = batch.query_start[n];
      const std::int64_t end = batch.query_start[n + 1];
      for (std::int64_t head = 0; head < kHeads; ++head) {
        const std::vector<double> expected = defined(q, k, v, begin, end, head, parameters);
        for (std::int64_t i = 0; i < (end - begin) * head_dim; ++i) {
          const auto at =
              static_cast<std::size_t>(((begin + i / head_dim) * kHeads + head) * head_dim + i % head_dim);
          const double want = expected[static_cast<std::size_t>(i)];
          ASSERT_NEAR(trained.as<float>()[at], want, 10000 * 0x1p-24)
              << "pattern " << static_cast<int>(patterns[0].kind) << ", head " << head;
          ASSERT_NEAR(paged.as<float>()[at], want, 10000 * 0x1p-24)
              << "pattern " << static_cast<int>(patterns[0].kind) << ", head " << head;
        }
      }
    }
  }
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST_F(SparseAttention, OnTheCacheHasTheSameBitsInChunksInCompanyAndOnAnyNumberOfThreads) {
  constexpr std::int32_t kT = 300;
  const std::int64_t head_dim = 32;
  const Tensor q = normal({kT, kHeads, head_dim}, 4);
  const Tensor k = normal({kT, kKeyValueHeads, head_dim}, 5);
  const Tensor v = normal({kT, kKeyValueHeads, head_dim}, 6);
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    for (const auto& patterns : choices()) {
      const AttentionParameters parameters = with(patterns, head_dim);
      set_thread_count(1);
      Cache whole(dtype, 24, head_dim);
      const Batch batch({{0, kT}});
      write_key_values(k, v, batch.view, whole.layer);
      const Tensor expected = paged_attention(q, batch.view, whole.layer, parameters);
      set_thread_count(3);
      Cache pieces(dtype, 48, head_dim);
      for (std::int32_t begin = 0, step = 1; begin < kT; begin += step, step = step % 61 + 9) {
        if (begin > 150 && begin < 170) step = 1;  // decoding
        const std::int32_t end = std::min(kT, begin + step);
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
            << name(dtype) << ", pattern " << static_cast<int>(patterns[0].kind) << ", tokens from " << begin;
        ASSERT_TRUE(same_bits(y.rows(end - begin, 2 * (end - begin)).as<float>(), want.as<float>()));
      }
    }
  }
}

struct Gradients {
  Tensor q, k, v;
};

Gradients gradients_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dy,
                       const RaggedBatch& batch, const AttentionParameters& parameters) {
  autograd::Tape tape;
  for (const Tensor& input : {q, k, v}) tape.watch(input);
  Tensor y;
  {
    const autograd::RecordingScope recording(tape);
    y = sparse_attention(q, k, v, batch, parameters);
  }
  const Tensor loss = Tensor::zeros({1});  // sum of y dy
  tape.record({loss}, {}, [y, dy](autograd::Tape& t) {
    const std::span<const float> from = dy.as<float>();
    Tensor to = t.gradient_to_write(y).values;
    std::copy(from.begin(), from.end(), to.as_mutable<float>().begin());
  });
  tape.backward(loss);
  return {tape.gradient(q), tape.gradient(k), tape.gradient(v)};
}

TEST_F(SparseAttention, HasTheSameBitsOfGradientsOnAnyNumberOfThreads) {
  const Batch batch({{0, 70}, {0, 150}});
  const Tensor q = normal({220, kHeads, 16}, 1);
  const Tensor k = normal({220, kKeyValueHeads, 16}, 2);
  const Tensor v = normal({220, kKeyValueHeads, 16}, 3);
  const Tensor dy = normal({220, kHeads, 16}, 4);
  for (const auto& patterns : choices()) {
    set_thread_count(1);
    const Gradients one = gradients_of(q, k, v, dy, batch.view, with(patterns, 16));
    set_thread_count(3);
    const Gradients three = gradients_of(q, k, v, dy, batch.view, with(patterns, 16));
    EXPECT_TRUE(same_bits(one.q.as<float>(), three.q.as<float>()));
    EXPECT_TRUE(same_bits(one.k.as<float>(), three.k.as<float>()));
    EXPECT_TRUE(same_bits(one.v.as<float>(), three.v.as<float>()));
  }
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape) {
  Tensor tensor = Tensor::empty(shape);
  std::transform(values.begin(), values.end(), tensor.as_mutable<float>().begin(),
                 [](double value) { return static_cast<float>(value); });
  return tensor;
}

// With magnitudes below 4 and D = 4, scores within 32 are off by (D + 8) u 32, probabilities relatively by e
// = 2 (D + 8) u 32 + (T + 8) u = 820 u. A gradient is a sum of p times products below 2 * 64 * 4 whose p add
// up to no more than T / 4 for one key: 3 e * 512 * 10 is 0.75, which no wrong mask would notice; the errors
// of a key's rows are independent and p is mostly far from 1, so 1e-4 is asked for instead.
TEST_F(SparseAttention, HasTheGradientsThatPyTorchHasWithTheMaskGiven) {
  const std::map<std::string, AttentionPattern> patterns = {
      {"window_causal", {.kind = PatternKind::sliding_window, .window = 6}},
      {"window_both", {.kind = PatternKind::sliding_window, .causal = false, .window = 6}},
      {"strided", {.kind = PatternKind::strided, .stride = 5}},
      {"fixed", {.kind = PatternKind::fixed, .stride = 5, .columns = 2}},
      {"bigbird",
       {.kind = PatternKind::bigbird, .causal = false, .block = 4, .random_blocks = 1, .seed = 99}},
      {"bigbird_causal", {.kind = PatternKind::bigbird, .block = 4, .random_blocks = 1, .seed = 99}},
      {"bigbird_short", {.kind = PatternKind::bigbird, .block = 4, .random_blocks = 3, .seed = 99}}};
  kernels::GoldenTensors golden = kernels::read_golden_tensors("sparse_attention/gradients.txt");
  constexpr std::int32_t kT = 40;
  const Tensor q = tensor_of(golden.at("q"), {kT, 2, 4});
  const Tensor k = tensor_of(golden.at("k"), {kT, 1, 4});
  const Tensor v = tensor_of(golden.at("v"), {kT, 1, 4});
  const Tensor weights = tensor_of(golden.at("weights"), {kT, 2, 4});
  const Batch batch({{0, kT}});
  constexpr double kTolerance = 1e-4;
  for (const auto& [name, pattern] : patterns) {
    const AttentionParameters parameters = with({pattern}, 4);
    const Tensor y = sparse_attention(q, k, v, batch.view, parameters);
    const Gradients gradients = gradients_of(q, k, v, weights, batch.view, parameters);
    const std::pair<const char*, Tensor> results[] = {
        {"_o", y}, {"_dq", gradients.q}, {"_dk", gradients.k}, {"_dv", gradients.v}};
    for (const auto& [part, found] : results) {
      const std::vector<double>& expected = golden.at(name + part);
      ASSERT_EQ(found.as<float>().size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(found.as<float>()[i], expected[i], kTolerance) << name << part << " " << i;
      }
    }
  }
}

TEST_F(SparseAttention, RefusesATextLongerThanItsBlocksWereCountedIn) {
  const Batch batch({{0, 330}});
  const Tensor q = normal({330, kHeads, 8}, 1);
  const Tensor k = normal({330, kKeyValueHeads, 8}, 2);
  EXPECT_THROW(sparse_attention(q, k, k, batch.view, with({kBigBird}, 8)), Error);
}

}  // namespace
}  // namespace tessera::ops
