// The training kernels of every ISA against kernels/ref: odd sizes, fresh random inputs, poisoned outputs.
#include "kernels/training_table.h"

#include <array>
#include <limits>

#include "base/float16.h"
#include "kernels/ref/training.h"
#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

constexpr double kU = kUnitRoundoff;

class TrainingKernels : public KernelTest {
 protected:
  const TrainingTable& quick() const { return training_table(GetParam()); }
  static const TrainingTable& specification() { return training_table(Isa::scalar); }
};

double absolute(float value) { return std::abs(double{value}); }

// One product in all orientations: the strides that A and B are read through.
struct Orientation {
  bool a_transposed;
  bool b_transposed;
};

GemmArguments arguments_for(const std::vector<float>& a, const std::vector<float>& b, std::int64_t rows,
                            std::int64_t columns, std::int64_t depth, Orientation o) {
  return {.a = a.data(),
          .a_row_stride = o.a_transposed ? 1 : depth,
          .a_depth_stride = o.a_transposed ? rows : 1,
          .b = b.data(),
          .b_depth_stride = o.b_transposed ? 1 : columns,
          .b_column_stride = o.b_transposed ? depth : 1,
          .c_stride = columns + 3,
          .rows = rows,
          .columns = columns,
          .depth = depth};
}

// A chain of `depth` fused multiply-adds is off by at most depth u sum |a b| (Higham 2002, section 3.1).
TEST_P(TrainingKernels, Gemm) {
  const std::int64_t sizes[][3] = {{1, 1, 1},    {1, 33, 7},     {13, 5, 300}, {12, 32, 16}, {25, 65, 40},
                                   {64, 64, 32}, {47, 100, 257}, {2, 16, 513}, {31, 31, 31}, {8, 48, 0}};
  for (const auto& [rows, columns, depth] : sizes) {
    for (int which = 0; which < 8; ++which) {
      const Orientation o{(which & 1) != 0, (which & 2) != 0};
      const bool accumulate = (which & 4) != 0;
      const std::vector<float> a = normal(rows * depth + 1);
      const std::vector<float> b = normal(depth * columns + 1);
      GemmArguments g = arguments_for(a, b, rows, columns, depth, o);
      g.accumulate = accumulate;
      const std::int64_t size = (rows - 1) * g.c_stride + columns;
      std::vector<float> expected = normal(size);
      GuardedBuffer<float> found(expected, uniform(0, 15));
      std::vector<float> start = expected;
      g.c = expected.data();
      specification().gemm[0](g);
      g.c = found.data();
      quick().gemm[0](g);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::int64_t at = i * g.c_stride + j;
          double magnitude = accumulate ? absolute(start[static_cast<std::size_t>(at)]) : 0;
          for (std::int64_t k = 0; k < depth; ++k) {
            magnitude += absolute(g.a[i * g.a_row_stride + k * g.a_depth_stride]) *
                         absolute(g.b[k * g.b_depth_stride + j * g.b_column_stride]);
          }
          ASSERT_NEAR(found.data()[at], expected[static_cast<std::size_t>(at)],
                      static_cast<double>(depth + 2) * kU * magnitude)
              << rows << " x " << columns << " x " << depth << " orientation " << which << " at " << i << ", "
              << j << " on " << where();
        }
      }
      for (std::int64_t i = 0; i + 1 < rows; ++i) {  // nothing between the rows
        for (std::int64_t j = columns; j < g.c_stride; ++j) {
          const std::int64_t at = i * g.c_stride + j;
          ASSERT_EQ(found.data()[at], start[static_cast<std::size_t>(at)]) << where();
        }
      }
      ASSERT_TRUE(found.guards_intact()) << where();
    }
  }
}

// Threads cut the matrices anywhere: no element may notice.
TEST_P(TrainingKernels, GemmGivesTheSameBitsHoweverItIsCut) {
  constexpr std::int64_t kRows = 43;
  constexpr std::int64_t kColumns = 77;
  constexpr std::int64_t kDepth = 600;
  const std::vector<float> a = normal(kRows * kDepth);
  const std::vector<float> b = normal(kDepth * kColumns);
  for (int which = 0; which < 4; ++which) {
    GemmArguments g = arguments_for(a, b, kRows, kColumns, kDepth, {(which & 1) != 0, (which & 2) != 0});
    g.c_stride = kColumns;
    std::vector<float> whole(kRows * kColumns);
    g.c = whole.data();
    quick().gemm[0](g);
    std::vector<float> pieces(kRows * kColumns);
    const std::int64_t row = uniform(1, kRows - 1);
    const std::int64_t column = uniform(1, kColumns - 1);
    for (const auto& [row_begin, row_end] : {std::pair{std::int64_t{0}, row}, std::pair{row, kRows}}) {
      for (const auto& [begin, end] : {std::pair{std::int64_t{0}, column}, std::pair{column, kColumns}}) {
        GemmArguments part = g;
        part.a += row_begin * g.a_row_stride;
        part.b += begin * g.b_column_stride;
        part.c = pieces.data() + row_begin * kColumns + begin;
        part.rows = row_end - row_begin;
        part.columns = end - begin;
        quick().gemm[0](part);
      }
    }
    EXPECT_EQ(whole, pieces) << "orientation " << which << " on " << where();
  }
}

// The two-step form of large products gives the bits of the one-step form, whoever packs what and takes which
// rows.
TEST_P(TrainingKernels, PanelsGiveTheBitsOfGemm) {
  const PanelGemm& panels = quick().panel_gemm_bf16;
  if (panels.panel_columns == 0) GTEST_SKIP() << "no panels on " << where();
  const std::int64_t sizes[][3] = {{1, 1, 1}, {43, 77, 600}, {200, 48, 385}, {9, 129, 31}, {16, 160, 64}};
  for (const auto& [rows, columns, depth] : sizes) {
    for (int which = 0; which < 8; ++which) {
      const std::vector<float> a = normal(rows * depth);
      const std::vector<float> b = normal(depth * columns);
      GemmArguments g = arguments_for(a, b, rows, columns, depth, {(which & 1) != 0, (which & 2) != 0});
      g.accumulate = (which & 4) != 0;
      std::vector<float> expected = normal((rows - 1) * g.c_stride + columns);
      GuardedBuffer<float> found(expected, uniform(0, 15));
      g.c = expected.data();
      quick().gemm[1](g);
      // Poisoned: what is not packed must not be read.
      GuardedBuffer<float> packed(std::vector<float>(static_cast<std::size_t>(panels.floats(depth, columns)),
                                                     std::numeric_limits<float>::quiet_NaN()),
                                  0);
      const std::int64_t border = uniform(0, depth / 2) * 2;
      panels.pack(g, border, depth, packed.data());
      panels.pack(g, 0, border, packed.data());
      g.c = found.data();
      const std::int64_t row = uniform(0, rows);
      for (const auto& [begin, end] : {std::pair{row, rows}, std::pair{std::int64_t{0}, row}}) {
        GemmArguments part = g;
        part.a += begin * g.a_row_stride;
        part.c += begin * g.c_stride;
        part.rows = end - begin;
        panels.multiply(part, packed.data());
      }
      EXPECT_EQ(found.values(), expected)
          << rows << " x " << columns << " x " << depth << " orientation " << which << " on " << where();
      ASSERT_TRUE(found.guards_intact() && packed.guards_intact()) << where();
    }
  }
}

// bf16: operands are rounded exactly as the specification rounds them; pairs and their sum may be rounded in
// another order, so the bound is that of the chain, with a unit more a step for the pair.
TEST_P(TrainingKernels, GemmInBf16) {
  const std::int64_t sizes[][3] = {{1, 1, 1}, {13, 5, 301}, {12, 32, 16}, {25, 65, 41}, {64, 100, 257}};
  for (const auto& [rows, columns, depth] : sizes) {
    for (int which = 0; which < 8; ++which) {
      const std::vector<float> a = normal(rows * depth);
      const std::vector<float> b = normal(depth * columns);
      GemmArguments g = arguments_for(a, b, rows, columns, depth, {(which & 1) != 0, (which & 2) != 0});
      g.accumulate = (which & 4) != 0;
      std::vector<float> expected = normal((rows - 1) * g.c_stride + columns);
      GuardedBuffer<float> found(expected, uniform(0, 15));
      const std::vector<float> start = expected;
      g.c = expected.data();
      specification().gemm[1](g);
      g.c = found.data();
      quick().gemm[1](g);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          const auto at = static_cast<std::size_t>(i * g.c_stride + j);
          double magnitude = g.accumulate ? absolute(start[at]) : 0;
          for (std::int64_t k = 0; k < depth; ++k) {
            magnitude += 1.01 * absolute(g.a[i * g.a_row_stride + k * g.a_depth_stride]) *
                         absolute(g.b[k * g.b_depth_stride + j * g.b_column_stride]);
          }
          ASSERT_NEAR(found.data()[at], expected[at], static_cast<double>(2 * depth + 2) * kU * magnitude)
              << rows << " x " << columns << " x " << depth << " orientation " << which << " on " << where();
        }
      }
      ASSERT_TRUE(found.guards_intact()) << where();
    }
  }
}

// The derivatives are sums of the value over x and of x^2 times that (x 2u' times it for gelu_tanh) at most;
// each is some 8 roundings, of which exp amplifies those of its exponent E.
TEST_P(TrainingKernels, ActivationGradients) {
  for (const std::int64_t count : {1, 7, 16, 33, 100, 257}) {
    const GuardedBuffer<float> x(normal(count, 3.0F), uniform(0, 15));
    const std::vector<float> up = normal(count);
    const std::vector<float> dy = normal(count);
    for (std::size_t kind = 0; kind < kActivationCount; ++kind) {
      const auto activation = static_cast<ActivationKind>(kind);
      const auto bound = [&](std::int64_t i) {
        const double v{x.data()[i]};
        const double share = v == 0 ? 0.5 : std::abs(ref::activation<double>(activation, v) / v);
        const bool is_tanh = activation == ActivationKind::gelu_tanh;
        const double exponent = is_tanh ? 1.6 * (std::abs(v) + 0.045 * std::abs(v * v * v)) : 0;
        const double factor = is_tanh ? std::abs(v) * (1.6 + 0.215 * v * v) : v * v;  // of the value's error
        const double slope = std::abs(ref::activation_derivative<double>(activation, v));
        return 24 * kU * (1 + exponent / 4) * (slope + (1 + factor) * share) + 1e-36;
      };
      for (const bool accumulate : {false, true}) {
        std::vector<float> expected = normal(count);
        GuardedBuffer<float> found(expected, uniform(0, 15));
        const std::vector<float> start = expected;
        specification().activation_gradient[kind](x.data(), dy.data(), expected.data(), count, accumulate);
        quick().activation_gradient[kind](x.data(), dy.data(), found.data(), count, accumulate);
        for (std::int64_t i = 0; i < count; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const double own =
              bound(i) * absolute(dy[at]) + 2 * kU * (absolute(start[at]) + absolute(expected[at]));
          ASSERT_NEAR(found.data()[i], expected[at], own)
              << kind << " of " << x.data()[i] << " on " << where();
        }
        ASSERT_TRUE(found.guards_intact());
      }
      std::vector<float> dgate(up.size());
      std::vector<float> dup(up.size());
      GuardedBuffer<float> found_gate(count, uniform(0, 15));
      GuardedBuffer<float> found_up(count, uniform(0, 15));
      specification().gated_activation_gradient[kind](x.data(), up.data(), dy.data(), dgate.data(),
                                                      dup.data(), count);
      quick().gated_activation_gradient[kind](x.data(), up.data(), dy.data(), found_gate.data(),
                                              found_up.data(), count);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_NEAR(found_gate.data()[i], dgate[at], bound(i) * absolute(dy[at]) * absolute(up[at]) + 1e-36);
        ASSERT_NEAR(found_up.data()[i], dup[at],
                    bound(i) * (1 + absolute(x.data()[i])) * absolute(dy[at]) + 1e-36);
      }
      ASSERT_TRUE(found_gate.guards_intact() && found_up.guards_intact()) << where();
    }
  }
}

// Means of n terms are off by n u times the mean magnitude; each element has two of them and some ten more
// roundings.
TEST_P(TrainingKernels, NormGradients) {
  for (const std::int64_t count : {1, 5, 16, 31, 64, 200}) {
    for (const bool layer : {false, true}) {
      for (const bool accumulate : {false, true}) {
        constexpr std::int64_t kRows = 3;
        const std::vector<float> x = normal(kRows * count);
        const std::vector<float> weight = normal(count);
        const std::vector<float> dy = normal(kRows * count);
        std::vector<float> dx = normal(kRows * count);
        std::vector<float> sums(static_cast<std::size_t>(2 * count), 0.0F);
        GuardedBuffer<float> found_dx(dx, uniform(0, 15));
        GuardedBuffer<float> found_sums(sums, uniform(0, 15));
        NormGradientArguments a{.x = x.data(),
                                .weight = weight.data(),
                                .dy = dy.data(),
                                .dx = dx.data(),
                                .dweight = sums.data(),
                                .dbias = layer ? sums.data() + count : nullptr,
                                .rows = kRows,
                                .count = count,
                                .epsilon = 1e-2F,
                                .weight_offset = layer ? 0.0F : 1.0F,
                                .accumulate = accumulate};
        const auto run = [&](const TrainingTable& table) {
          (layer ? table.layer_norm_gradient : table.rms_norm_gradient)(a);
        };
        run(specification());
        a.dx = found_dx.data();
        a.dweight = found_sums.data();
        if (layer) a.dbias = found_sums.data() + count;
        run(quick());
        // r <= 10 here (epsilon), h <= sqrt(n), |g| <= 20: the terms of an element are within r (|g| + n).
        const double n = static_cast<double>(count);
        const double bound = (n + 32) * kU * 10 * (20 + n);
        for (std::size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(found_dx.data()[i], dx[i], bound) << where();
        for (std::size_t i = 0; i < sums.size(); ++i) {
          ASSERT_NEAR(found_sums.data()[i], sums[i], (n + 32) * kU * 3 * 5 * std::sqrt(n) * 5) << where();
        }
        ASSERT_TRUE(found_dx.guards_intact() && found_sums.guards_intact()) << where();
      }
    }
  }
}

// lse is off by about (n + 4) u at most, and probabilities relatively by as much.
TEST_P(TrainingKernels, CrossEntropy) {
  for (const std::int64_t count : {2, 15, 16, 65, 300}) {
    for (const float smoothing : {0.0F, 0.1F}) {
      for (const float cap : {0.0F, 30.0F}) {
        std::vector<float> expected = normal(count, 4.0F);
        GuardedBuffer<float> found(expected, uniform(0, 15));
        const std::int64_t target = uniform(0, count - 1);
        const double bound = static_cast<double>(count + 32) * kU;
        std::vector<float> logits = expected;
        const float without = quick().cross_entropy(logits.data(), count, target, smoothing, cap, 0.0F);
        EXPECT_EQ(logits, expected) << "a loss alone leaves the logits as they are";
        const float loss =
            specification().cross_entropy(expected.data(), count, target, smoothing, cap, 0.5F);
        EXPECT_EQ(quick().cross_entropy(found.data(), count, target, smoothing, cap, 0.5F), without);
        EXPECT_NEAR(without, loss, bound * (30 + absolute(loss))) << where();
        for (std::int64_t i = 0; i < count; ++i) {
          ASSERT_NEAR(found.data()[i], expected[static_cast<std::size_t>(i)], 2 * bound) << where();
        }
        ASSERT_TRUE(found.guards_intact()) << where();
      }
    }
  }
}

TEST_P(TrainingKernels, CrossEntropyOfLogitsFarApart) {
  std::vector<float> row{-300.0F, 200.0F, 199.0F, -50.0F};
  const float loss = quick().cross_entropy(row.data(), 4, 0, 0.0F, 0.0F, 1.0F);
  EXPECT_NEAR(loss, 500.3133F, 1e-3);
  EXPECT_NEAR(row[0], -1.0F, 1e-6);
  EXPECT_NEAR(row[1], 0.7310586F, 1e-6);
}

struct AttentionCase {
  std::int64_t tokens, group, head_dim, window;
  float softcap;
  double dropout = 0.0;
};

// A score is off by e = (D + 8) u scale sum |q k|, so probabilities relatively by 2 e + (T + 8) u; the output
// mixes values by them. In the backward p, dp and delta are off likewise, and every gradient is a sum of
// products of them: 8 times the relative error of all, times the largest sum of magnitudes.
TEST_P(TrainingKernels, FlashAttention) {
  const AttentionCase cases[] = {{1, 1, 8, 0, 0},         {5, 2, 16, 0, 0},    {64, 1, 32, 0, 0},
                                 {65, 3, 24, 0, 0},       {130, 2, 20, 0, 5},  {150, 1, 64, 17, 0},
                                 {200, 2, 16, 70, 2},     {129, 4, 80, 64, 0}, {67, 2, 20, 0, 0, 0.3},
                                 {150, 3, 16, 40, 2, 0.6}};
  for (const AttentionCase& c : cases) {
    const std::int64_t stride = (c.group + 1) * c.head_dim;  // a head of somebody else beside ours
    const std::int64_t kv_stride = 2 * c.head_dim;
    const std::vector<float> q = normal(c.tokens * stride);
    const std::vector<float> k = normal(c.tokens * kv_stride);
    const std::vector<float> v = normal(c.tokens * kv_stride);
    const std::vector<float> dy = normal(c.tokens * stride);
    FlashAttentionArguments a{.query = q.data(),
                              .key = k.data(),
                              .value = v.data(),
                              .query_stride = stride,
                              .key_value_stride = kv_stride,
                              .log_sum_stride = c.group + 2,
                              .tokens = c.tokens,
                              .group_size = c.group,
                              .head_dim = c.head_dim,
                              .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
                              .sliding_window = c.window,
                              .logit_softcap = c.softcap,
                              .dropout = {.key = 77,
                                          .threshold = static_cast<std::uint32_t>(c.dropout * 2147483648.0),
                                          .scale = static_cast<float>(1 / (1 - c.dropout)),
                                          .first_row = 1000},
                              .doutput = dy.data()};
    const auto run = [&](const TrainingTable& table, std::vector<float>* memory) {
      a.output = memory[0].data();
      a.log_sums = memory[1].data();
      a.dquery = memory[2].data();
      a.dkey = memory[3].data();
      a.dvalue = memory[4].data();
      for (a.head = 0; a.head < c.group; ++a.head) {
        for (a.row_begin = 0; a.row_begin < c.tokens; a.row_begin = a.row_end) {
          a.row_end = std::min(c.tokens, a.row_begin + 64);
          table.flash_attention(a);
        }
      }
      table.flash_attention_gradient(a);
    };
    const auto poisoned = [](std::int64_t count) {
      return std::vector<float>(static_cast<std::size_t>(count), -7.0F);
    };
    const auto memory = [&] {
      return std::array{poisoned(c.tokens * stride), poisoned(c.tokens * (c.group + 2)),
                        poisoned(c.tokens * stride), poisoned(c.tokens * kv_stride),
                        poisoned(c.tokens * kv_stride)};
    };
    auto expected = memory();
    auto found = memory();
    run(specification(), expected.data());
    run(quick(), found.data());
    const double d = static_cast<double>(c.head_dim);
    const double t = static_cast<double>(c.tokens);
    const double error = 2 * (d + 8) * kU * std::sqrt(d) * 1.5 + (t + d + 16) * kU;  // sum |q k| <= 1.5 D
    const double largest = 5;                                                        // of normal values
    const double dp = 2 * largest * std::sqrt(d);
    const double kept = 1 / (1 - c.dropout);  // what stays is larger, and its errors with it
    const double bounds[] = {kept * 2 * error * largest, error * 10, kept * 8 * error * dp * largest,
                             kept * 8 * error * dp * largest * std::sqrt(t),
                             kept * 8 * error * largest * std::sqrt(t)};
    for (std::size_t which = 0; which < expected.size(); ++which) {
      for (std::size_t i = 0; i < expected[which].size(); ++i) {
        ASSERT_NEAR(found[which][i], expected[which][i], bounds[which])
            << "result " << which << " element " << i << " of " << c.tokens << " tokens, head_dim "
            << c.head_dim << ", window " << c.window << " on " << where();
      }
    }
  }
}

// One head's probabilities and gradients of scores, in double: what bf16 rounds.
struct AttentionMatrices {
  std::vector<double> probabilities, dscores;  // [T, T]
};

AttentionMatrices matrices_of(const FlashAttentionArguments& a, std::int64_t head) {
  const std::int64_t t = a.tokens;
  AttentionMatrices m{std::vector<double>(static_cast<std::size_t>(t * t)),
                      std::vector<double>(static_cast<std::size_t>(t * t))};
  const auto dot = [&](const float* x, const float* y) {
    double sum = 0;
    for (std::int64_t d = 0; d < a.head_dim; ++d) sum += double{x[d]} * double{y[d]};
    return sum;
  };
  for (std::int64_t row = 0; row < t; ++row) {
    const std::int64_t at = row * a.query_stride + head * a.head_dim;
    const double delta = dot(a.doutput + at, a.output + at);
    for (std::int64_t key = 0; key <= row; ++key) {
      if (a.sliding_window > 0 && key <= row - a.sliding_window) continue;
      const std::int64_t key_at = key * a.key_value_stride;
      const double score = dot(a.query + at, a.key + key_at) * double{a.scale};
      const double p = std::exp(score - double{a.log_sums[row * a.log_sum_stride + head]});
      const double dp = dot(a.doutput + at, a.value + key_at);
      m.probabilities[static_cast<std::size_t>(row * t + key)] = p;
      m.dscores[static_cast<std::size_t>(row * t + key)] = p * (dp - delta) * double{a.scale};
    }
  }
  return m;
}

// With operands that bf16 holds exactly, what it rounds are P and dS, each by u = 2^-8: an output is off by
// u sum |p v|, dv by u sum |p dO|, dq by u sum |dS k|, dk by u sum |dS q|, beside the errors of float32.
TEST_P(TrainingKernels, FlashAttentionInBf16) {
  const TrainingTable& table = quick();
  if (table.flash_attention_bf16 == nullptr) GTEST_SKIP() << "no products of bf16 on " << where();
  const auto rounded = [&](std::int64_t count) {
    std::vector<float> values = normal(count);
    for (float& v : values) v = bf16_to_f32(f32_to_bf16(v));
    return values;
  };
  constexpr double kRounding = 1.01 / 256;
  const AttentionCase cases[] = {{1, 1, 16, 0, 0},   {5, 2, 16, 0, 0},    {64, 1, 32, 0, 0},
                                 {65, 3, 48, 0, 0},  {150, 1, 64, 17, 0}, {200, 2, 16, 70, 0},
                                 {129, 4, 80, 64, 0}};
  for (const AttentionCase& c : cases) {
    const std::int64_t stride = (c.group + 1) * c.head_dim;
    const std::int64_t kv_stride = 2 * c.head_dim;
    const std::vector<float> q = rounded(c.tokens * stride);
    const std::vector<float> k = rounded(c.tokens * kv_stride);
    const std::vector<float> v = rounded(c.tokens * kv_stride);
    const std::vector<float> dy = rounded(c.tokens * stride);
    const auto poisoned = [](std::int64_t count) {
      return std::vector<float>(static_cast<std::size_t>(count), -7.0F);
    };
    const auto memory = [&] {
      return std::array{poisoned(c.tokens * stride), poisoned(c.tokens * c.group),
                        poisoned(c.tokens * stride), poisoned(c.tokens * kv_stride),
                        poisoned(c.tokens * kv_stride)};
    };
    auto expected = memory();
    auto found = memory();
    FlashAttentionArguments a{.query = q.data(),
                              .key = k.data(),
                              .value = v.data(),
                              .query_stride = stride,
                              .key_value_stride = kv_stride,
                              .log_sum_stride = c.group,
                              .tokens = c.tokens,
                              .group_size = c.group,
                              .head_dim = c.head_dim,
                              .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
                              .sliding_window = c.window,
                              .doutput = dy.data()};
    const auto forward = [&](FlashAttentionKernel kernel, auto& results) {
      a.output = results[0].data();
      a.log_sums = results[1].data();
      for (a.head = 0; a.head < c.group; ++a.head) {
        for (a.row_begin = 0; a.row_begin < c.tokens; a.row_begin = a.row_end) {
          a.row_end = std::min(c.tokens, a.row_begin + 64);
          kernel(a);
        }
      }
    };
    const auto backward = [&](FlashAttentionKernel kernel, auto& results) {
      a.dquery = results[2].data();
      a.dkey = results[3].data();
      a.dvalue = results[4].data();
      kernel(a);
    };
    forward(table.flash_attention_bf16, found);
    forward(specification().flash_attention, expected);
    // Both from the same output and log sums, so that what is compared is this one step.
    backward(table.flash_attention_gradient_bf16, found);
    backward(specification().flash_attention_gradient, expected);
    std::array<std::vector<double>, 5> bounds;
    for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i].assign(expected[i].size(), 0.0);
    for (std::int64_t head = 0; head < c.group; ++head) {
      const AttentionMatrices m = matrices_of(a, head);
      for (std::int64_t row = 0; row < c.tokens; ++row) {
        for (std::int64_t key = 0; key <= row; ++key) {
          const auto at = static_cast<std::size_t>(row * c.tokens + key);
          for (std::int64_t d = 0; d < c.head_dim; ++d) {
            const auto query_at = static_cast<std::size_t>(row * stride + head * c.head_dim + d);
            const auto key_at = static_cast<std::size_t>(key * kv_stride + d);
            const double p = kRounding * m.probabilities[at];
            const double ds = kRounding * std::abs(m.dscores[at]);
            bounds[0][query_at] += p * absolute(v[key_at]);
            bounds[2][query_at] += ds * absolute(k[key_at]);
            bounds[3][key_at] += ds * absolute(q[query_at]);
            bounds[4][key_at] += p * absolute(dy[query_at]);
          }
        }
      }
    }
    const double d = static_cast<double>(c.head_dim);
    const double t = static_cast<double>(c.tokens);
    const double error = 2 * (d + 8) * kU * std::sqrt(d) * 1.5 + (t + d + 16) * kU;  // as in FlashAttention
    const double dp = 2 * 5 * std::sqrt(d);
    const double exact[] = {2 * error * 5, error * 10, 8 * error * dp * 5, 8 * error * dp * 5 * std::sqrt(t),
                            8 * error * 5 * std::sqrt(t)};
    for (std::size_t which = 0; which < expected.size(); ++which) {
      for (std::size_t i = 0; i < expected[which].size(); ++i) {
        ASSERT_NEAR(found[which][i], expected[which][i], bounds[which][i] + exact[which])
            << "result " << which << " element " << i << " of " << c.tokens << " tokens, head_dim "
            << c.head_dim << ", window " << c.window << " on " << where();
      }
    }
  }
}

TEST_P(TrainingKernels, AdamW) {
  for (const std::int64_t count : {1, 15, 16, 100}) {
    const std::vector<float> gradient = normal(count);
    std::vector<float> state[3] = {normal(count), normal(count), normal(count)};
    for (float& v : state[2]) v = std::abs(v);
    std::vector<float> found[3] = {state[0], state[1], state[2]};
    AdamWArguments a{.gradient = gradient.data(),
                     .count = count,
                     .learning_rate = 1e-2F,
                     .beta1 = 0.9F,
                     .beta2 = 0.99F,
                     .weight_decay = 0.1F,
                     .correction1 = 1.0F / (1.0F - 0.729F),
                     .correction2 = 1.0F / std::sqrt(1.0F - 0.970299F),
                     .gradient_scale = 0.5F};
    const auto run = [&](const TrainingTable& table, std::vector<float>* memory) {
      a.parameter = memory[0].data();
      a.first_moment = memory[1].data();
      a.second_moment = memory[2].data();
      table.adamw(a);
    };
    run(specification(), state);
    run(quick(), found);
    for (std::size_t which = 0; which < 3; ++which) {
      for (std::size_t i = 0; i < state[which].size(); ++i) {
        // Six roundings of quantities below 1; the parameter's step is at most lr m / sqrt(v) <= 1.
        ASSERT_NEAR(found[which][i], state[which][i], 8 * kU * (1 + absolute(state[which][i]))) << where();
      }
    }
  }
}

TEST_P(TrainingKernels, SumOfSquaresAndSums) {
  for (const std::int64_t count : {1, 17, 256, 1000}) {
    const std::vector<float> x = normal(count);
    const double expected = specification().sum_of_squares(x.data(), count);
    EXPECT_NEAR(quick().sum_of_squares(x.data(), count), expected, 32 * kU * expected) << where();
    std::vector<float> total = normal(count);
    GuardedBuffer<float> found(total, uniform(0, 15));
    specification().add_to(total.data(), x.data(), count);
    quick().add_to(found.data(), x.data(), count);
    EXPECT_EQ(found.values(), total);
    EXPECT_TRUE(found.guards_intact());
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, TrainingKernels, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
