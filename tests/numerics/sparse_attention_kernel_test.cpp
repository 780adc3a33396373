// Sparse attention of every ISA, forward and backward, against the definition of each pattern with its mask:
// odd sizes, fresh random inputs, poisoned outputs; and the tiles themselves: each pair once, and their cost.
#include <array>
#include <set>

#include "kernels/ref/attention_pattern.h"
#include "kernels/sparse_tiles.h"
#include "kernels/training_table.h"
#include "numerics/golden_tensors.h"
#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

constexpr double kU = kUnitRoundoff;

std::vector<AttentionPattern> patterns_to_try() {
  return {{},
          {.causal = false},
          {.kind = PatternKind::sliding_window, .window = 1},
          {.kind = PatternKind::sliding_window, .window = 70},
          {.kind = PatternKind::sliding_window, .window = 1000},
          {.kind = PatternKind::sliding_window, .causal = false, .window = 13},
          {.kind = PatternKind::strided, .stride = 1},
          {.kind = PatternKind::strided, .stride = 11},
          {.kind = PatternKind::fixed, .stride = 16, .columns = 3},
          {.kind = PatternKind::fixed, .stride = 75, .columns = 20},
          {.kind = PatternKind::fixed, .stride = 9, .columns = 0},
          {.kind = PatternKind::bigbird, .causal = false, .block = 8, .random_blocks = 2, .seed = 5},
          {.kind = PatternKind::bigbird, .block = 8, .random_blocks = 2, .seed = 5},
          {.kind = PatternKind::bigbird, .block = 70, .random_blocks = 1, .seed = 5},
          {.kind = PatternKind::bigbird, .block = 16, .random_blocks = 2, .seed = 5, .length = 1000}};
}

std::int64_t length_of(const AttentionPattern& pattern, std::int64_t T) {
  return pattern.length > 0 ? pattern.length : T;
}

std::string named(const AttentionPattern& p) {
  return "pattern " + std::to_string(static_cast<int>(p.kind)) + (p.causal ? " causal" : "") + " window " +
         std::to_string(p.window) + " stride " + std::to_string(p.stride) + " columns " +
         std::to_string(p.columns) + " block " + std::to_string(p.block);
}

TEST(SparseTiles, HoldEveryVisiblePairOnceAndNoOther) {
  for (const AttentionPattern& pattern : patterns_to_try()) {
    for (const std::int64_t T : {1, 5, 64, 65, 300}) {
      const SparseTiles tiles = sparse_tiles(pattern, 0, T, T);
      std::set<std::pair<std::int64_t, std::int64_t>> pairs;
      std::set<std::int64_t> rows;
      for (const QueryTile& tile : tiles.tiles) {
        ASSERT_LE(tile.rows, kSparseTile);
        for (std::int64_t i = 0; i < tile.rows; ++i) {
          const std::int64_t q = tile.first_row + i * tile.step;
          ASSERT_TRUE(rows.insert(q).second) << "row " << q << " twice, " << named(pattern);
          for (std::int64_t run = tile.run_begin; run < tile.run_end; ++run) {
            const KeyRun& keys = tiles.runs[static_cast<std::size_t>(run)];
            ASSERT_GE(keys.begin, 0);
            for (std::int64_t k = keys.begin; k < keys.end; k += tile.step) {
              ASSERT_LT(k, T) << named(pattern);
              if (q - tiles.past > k || k > q + tiles.future) continue;
              ASSERT_TRUE(pairs.insert({q, k}).second) << "pair twice, " << named(pattern);
            }
          }
        }
      }
      ASSERT_EQ(static_cast<std::int64_t>(rows.size()), T);
      for (std::int64_t q = 0; q < T; ++q) {
        for (std::int64_t k = 0; k < T; ++k) {
          ASSERT_EQ(pairs.count({q, k}), ref::attends(pattern, q, k, length_of(pattern, T)) ? 1U : 0U)
              << q << " " << k << " of " << T << ", " << named(pattern);
        }
      }
    }
  }
}

TEST(SparseTiles, OfPartOfATextAreThoseOfTheWhole) {
  for (const AttentionPattern& pattern : patterns_to_try()) {
    if (!pattern.causal) continue;
    const SparseTiles tiles = sparse_tiles(pattern, 37, 150, 300);
    std::int64_t rows = 0;
    for (const QueryTile& tile : tiles.tiles) {
      rows += tile.rows;
      const std::int64_t last = tile.first_row + (tile.rows - 1) * tile.step;
      ASSERT_GE(tile.first_row, 37);
      ASSERT_LT(last, 150);
      if (pattern.kind == PatternKind::sliding_window) continue;
      std::int64_t seen = 0;
      for (std::int64_t k = 0; k <= last; ++k) {
        seen += ref::attends(pattern, last, k, length_of(pattern, 300)) ? 1 : 0;
      }
      EXPECT_EQ(tiles.keys_of(tile), seen) << named(pattern);
    }
    EXPECT_EQ(rows, 150 - 37);
  }
}

// Rows of a tile times the keys it meets: what the kernels do.
double work(const AttentionPattern& pattern, std::int64_t T) {
  const SparseTiles tiles = sparse_tiles(pattern, 0, T, T);
  double pairs = 0;
  for (const QueryTile& tile : tiles.tiles) {
    pairs += static_cast<double>(tile.rows) * static_cast<double>(tiles.keys_of(tile));
  }
  return pairs;
}

TEST(SparseTiles, CostWhatTheoryPromises) {
  const auto T = std::int64_t{16384};
  const auto t = static_cast<double>(T);
  EXPECT_LE(work({.kind = PatternKind::sliding_window, .window = 256}, T), t * (256 + kSparseTile));
  EXPECT_LE(work({.kind = PatternKind::strided, .stride = 128}, T), t * (t / 128 / 2 + kSparseTile));
  EXPECT_LE(work({.kind = PatternKind::fixed, .stride = 128, .columns = 8}, T), t * (128 + 8 * t / 128 / 2));
  EXPECT_LE(work({.kind = PatternKind::bigbird, .block = 64, .random_blocks = 3, .seed = 1}, T),
            t * (3 + 2 + 3) * 64 + 64 * t);
}

struct SparseCase {
  std::int64_t tokens, group, head_dim;
  float softcap;
};

// The five results of one key/value head: output, log sums, and the gradients of q, k and v.
using Results = std::array<std::vector<float>, 5>;

// By the definition, in double: every pair asked for.
class Definition {
 public:
  Definition(const AttentionPattern& pattern, const SparseAttentionArguments& a, std::int64_t T)
      : pattern_(pattern), a_(a), T_(T) {}

  void head(std::int64_t g, Results& results) const {
    for (std::int64_t q = 0; q < T_; ++q) row(q, g, results);
  }

 private:
  double dot(const float* x, const float* y) const {
    double sum = 0;
    for (std::int64_t d = 0; d < a_.head_dim; ++d) sum += double{x[d]} * double{y[d]};
    return sum;
  }
  void row(std::int64_t q, std::int64_t g, Results& results) const {
    const std::int64_t at = q * a_.query_stride + g * a_.head_dim;
    std::vector<double> p(static_cast<std::size_t>(T_));
    std::vector<double> slope(p.size(), 1.0);
    double total = 0;
    for (std::int64_t k = 0; k < T_; ++k) {
      if (!ref::attends(pattern_, q, k, length_of(pattern_, T_))) continue;
      const auto i = static_cast<std::size_t>(k);
      double score = dot(a_.query + at, a_.key + k * a_.key_value_stride) * double{a_.scale};
      const double cap = a_.logit_softcap;
      if (cap > 0) {
        score = cap * std::tanh(score / cap);
        slope[i] = 1 - (score / cap) * (score / cap);
      }
      p[i] = std::exp(score);
      total += p[i];
    }
    results[1][static_cast<std::size_t>(q * a_.log_sum_stride + g)] = static_cast<float>(std::log(total));
    std::vector<double> mixture(static_cast<std::size_t>(a_.head_dim));
    for (std::size_t k = 0; k < p.size(); ++k) {
      p[k] /= total;
      const float* value = a_.value + static_cast<std::int64_t>(k) * a_.key_value_stride;
      for (std::size_t d = 0; d < mixture.size(); ++d) mixture[d] += p[k] * double{value[d]};
    }
    double delta = 0;
    for (std::size_t d = 0; d < mixture.size(); ++d) {
      const std::size_t to = static_cast<std::size_t>(at) + d;
      results[0][to] = static_cast<float>(mixture[d]);
      results[2][to] = 0;
      delta += mixture[d] * double{a_.doutput[to]};
    }
    for (std::size_t k = 0; k < p.size(); ++k) {
      const auto key_at = k * static_cast<std::size_t>(a_.key_value_stride);
      const double dp = dot(a_.doutput + at, a_.value + key_at);
      const double dscore = p[k] * (dp - delta) * slope[k] * double{a_.scale};
      for (std::size_t d = 0; d < mixture.size(); ++d) {
        const std::size_t to = static_cast<std::size_t>(at) + d;
        results[2][to] += static_cast<float>(dscore * double{a_.key[key_at + d]});
        results[3][key_at + d] += static_cast<float>(dscore * double{a_.query[to]});
        results[4][key_at + d] += static_cast<float>(p[k] * double{a_.doutput[to]});
      }
    }
  }

  AttentionPattern pattern_;
  SparseAttentionArguments a_;
  std::int64_t T_;
};

class SparseAttentionKernels : public KernelTest {
 protected:
  void compare(const AttentionPattern& pattern, const SparseCase& c);
};

void run(const TrainingTable& table, SparseAttentionArguments a, const SparseTiles& tiles, std::int64_t group,
         Results& memory) {
  a.output = memory[0].data();
  a.log_sums = memory[1].data();
  a.dquery = memory[2].data();
  a.dkey = memory[3].data();
  a.dvalue = memory[4].data();
  a.tiles = tiles.tiles.data();
  a.runs = tiles.runs.data();
  a.past = tiles.past;
  a.future = tiles.future;
  a.head_end = group;
  a.tile_end = static_cast<std::int64_t>(tiles.tiles.size());
  table.sparse_attention(a);
  table.sparse_attention_gradient(a);
}

// The bounds are those of flash attention in training_kernel_test.cpp: a score is off by e = (D + 8) u scale
// sum |q k|, probabilities relatively by 2 e + (T + 8) u; gradients are sums of products of such. dkey and
// dvalue add rows of the sums of tiles: T more roundings of the running sum.
void SparseAttentionKernels::compare(const AttentionPattern& pattern, const SparseCase& c) {
  const std::int64_t stride = (c.group + 1) * c.head_dim;  // a head of somebody else beside ours
  const std::int64_t kv_stride = 2 * c.head_dim;
  const std::vector<float> q = normal(c.tokens * stride);
  const std::vector<float> k = normal(c.tokens * kv_stride);
  const std::vector<float> v = normal(c.tokens * kv_stride);
  const std::vector<float> dy = normal(c.tokens * stride);
  SparseAttentionArguments a{.query = q.data(),
                             .key = k.data(),
                             .value = v.data(),
                             .query_stride = stride,
                             .key_value_stride = kv_stride,
                             .log_sum_stride = c.group + 2,
                             .head_dim = c.head_dim,
                             .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
                             .logit_softcap = c.softcap,
                             .doutput = dy.data()};
  const auto poisoned = [](std::int64_t count) {
    return std::vector<float>(static_cast<std::size_t>(count), -7.0F);
  };
  Results expected{poisoned(c.tokens * stride), poisoned(c.tokens * (c.group + 2)),
                   poisoned(c.tokens * stride), poisoned(c.tokens * kv_stride),
                   poisoned(c.tokens * kv_stride)};
  Results found = expected;
  const Definition definition(pattern, a, c.tokens);
  for (std::int64_t g = 0; g < c.group; ++g) definition.head(g, expected);
  run(training_table(GetParam()), a, sparse_tiles(pattern, 0, c.tokens, c.tokens), c.group, found);
  const auto d = static_cast<double>(c.head_dim);
  const auto t = static_cast<double>(c.tokens);
  const double error = 2 * (d + 8) * kU * std::sqrt(d) * 1.5 + (t + d + 16) * kU;  // sum |q k| <= 1.5 D
  const double largest = 5;                                                        // of normal values
  const double dp = 2 * largest * std::sqrt(d);
  const double sums = static_cast<double>(c.group) * std::sqrt(t) + 7;
  const double bounds[] = {2 * error * largest, error * 10, 8 * error * dp * largest,
                           8 * error * dp * largest * sums, 8 * error * largest * sums};
  for (std::size_t which = 0; which < expected.size(); ++which) {
    for (std::size_t i = 0; i < expected[which].size(); ++i) {
      ASSERT_NEAR(found[which][i], expected[which][i], bounds[which])
          << "result " << which << " element " << i << " of " << c.tokens << " tokens, head_dim "
          << c.head_dim << ", " << named(pattern) << " on " << where();
    }
  }
}

TEST_P(SparseAttentionKernels, AreTheDefinitionOfEachPattern) {
  const SparseCase cases[] = {{1, 1, 8, 0}, {5, 2, 16, 0}, {65, 3, 24, 0}, {150, 2, 20, 5}, {200, 1, 64, 0}};
  for (const AttentionPattern& pattern : patterns_to_try()) {
    for (const SparseCase& c : cases) compare(pattern, c);
  }
}

TEST_P(SparseAttentionKernels, OfAWideWindowAreFlashAttention) {
  constexpr std::int64_t kT = 150;
  constexpr std::int64_t kD = 32;
  const std::vector<float> q = normal(kT * kD), k = normal(kT * kD), v = normal(kT * kD);
  std::vector<float> flash(kT * kD), log_sums(kT), sparse(kT * kD), sparse_log_sums(kT);
  const TrainingTable& table = training_table(GetParam());
  table.flash_attention({.query = q.data(),
                         .key = k.data(),
                         .value = v.data(),
                         .output = flash.data(),
                         .log_sums = log_sums.data(),
                         .query_stride = kD,
                         .key_value_stride = kD,
                         .log_sum_stride = 1,
                         .tokens = kT,
                         .group_size = 1,
                         .head_dim = kD,
                         .scale = 0.2F,
                         .row_end = kT});
  const SparseTiles tiles = sparse_tiles({.kind = PatternKind::sliding_window, .window = kT}, 0, kT, kT);
  table.sparse_attention({.query = q.data(),
                          .key = k.data(),
                          .value = v.data(),
                          .output = sparse.data(),
                          .log_sums = sparse_log_sums.data(),
                          .query_stride = kD,
                          .key_value_stride = kD,
                          .log_sum_stride = 1,
                          .head_dim = kD,
                          .scale = 0.2F,
                          .head_end = 1,
                          .tiles = tiles.tiles.data(),
                          .tile_end = static_cast<std::int64_t>(tiles.tiles.size()),
                          .runs = tiles.runs.data(),
                          .past = tiles.past,
                          .future = tiles.future});
  const double error = 2 * ((kD + 8) * kU * 0.2 * 1.5 * kD + (kT + kD + 16) * kU);
  for (std::size_t i = 0; i < flash.size(); ++i) ASSERT_NEAR(sparse[i], flash[i], 2 * error * 5) << where();
  for (std::size_t i = 0; i < log_sums.size(); ++i) {
    ASSERT_NEAR(sparse_log_sums[i], log_sums[i], error * 10) << where();
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, SparseAttentionKernels, ::testing::ValuesIn(available_isas()),
                         [](const auto& test) { return std::string(isa_name(test.param)); });

}  // namespace
}  // namespace tessera::kernels::testing
