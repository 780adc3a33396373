// The sparse patterns of kernels/ref: definition, ranges and sparse sums agree with each other and with
// PyTorch (tools/make_golden_linear_attention.py).
#include "kernels/ref/attention_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "golden_tensors.h"

namespace tessera::kernels::ref {
namespace {

using ::testing::ElementsAre;

const std::map<std::string, AttentionPattern> kGoldenPatterns = {
    {"window_causal", {.kind = PatternKind::sliding_window, .window = 6}},
    {"window_both", {.kind = PatternKind::sliding_window, .causal = false, .window = 6}},
    {"strided", {.kind = PatternKind::strided, .stride = 5}},
    {"fixed", {.kind = PatternKind::fixed, .stride = 5, .columns = 2}},
    {"bigbird", {.kind = PatternKind::bigbird, .causal = false, .block = 4, .random_blocks = 1, .seed = 99}},
    {"bigbird_causal", {.kind = PatternKind::bigbird, .block = 4, .random_blocks = 1, .seed = 99}},
    {"bigbird_short", {.kind = PatternKind::bigbird, .block = 4, .random_blocks = 3, .seed = 99}},
};

TEST(AttentionPattern, MasksAndOutputsAreWhatPyTorchComputes) {
  GoldenTensors golden = read_golden_tensors("linear_attention/patterns.txt");
  constexpr std::int64_t kT = 37;
  constexpr std::int64_t kKey = 5;
  constexpr std::int64_t kValue = 7;
  // Scores of at most |q||k|: a relative error of the exponential of that many roundings (and key_dim for the
  // sum), T terms in numerator and denominator; the result is a mean of the values.
  double most = 0;
  for (const double value : golden["values"]) most = std::max(most, std::abs(value));
  const double bound = 2 * (4 * kT + 40) * std::numeric_limits<double>::epsilon() * most;
  for (const auto& [name, pattern] : kGoldenPatterns) {
    std::int64_t visible = 0;
    for (std::int64_t q = 0; q < kT; ++q) {
      for (std::int64_t k = 0; k < kT; ++k) {
        const bool expected = golden[name + "_mask"].at(static_cast<std::size_t>(q * kT + k)) != 0;
        ASSERT_EQ(attends(pattern, q, k, kT), expected) << name << " " << q << " " << k;
        visible += expected;
      }
    }
    std::vector<double> out(kT * kValue, std::numeric_limits<double>::quiet_NaN());
    const double scale = 1 / std::sqrt(static_cast<double>(kKey));
    const auto compare = [&](const char* form) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_LE(std::abs(out[i] - golden[name][i]), bound) << name << " " << form << " " << i;
      }
    };
    pattern_attention_masked(pattern, kT, kKey, kValue, scale, golden["queries"], golden["keys"],
                             golden["values"], out);
    compare("masked");
    std::ranges::fill(out, std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(pattern_attention_sparse(pattern, kT, kKey, kValue, scale, golden["queries"], golden["keys"],
                                       golden["values"], out),
              visible)
        << name;
    compare("sparse");
  }
}

std::vector<AttentionPattern> many_patterns() {
  std::vector<AttentionPattern> patterns = {{}, {.causal = false}};
  for (const std::int64_t size : {1, 2, 3, 7, 100}) {
    patterns.push_back({.kind = PatternKind::sliding_window, .window = size});
    patterns.push_back({.kind = PatternKind::sliding_window, .causal = false, .window = size});
    patterns.push_back({.kind = PatternKind::strided, .stride = size});
    for (const std::int64_t columns : {std::int64_t{0}, std::int64_t{1}, size}) {
      patterns.push_back({.kind = PatternKind::fixed, .stride = size, .columns = std::min(columns, size)});
    }
  }
  for (const std::int64_t block : {1, 2, 3}) {
    for (const std::int64_t random_blocks : {0, 1, 3}) {
      for (const bool causal : {true, false}) {
        patterns.push_back({.kind = PatternKind::bigbird,
                            .causal = causal,
                            .block = block,
                            .random_blocks = random_blocks,
                            .seed = static_cast<std::uint64_t>(block)});
      }
    }
  }
  return patterns;
}

TEST(AttentionPattern, RangesAreTheDefinition) {
  for (const AttentionPattern& pattern : many_patterns()) {
    for (const std::int64_t T : {1, 2, 5, 23, 40}) {
      for (std::int64_t q = 0; q < T; ++q) {
        std::vector<KeyRange> expected;
        for (std::int64_t k = 0; k < T; ++k) {
          if (!attends(pattern, q, k, T)) continue;
          if (expected.empty() || expected.back().end != k) expected.push_back({k, k});
          ++expected.back().end;
        }
        ASSERT_EQ(visible_keys(pattern, q, T), expected)
            << "kind " << static_cast<int>(pattern.kind) << " T " << T << " q " << q;
      }
    }
  }
}

TEST(AttentionPattern, TheWindowIncludesTheQueryItself) {
  const AttentionPattern window{.kind = PatternKind::sliding_window, .window = 3};
  EXPECT_THAT(visible_keys(window, 9, 20), ElementsAre(KeyRange{7, 10}));
  EXPECT_THAT(visible_keys(window, 1, 20), ElementsAre(KeyRange{0, 2}));
}

TEST(AttentionPattern, BigBirdShortTextsAreDenseAndLongOnesCostABoundedNumberOfBlocks) {
  AttentionPattern pattern{
      .kind = PatternKind::bigbird, .causal = false, .block = 4, .random_blocks = 2, .seed = 1};
  EXPECT_THAT(visible_keys(pattern, 17, 36), ElementsAre(KeyRange{0, 36})) << "T = (5 + 2r) block";
  std::set<std::vector<std::int64_t>> choices;
  for (std::int64_t row = 1; row < 49; ++row) {
    const std::vector<std::int64_t> random = random_blocks_of(pattern, row, 50);
    ASSERT_EQ(random.size(), 2U);
    for (const std::int64_t column : random) {
      EXPECT_GT(std::abs(column - row), 1);
      EXPECT_GT(column, 0);
      EXPECT_LT(column, 49);
    }
    choices.insert(random);
    std::int64_t keys = 0;
    for (const KeyRange& range : visible_keys(pattern, row * 4, 200)) keys += range.end - range.begin;
    EXPECT_LE(keys, (3 + 2 + 2) * 4);
  }
  EXPECT_GT(choices.size(), 40U) << "rows choose for themselves";
  pattern.seed = 2;
  EXPECT_NE(random_blocks_of(pattern, 20, 50),
            random_blocks_of({.block = 4, .random_blocks = 2, .seed = 1}, 20, 50));
}

}  // namespace
}  // namespace tessera::kernels::ref
