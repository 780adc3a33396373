// The linear mechanisms of kernels/ref: every form against PyTorch (tools/make_golden_linear_attention.py)
// and against each other.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "golden_tensors.h"
#include "kernel_test_support.h"
#include "kernels/ref/delta_rule.h"
#include "kernels/ref/gated_linear_attention.h"
#include "kernels/ref/linear_attention.h"

namespace tessera::kernels::ref {
namespace {

constexpr double kPoison = std::numeric_limits<double>::quiet_NaN();

struct Heads {
  std::int64_t T;
  std::int64_t key_dim;
  std::int64_t value_dim;
  std::vector<double> queries;
  std::vector<double> keys;
  std::vector<double> unit_keys;
  std::vector<double> values;
  std::vector<double> log_gates;       // [T, key_dim]
  std::vector<double> head_log_gates;  // [T]
  std::vector<double> betas;

  LinearAttentionInput input() const { return {T, key_dim, value_dim, queries, keys, values}; }
  DeltaRuleInput delta(bool gated) const {
    return {{T, key_dim, value_dim, queries, unit_keys, values},
            betas,
            gated ? std::span<const double>(head_log_gates) : std::span<const double>(),
            scale()};
  }
  double scale() const { return 1 / std::sqrt(static_cast<double>(key_dim)); }
};

double largest(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

// Every step of a recurrence here is a contraction (decay and I - beta k k^T have a norm of at most 1), so
// rounding errors add up and do not grow: T steps, each of at most key_dim + 3 roundings (10 more for exp and
// log) of numbers of at most the state's norm, itself at most T times |k| |v| over a row; read by a query of
// key_dim elements. The other forms sum the same terms in another order. Twice, for the two sides. Features
// of keys and queries are at most 1 + |x| (elu + 1); dividing by their sum only makes the result smaller.
double tolerance(const Heads& heads) {
  const auto T = static_cast<double>(heads.T);
  const auto width = static_cast<double>(heads.key_dim);
  const double state = T * (1 + largest(heads.keys)) * largest(heads.values);
  return 2 * T * (width + 13) * std::numeric_limits<double>::epsilon() * state * width *
         (1 + largest(heads.queries));
}

void expect_near(std::span<const double> found, std::span<const double> expected, double bound,
                 const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_LE(std::abs(found[i] - expected[i]), bound) << what << " element " << i;  // a NaN fails too
  }
}

// One mechanism in its three forms.
struct Forms {
  std::string name;
  std::function<void(const Heads&, std::span<double>)> parallel;
  std::function<void(const Heads&, LinearAttentionState&, std::span<double>)> recurrent;
  std::function<void(const Heads&, std::int64_t, LinearAttentionState&, std::span<double>)> chunked;
};

Forms delta_forms(bool gated) {
  return {
      gated ? "gated_delta" : "delta",
      [gated](const Heads& heads, std::span<double> out) { delta_rule_parallel(heads.delta(gated), out); },
      [gated](const Heads& heads, LinearAttentionState& state, std::span<double> out) {
        delta_rule_recurrent(heads.delta(gated), state, out);
      },
      [gated](const Heads& heads, std::int64_t chunk, LinearAttentionState& state, std::span<double> out) {
        delta_rule_chunked(heads.delta(gated), chunk, state, out);
      }};
}

std::vector<Forms> all_forms() {
  return {{"elu",
           [](const Heads& heads, std::span<double> out) { linear_attention_parallel(heads.input(), out); },
           [](const Heads& heads, LinearAttentionState& state, std::span<double> out) {
             linear_attention_recurrent(heads.input(), state, out);
           },
           [](const Heads& heads, std::int64_t chunk, LinearAttentionState& state, std::span<double> out) {
             linear_attention_chunked(heads.input(), chunk, state, out);
           }},
          {"gated",
           [](const Heads& heads, std::span<double> out) {
             gated_linear_attention_parallel(heads.input(), heads.log_gates, heads.scale(), out);
           },
           [](const Heads& heads, LinearAttentionState& state, std::span<double> out) {
             gated_linear_attention_recurrent(heads.input(), heads.log_gates, heads.scale(), state, out);
           },
           [](const Heads& heads, std::int64_t chunk, LinearAttentionState& state, std::span<double> out) {
             gated_linear_attention_chunked(heads.input(), heads.log_gates, heads.scale(), chunk, state, out);
           }},
          delta_forms(false),
          delta_forms(true)};
}

std::vector<double> poisoned(const Heads& heads) {
  return std::vector<double>(static_cast<std::size_t>(heads.T * heads.value_dim), kPoison);
}

TEST(LinearAttention, EveryFormIsWhatPyTorchComputes) {
  GoldenTensors golden = read_golden_tensors("linear_attention/linear.txt");
  const Heads heads{37,
                    5,
                    7,
                    golden["queries"],
                    golden["keys"],
                    golden["unit_keys"],
                    golden["values"],
                    golden["log_gates"],
                    golden["head_log_gates"],
                    golden["betas"]};
  const double bound = tolerance(heads);
  EXPECT_LT(bound, 1e-8) << "far below what a wrong formula gives";
  for (const Forms& forms : all_forms()) {
    std::vector<double> out = poisoned(heads);
    forms.parallel(heads, out);
    expect_near(out, golden[forms.name], bound, forms.name + " parallel");
    LinearAttentionState state(heads.key_dim, heads.value_dim);
    out = poisoned(heads);
    forms.recurrent(heads, state, out);
    expect_near(out, golden[forms.name], bound, forms.name + " recurrent");
    if (golden.contains(forms.name + "_state")) {
      expect_near(state.memory, golden[forms.name + "_state"], bound, forms.name + " state");
    }
    out = poisoned(heads);
    LinearAttentionState chunk_state(heads.key_dim, heads.value_dim);
    forms.chunked(heads, 8, chunk_state, out);
    expect_near(out, golden[forms.name], bound, forms.name + " chunked");
    expect_near(chunk_state.memory, state.memory, bound, forms.name + " state of chunks");
    expect_near(chunk_state.normalizer, state.normalizer, bound, forms.name + " normalizer of chunks");
  }
}

Heads random_heads(std::int64_t T, std::int64_t key_dim, std::int64_t value_dim, std::mt19937_64& random) {
  std::normal_distribution<double> normal;
  const auto draw = [&](std::int64_t count) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values) value = normal(random);
    return values;
  };
  Heads heads{T,
              key_dim,
              value_dim,
              draw(T * key_dim),
              draw(T * key_dim),
              {},
              draw(T * value_dim),
              draw(T * key_dim),
              draw(T),
              draw(T)};
  heads.unit_keys = heads.keys;
  l2_normalize_rows(heads.unit_keys, key_dim);
  for (double& gate : heads.log_gates) gate = -std::log1p(std::exp(-gate));
  for (double& gate : heads.head_log_gates) gate = -std::log1p(std::exp(-gate));
  for (double& beta : heads.betas) beta = 1 / (1 + std::exp(-beta));
  return heads;
}

TEST(LinearAttention, AllFormsAgreeForAnySizeAndChunk) {
  const std::uint64_t seed = testing::fresh_seed();
  SCOPED_TRACE(::testing::Message() << "TESSERA_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (const std::int64_t T : {1, 2, 16, 33}) {
    for (const auto& [key_dim, value_dim] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 8}, {16, 5}}) {
      const Heads heads = random_heads(T, key_dim, value_dim, random);
      const double bound = tolerance(heads);
      for (const Forms& forms : all_forms()) {
        std::vector<double> expected = poisoned(heads);
        LinearAttentionState state(key_dim, value_dim);
        forms.recurrent(heads, state, expected);
        std::vector<double> out = poisoned(heads);
        forms.parallel(heads, out);
        expect_near(out, expected, bound, forms.name + " parallel");
        for (const std::int64_t chunk : {1, 2, 7, 16, 64}) {
          LinearAttentionState other(key_dim, value_dim);
          out = poisoned(heads);
          forms.chunked(heads, chunk, other, out);
          expect_near(out, expected, bound, forms.name + " chunked");
          expect_near(other.memory, state.memory, bound, forms.name + " state");
        }
      }
    }
  }
}

// The rows [begin, begin + T) as inputs of their own.
Heads part(const Heads& heads, std::int64_t begin, std::int64_t T) {
  const auto rows = [&](const std::vector<double>& values, std::int64_t width) {
    return std::vector<double>(values.begin() + begin * width, values.begin() + (begin + T) * width);
  };
  return {T,
          heads.key_dim,
          heads.value_dim,
          rows(heads.queries, heads.key_dim),
          rows(heads.keys, heads.key_dim),
          rows(heads.unit_keys, heads.key_dim),
          rows(heads.values, heads.value_dim),
          rows(heads.log_gates, heads.key_dim),
          rows(heads.head_log_gates, 1),
          rows(heads.betas, 1)};
}

TEST(LinearAttention, APromptInChunksAndThenTokenByTokenIsOneText) {
  const std::uint64_t seed = testing::fresh_seed();
  SCOPED_TRACE(::testing::Message() << "TESSERA_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const Heads heads = random_heads(29, 6, 4, random);
  for (const Forms& forms : all_forms()) {
    std::vector<double> expected = poisoned(heads);
    forms.parallel(heads, expected);
    LinearAttentionState state(heads.key_dim, heads.value_dim);
    std::vector<double> found;
    const Heads prompt = part(heads, 0, 17);
    std::vector<double> out = poisoned(prompt);
    forms.chunked(prompt, 5, state, out);
    found.insert(found.end(), out.begin(), out.end());
    for (std::int64_t t = 17; t < heads.T; ++t) {
      const Heads token = part(heads, t, 1);
      out = poisoned(token);
      forms.recurrent(token, state, out);
      found.insert(found.end(), out.begin(), out.end());
    }
    expect_near(found, expected, tolerance(heads), forms.name);
  }
}

// What sets the mechanisms apart: with beta 1, writing a key again replaces its value; linear attention adds
// to it.
TEST(LinearAttention, TheDeltaRuleOverwritesAKey) {
  const std::vector<double> key = {1, 0, 1, 0};  // the same key twice
  const std::vector<double> values = {5, -3};
  const std::vector<double> ones = {1, 1};
  std::vector<double> out(2, kPoison);
  LinearAttentionState state(2, 1);
  delta_rule_recurrent({{2, 2, 1, key, key, values}, ones, {}, 1}, state, out);
  EXPECT_EQ(out, (std::vector<double>{5, -3}));
  const std::vector<double> open(4, 0.0);
  LinearAttentionState sum(2, 1);
  gated_linear_attention_recurrent({2, 2, 1, key, key, values}, open, 1, sum, out);
  EXPECT_EQ(out, (std::vector<double>{5, 2}));
}

}  // namespace
}  // namespace tessera::kernels::ref
