// The chunked kernels of linear attention, forward and backward, against the specification in float64 on
// every instruction set; the gradients' specification against central differences; and the bits that must not
// depend on how a text is cut into calls.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "kernel_test_support.h"
#include "kernels/linear_attention_table.h"
#include "kernels/ref/delta_rule.h"
#include "kernels/ref/gated_linear_attention.h"
#include "kernels/ref/linear_attention_gradient.h"

namespace tessera::kernels::testing {
namespace {

using Doubles = std::vector<double>;

enum class Kind { linear, gated_linear, delta_rule, gated_delta_rule };
constexpr Kind kKinds[] = {Kind::linear, Kind::gated_linear, Kind::delta_rule, Kind::gated_delta_rule};

bool is_delta(Kind kind) { return kind == Kind::delta_rule || kind == Kind::gated_delta_rule; }
std::int64_t gate_dim(Kind kind, std::int64_t key_dim) {
  if (kind == Kind::gated_linear) return key_dim;
  return kind == Kind::gated_delta_rule ? 1 : 0;
}

Doubles widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

// One key/value head and its group, laid out as operations lay them out: heads of others lie between.
struct Problem {
  Kind kind;
  std::int64_t tokens, group, key_dim, value_dim;
  std::vector<float> query, key, value, log_gate, beta, doutput;

  std::int64_t query_stride() const { return (group + 1) * key_dim; }
  std::int64_t output_stride() const { return (group + 2) * value_dim; }
  std::int64_t key_stride() const { return 2 * key_dim; }
  std::int64_t value_stride() const { return 3 * value_dim; }
  std::int64_t gates() const { return gate_dim(kind, key_dim); }
  std::int64_t gate_stride() const { return 2 * gates(); }
  float scale() const { return kind == Kind::linear ? 1.0F : 1.0F / std::sqrt(static_cast<float>(key_dim)); }
  LinearStateShape shape() const { return {key_dim, value_dim, gates(), kind == Kind::linear}; }
  LinearAttentionArguments arguments() const {
    LinearAttentionArguments a;
    a.shape = shape();
    a.query = query.data();
    a.key = key.data();
    a.value = value.data();
    a.log_gate = gates() > 0 ? log_gate.data() : nullptr;
    a.beta = is_delta(kind) ? beta.data() : nullptr;
    a.query_stride = query_stride();
    a.key_stride = key_stride();
    a.value_stride = value_stride();
    a.gate_stride = gate_stride();
    a.beta_stride = 2;
    a.output_stride = output_stride();
    a.normalizer_stride = group;
    a.tokens = tokens;
    a.group_size = group;
    a.scale = scale();
    a.doutput = doutput.data();
    return a;
  }
  // Columns [first, first + width) of every row, in double.
  Doubles columns(const std::vector<float>& rows, std::int64_t stride, std::int64_t first,
                  std::int64_t width) const {
    Doubles result;
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t d = 0; d < width; ++d) {
        result.push_back(rows[static_cast<std::size_t>(t * stride + first + d)]);
      }
    }
    return result;
  }
};

// What the specification says of one query head.
struct Expected {
  Doubles outputs;
  ref::LinearAttentionGradients gradients;
  double largest_state = 0;  // norm
};

// The specification's linear form maps features itself; the kernel gets them mapped. With positive numbers x,
// log(x) below 1 and x - 1 above are what elu + 1 maps to x.
double unmapped(double feature) { return feature > 1 ? feature - 1 : std::log(feature); }

Expected specification(const Problem& p, std::int64_t head) {
  Doubles q = p.columns(p.query, p.query_stride(), head * p.key_dim, p.key_dim);
  Doubles k = p.columns(p.key, p.key_stride(), 0, p.key_dim);
  const Doubles v = p.columns(p.value, p.value_stride(), 0, p.value_dim);
  const Doubles g = p.gates() > 0 ? p.columns(p.log_gate, p.gate_stride(), 0, p.gates()) : Doubles();
  const Doubles beta = is_delta(p.kind) ? p.columns(p.beta, 2, 0, 1) : Doubles();
  const Doubles dout = p.columns(p.doutput, p.output_stride(), head * p.value_dim, p.value_dim);
  Doubles slopes_q, slopes_k;
  if (p.kind == Kind::linear) {
    for (auto* features : {&q, &k}) {
      for (double& x : *features) {
        (features == &q ? slopes_q : slopes_k).push_back(x > 1 ? 1 : x);
        x = unmapped(x);
      }
    }
  }
  const ref::LinearAttentionInput input{p.tokens, p.key_dim, p.value_dim, q, k, v};
  const double scale = p.scale();
  Expected e;
  e.outputs.resize(static_cast<std::size_t>(p.tokens * p.value_dim));
  ref::LinearAttentionState state(p.key_dim, p.value_dim);
  if (p.kind == Kind::linear) {
    ref::linear_attention_recurrent(input, state, e.outputs);
    e.gradients = ref::linear_attention_gradient(input, dout);
    for (std::size_t i = 0; i < slopes_q.size(); ++i) {
      e.gradients.queries[i] /= slopes_q[i];
      e.gradients.keys[i] /= slopes_k[i];
    }
  } else if (p.kind == Kind::gated_linear) {
    ref::gated_linear_attention_recurrent(input, g, scale, state, e.outputs);
    e.gradients = ref::gated_linear_attention_gradient(input, g, scale, dout);
  } else {
    const ref::DeltaRuleInput delta{input, beta, g, scale};
    ref::delta_rule_recurrent(delta, state, e.outputs);
    e.gradients = ref::delta_rule_gradient(delta, dout);
  }
  return e;
}

double largest(const Doubles& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

class LinearAttentionKernels : public KernelTest {
 protected:
  const LinearAttentionTable& kernels() const { return linear_attention_table(GetParam()); }

  Problem problem(Kind kind, std::int64_t tokens, std::int64_t group, std::int64_t key_dim,
                  std::int64_t value_dim) {
    Problem p{kind, tokens, group, key_dim, value_dim, {}, {}, {}, {}, {}, {}};
    p.query = normal(tokens * p.query_stride());
    p.key = normal(tokens * p.key_stride());
    p.value = normal(tokens * p.value_stride());
    p.doutput = normal(tokens * p.output_stride());
    p.log_gate = normal(tokens * p.gate_stride());
    for (float& x : p.log_gate) x = -std::abs(x) * (uniform(0, 9) == 0 ? 20.0F : 0.2F);
    p.beta = normal(tokens * 2);
    for (float& x : p.beta) x = 1.0F / (1.0F + std::exp(-x));
    for (auto* features : {&p.query, &p.key}) {
      if (kind != Kind::linear) continue;
      for (float& x : *features) x = static_cast<float>(ref::elu_plus_one(x));
    }
    if (is_delta(kind)) normalize(p.key, key_dim);
    return p;
  }

 private:
  static void normalize(std::vector<float>& rows, std::int64_t width) {
    Doubles wide = widened(rows);
    ref::l2_normalize_rows(wide, width);
    std::transform(wide.begin(), wide.end(), rows.begin(), [](double x) { return static_cast<float>(x); });
  }
};

constexpr float kPoison = -7.0F;
std::vector<float> poisoned(std::size_t count) { return std::vector<float>(count, kPoison); }

// Everything that one call writes.
struct Results {
  explicit Results(const Problem& p)
      : output(poisoned(p.doutput.size())),
        normalizer(poisoned(static_cast<std::size_t>(p.tokens * p.group))),
        dquery(poisoned(p.query.size())),
        dkey(poisoned(p.key.size())),
        dvalue(poisoned(p.value.size())),
        dlog_gate(poisoned(p.log_gate.size())),
        dbeta(poisoned(p.beta.size())) {}
  void give_to(LinearAttentionArguments& a) {
    a.output = output.data();
    a.normalizer = normalizer.data();
    a.dquery = dquery.data();
    a.dkey = dkey.data();
    a.dvalue = dvalue.data();
    a.dlog_gate = dlog_gate.data();
    a.dbeta = dbeta.data();
  }
  std::vector<float> output, normalizer, dquery, dkey, dvalue, dlog_gate, dbeta;
};

// Rounding errors add up and do not grow, for every step of the recurrences is a contraction: T steps with at
// most key_dim + kLinearChunk + 13 roundings each, of numbers at most the largest that the specification
// meets: 8 stands for the norms of the rows (normal numbers below 5.5, decayed or mixed) by which an element
// is multiplied before it reaches the result. The sums of gates are off by kLinearChunk u |G|, |G| < 16 * 70,
// but what they scale is below e^G, so the product's error stays below kLinearChunk u / e.
double tolerance(const Problem& p, const Doubles& expected) {
  const auto steps = static_cast<double>(p.tokens);
  const auto roundings = static_cast<double>(p.key_dim + p.value_dim + kLinearChunk + 13);
  return 8 * std::sqrt(steps) * roundings * kUnitRoundoff * (1 + largest(expected));
}

struct Sizes {
  std::int64_t tokens, group, key_dim, value_dim;
};
constexpr Sizes kSizes[] = {{1, 1, 8, 8},    {5, 2, 4, 6},    {16, 1, 16, 16}, {17, 1, 24, 20},
                            {40, 3, 20, 33}, {64, 1, 64, 64}, {83, 2, 48, 80}};

TEST_P(LinearAttentionKernels, AreWhatTheSpecificationSays) {
  for (const Kind kind : kKinds) {
    for (const Sizes& sizes : kSizes) {
      const Problem p = problem(kind, sizes.tokens, sizes.group, sizes.key_dim, sizes.value_dim);
      LinearAttentionArguments a = p.arguments();
      Results found(p);
      found.give_to(a);
      kernels().forward(a);
      kernels().backward(a);
      const std::string what = "kind " + std::to_string(static_cast<int>(kind)) + ", " +
                               std::to_string(sizes.tokens) + " tokens, on " + where();
      const auto expect = [&](const std::vector<float>& rows, std::int64_t stride, std::int64_t first,
                              std::int64_t width, const Doubles& expected, const char* name) {
        const double bound = tolerance(p, expected);
        const Doubles own = p.columns(rows, stride, first, width);
        ASSERT_EQ(own.size(), expected.size());
        for (std::size_t i = 0; i < own.size(); ++i) {
          ASSERT_NEAR(own[i], expected[i], bound) << name << " element " << i << ", " << what;
        }
      };
      ref::LinearAttentionGradients sum;  // keys and values are shared by the heads of the group
      const auto add = [](Doubles& total, const Doubles& part) {
        total.resize(part.size());
        for (std::size_t i = 0; i < part.size(); ++i) total[i] += part[i];
      };
      for (std::int64_t head = 0; head < p.group; ++head) {
        const Expected e = specification(p, head);
        expect(found.output, p.output_stride(), head * p.value_dim, p.value_dim, e.outputs, "output");
        expect(found.dquery, p.query_stride(), head * p.key_dim, p.key_dim, e.gradients.queries, "dq");
        add(sum.keys, e.gradients.keys);
        add(sum.values, e.gradients.values);
        add(sum.log_gates, e.gradients.log_gates);
        add(sum.betas, e.gradients.betas);
      }
      expect(found.dkey, p.key_stride(), 0, p.key_dim, sum.keys, "dk");
      expect(found.dvalue, p.value_stride(), 0, p.value_dim, sum.values, "dv");
      if (p.gates() > 0) expect(found.dlog_gate, p.gate_stride(), 0, p.gates(), sum.log_gates, "dg");
      if (is_delta(kind)) expect(found.dbeta, 2, 0, 1, sum.betas, "dbeta");
      EXPECT_EQ(found.output.back(), kPoison) << "somebody else's head";
      EXPECT_EQ(found.dkey.back(), kPoison) << "somebody else's head";
    }
  }
}

// Prompt at once, in any chunks, and token by token; also after tokens of the last chunk were taken back.
TEST_P(LinearAttentionKernels, GiveTheSameBitsHoweverATextIsCut) {
  for (const Kind kind : kKinds) {
    const Problem p = problem(kind, 75, 2, 24, 20);
    const auto floats = static_cast<std::size_t>(p.shape().floats());
    std::vector<float> whole_state(floats);
    Results whole(p);
    LinearAttentionArguments a = p.arguments();
    whole.give_to(a);
    a.state = whole_state.data();
    kernels().forward(a);
    Results without(p);
    without.give_to(a);
    a.state = nullptr;
    kernels().forward(a);
    EXPECT_EQ(without.output, whole.output) << where();

    Results cut(p);
    std::vector<float> state(floats);
    const auto run = [&](std::int64_t begin, std::int64_t count) {
      LinearAttentionArguments part = p.arguments();
      cut.give_to(part);
      part.query += begin * part.query_stride;
      part.key += begin * part.key_stride;
      part.value += begin * part.value_stride;
      if (part.log_gate != nullptr) part.log_gate += begin * part.gate_stride;
      if (part.beta != nullptr) part.beta += begin * part.beta_stride;
      part.output += begin * part.output_stride;
      part.normalizer += begin * part.normalizer_stride;
      part.tokens = count;
      part.position = begin;
      part.state = state.data();
      kernels().forward(part);
    };
    for (std::int64_t begin = 0; begin < p.tokens;) {
      const std::int64_t count = std::min(p.tokens - begin, uniform(0, 2) == 0 ? 1 : uniform(1, 30));
      run(begin, count);
      begin += count;
      const std::int64_t in_chunk = begin % kLinearChunk;
      if (in_chunk > 0) begin -= uniform(0, std::min<std::int64_t>(in_chunk, 2));
    }
    EXPECT_EQ(cut.output, whole.output) << where();
  }
}

TEST(LinearAttentionGradients, AreCentralDifferencesOfTheForward) {
  std::mt19937_64 random(std::random_device{}());
  std::normal_distribution<double> distribution;
  const auto normal = [&](std::int64_t count, double deviation = 1.0) {
    Doubles values(static_cast<std::size_t>(count));
    for (double& value : values) value = deviation * distribution(random);
    return values;
  };
  const std::int64_t T = 9, key_dim = 3, value_dim = 4;
  Doubles q = normal(T * key_dim), k = normal(T * key_dim, 0.5), v = normal(T * value_dim);
  Doubles gates = normal(T * key_dim, 0.3), head_gates = normal(T, 0.3), betas = normal(T, 0.1);
  for (auto* negative : {&gates, &head_gates}) {
    for (double& x : *negative) x = -std::abs(x);
  }
  for (double& x : betas) x += 0.5;
  const Doubles dout = normal(T * value_dim);
  const ref::LinearAttentionInput input{T, key_dim, value_dim, q, k, v};
  const ref::DeltaRuleInput delta{input, betas, {}, 0.7};
  const ref::DeltaRuleInput gated_delta{input, betas, head_gates, 0.7};
  Doubles out(static_cast<std::size_t>(T * value_dim));
  // With h = 1e-5 the quotient is off by h^2 times third derivatives of order 1 to 100, and by 1e-16 / h of
  // the sum's size: see gradient_check_test.cpp.
  const auto expect = [&](const std::function<void()>& forward, Doubles& variable, const Doubles& gradient,
                          const char* what) {
    ASSERT_EQ(variable.size(), gradient.size()) << what;
    const auto loss = [&] {
      forward();
      double sum = 0;
      for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * dout[i];
      return sum;
    };
    for (std::size_t i = 0; i < variable.size(); ++i) {
      const double value = variable[i];
      variable[i] = value + 1e-5;
      const double above = loss();
      variable[i] = value - 1e-5;
      const double below = loss();
      variable[i] = value;
      EXPECT_NEAR((above - below) / 2e-5, gradient[i], 1e-7 * (1 + largest(gradient))) << what << " " << i;
    }
  };
  const auto state = [&] { return ref::LinearAttentionState(key_dim, value_dim); };
  const std::function<void()> linear = [&] { ref::linear_attention_parallel(input, out); };
  const std::function<void()> gated = [&] {
    auto s = state();
    ref::gated_linear_attention_recurrent(input, gates, 0.7, s, out);
  };
  const auto rule = [&](const ref::DeltaRuleInput& d) -> std::function<void()> {
    return [&] {
      auto s = state();
      ref::delta_rule_recurrent(d, s, out);
    };
  };
  const auto all = [&](const std::function<void()>& forward, const ref::LinearAttentionGradients& g,
                       Doubles* log_gates, Doubles* written, const char* what) {
    expect(forward, q, g.queries, what);
    expect(forward, k, g.keys, what);
    expect(forward, v, g.values, what);
    if (log_gates != nullptr) expect(forward, *log_gates, g.log_gates, what);
    if (written != nullptr) expect(forward, *written, g.betas, what);
  };
  all(linear, ref::linear_attention_gradient(input, dout), nullptr, nullptr, "linear");
  all(gated, ref::gated_linear_attention_gradient(input, gates, 0.7, dout), &gates, nullptr, "gated linear");
  all(rule(delta), ref::delta_rule_gradient(delta, dout), nullptr, &betas, "delta rule");
  all(rule(gated_delta), ref::delta_rule_gradient(gated_delta, dout), &head_gates, &betas, "gated delta");
}

INSTANTIATE_TEST_SUITE_P(All, LinearAttentionKernels, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
