// Packed weights and quantised inputs of every ISA: packing keeps every byte, inputs are rounded as the
// reference rounds them, and the products are those of the reference, whoever else is in the call.
#include "kernels/packed_layout.h"
#include "kernels/ref/ref.h"
#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

std::vector<DType> packed_types(const KernelTable& table) {
  std::vector<DType> types;
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    if (table.packed[i].linear != nullptr) types.push_back(static_cast<DType>(i));
  }
  return types;
}

float f16_value(const std::byte* p) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof(bits));
  return f16_to_f32(bits);
}

// The largest magnitude that a minimum can have in a stored block.
double largest_minimum(DType dtype, const std::byte* block) {
  switch (dtype) {
    case DType::q4_1:
    case DType::q5_1:
      return std::abs(f16_value(block + 2));
    case DType::q4_k:
    case DType::q5_k:
      return 63.0 * std::abs(f16_value(block + 2));
    case DType::q2_k:
      return 15.0 * std::abs(f16_value(block + 82));
    default:
      return 0;
  }
}

struct PackedProblem {
  DType dtype;
  const PackedKernels* kernels;
  std::int64_t tokens;
  std::int64_t in;
  std::int64_t out;
  std::vector<std::byte> stored;
  std::vector<std::byte> packed;
  std::vector<float> x;
  std::vector<float> bias;  // may be empty

  std::int64_t input_stride() const {
    return kernels->input == InputForm::floats ? in * 4 : InputLayout(kernels->input, in).bytes;
  }
  // Rows [begin, end) of `count` tokens from `first`, for a slice of the matrix that begins at first_row.
  void run(const KernelTable& table, const std::byte* inputs, std::int64_t first, std::int64_t count,
           float* output, std::int64_t first_row, std::int64_t begin, std::int64_t end) const {
    const PackedLinearArguments arguments{.input = inputs + first * input_stride(),
                                          .input_stride = input_stride(),
                                          .weight = packed.data(),
                                          .bias = bias.empty() ? nullptr : bias.data() + first_row,
                                          .output = output,
                                          .output_stride = out - first_row,
                                          .tokens = count,
                                          .in_features = in,
                                          .first_row = first_row,
                                          .row_begin = begin,
                                          .row_end = end};
    table.packed[static_cast<std::size_t>(dtype)].linear(arguments);
  }
};

class PackedLinear : public KernelTest {
 protected:
  std::vector<std::int64_t> lengths(DType dtype) {
    const std::int64_t block = fast().packed[static_cast<std::size_t>(dtype)].block_elements;
    if (block > 1) return {block, 2 * block, 3 * block, 7 * block};
    return {1, 2, 3, 8, 17, 33, 100, 257};
  }

  std::vector<std::byte> packed_form(DType dtype, const std::vector<std::byte>& stored, std::int64_t out,
                                     std::int64_t in) {
    const PackedKernels& kernels = fast().packed[static_cast<std::size_t>(dtype)];
    const std::int64_t panels = (out + kPanelRows - 1) / kPanelRows;
    std::vector<std::byte> packed(
        static_cast<std::size_t>(panels * (in / kernels.block_elements) * kernels.panel_block_bytes),
        std::byte{0xA5});
    // In two parts, as threads do.
    const std::int64_t middle = uniform(0, panels);
    for (const auto& [begin, end] : {std::pair{middle, panels}, std::pair{std::int64_t{0}, middle}}) {
      kernels.pack({stored.data(), packed.data(), out, in, begin, end});
    }
    return packed;
  }

  PackedProblem problem(DType dtype, std::int64_t tokens, std::int64_t in, std::int64_t out) {
    PackedProblem p{.dtype = dtype,
                    .kernels = &fast().packed[static_cast<std::size_t>(dtype)],
                    .tokens = tokens,
                    .in = in,
                    .out = out,
                    .stored = weights(dtype, out, in),
                    .packed = {},
                    .x = normal(tokens * in),
                    .bias = uniform(0, 1) == 1 ? normal(out) : std::vector<float>{}};
    p.packed = packed_form(dtype, p.stored, out, in);
    return p;
  }

  // The inputs in the form that the type's kernel reads.
  static GuardedBuffer<std::byte> inputs_of(const PackedProblem& p, const KernelTable& table) {
    GuardedBuffer<std::byte> rows(p.tokens * p.input_stride(), 0);
    for (std::int64_t t = 0; t < p.tokens; ++t) {
      const float* x = p.x.data() + t * p.in;
      std::byte* row = rows.data() + t * p.input_stride();
      if (p.kernels->input == InputForm::floats) {
        std::memcpy(row, x, static_cast<std::size_t>(p.in) * sizeof(float));
      } else {
        table.quantize_input[static_cast<std::size_t>(p.kernels->input)](x, row, p.in);
      }
    }
    return rows;
  }

  // What the kernels take the inputs for: the floats, or scale times integer of the reference's rows.
  static std::vector<double> rounded_inputs(const PackedProblem& p) {
    std::vector<double> values(p.x.begin(), p.x.end());
    const InputForm form = p.kernels->input;
    if (form == InputForm::floats) return values;
    const GuardedBuffer<std::byte> rows = inputs_of(p, reference());
    for (std::int64_t i = 0; i < p.tokens * p.in; ++i) {
      const std::byte* row = rows.data() + i / p.in * p.input_stride();
      const std::int64_t k = i % p.in;
      float scale = 0;
      std::memcpy(&scale, row + InputLayout(form, p.in).scales + k / kInputBlock * 4, sizeof(scale));
      std::int16_t q = 0;
      std::memcpy(&q, row + 2 * k, sizeof(q));
      values[static_cast<std::size_t>(i)] = double{scale} * q;
    }
    return values;
  }

  // What the kernels take a row of weights for.
  static void round_row(const PackedProblem& p, std::vector<float>& row) {
    if (p.kernels->input != InputForm::words) return;
    for (std::int64_t first = 0; first < p.in; first += kInputBlock) {
      std::int16_t words[kInputBlock];
      float scale = 0;
      ref::weights_to_words(row.data() + first, words, &scale);
      for (std::int64_t k = 0; k < kInputBlock; ++k) {
        row[static_cast<std::size_t>(first + k)] = scale * static_cast<float>(words[k]);
      }
    }
  }

  // Float sums of integer products. Quantised: of B blocks (or groups of 16), each product of an exact
  // integer (one rounding to float32) with two scales (one rounding) is added with one rounding, a minimum's
  // term (scaled sum: two roundings) with another, so at most 2 B + 3 roundings weigh on a term. Floats: K
  // fused multiply-adds. One more for the bias and one for the reference's own. Terms: |scale q x| <= (|w| +
  // |m|) |x| and |m x|.
  void expect_close(const PackedProblem& p, const std::vector<float>& found) {
    const std::vector<double> x = rounded_inputs(p);
    const bool floats = p.kernels->input == InputForm::floats;
    const std::int64_t additions = floats ? p.in : 2 * (p.in / InputLayout::group(p.kernels->input));
    const double gamma = static_cast<double>(additions + 6) * kUnitRoundoff;
    const std::size_t bytes = row_bytes(p.dtype, p.in);
    const auto block = traits(p.dtype).block_elements;
    std::vector<float> row(static_cast<std::size_t>(p.in));
    for (std::int64_t n = 0; n < p.out; ++n) {
      const std::byte* stored = p.stored.data() + static_cast<std::size_t>(n) * bytes;
      reference().dequantize[static_cast<std::size_t>(p.dtype)](stored, row.data(), p.in);
      round_row(p, row);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        double sum = p.bias.empty() ? 0 : p.bias[static_cast<std::size_t>(n)];
        double magnitude = std::abs(sum);
        for (std::int64_t k = 0; k < p.in; ++k) {
          const double w = row[static_cast<std::size_t>(k)];
          const double value = x[static_cast<std::size_t>(t * p.in + k)];
          const double minimum = largest_minimum(
              p.dtype, stored + static_cast<std::size_t>(k / block) * traits(p.dtype).block_bytes);
          sum += w * value;
          magnitude += (std::abs(w) + 2 * minimum) * std::abs(value);
        }
        ASSERT_NEAR(found[static_cast<std::size_t>(t * p.out + n)], sum, gamma * magnitude)
            << name(p.dtype) << " T=" << p.tokens << " K=" << p.in << " N=" << p.out << " t=" << t
            << " n=" << n << " on " << where();
      }
    }
  }
};

TEST_P(PackedLinear, PackingGivesTheStoredRowsBack) {
  for (const DType dtype : packed_types(fast())) {
    for (const std::int64_t in : lengths(dtype)) {
      const std::int64_t out = uniform(1, 50);
      const std::vector<std::byte> stored = weights(dtype, out, in);
      const std::vector<std::byte> packed = packed_form(dtype, stored, out, in);
      const auto bytes = static_cast<std::int64_t>(row_bytes(dtype, in));
      for (std::int64_t n = 0; n < out; ++n) {
        GuardedBuffer<std::byte> row(bytes, uniform(0, 15));
        fast().packed[static_cast<std::size_t>(dtype)].unpack_row(packed.data(), row.data(), in, n);
        ASSERT_EQ(std::memcmp(row.data(), stored.data() + n * bytes, static_cast<std::size_t>(bytes)), 0)
            << name(dtype) << " K=" << in << " N=" << out << " n=" << n << " on " << where();
        ASSERT_TRUE(row.guards_intact());
      }
    }
  }
}

TEST_P(PackedLinear, ProductsAreThoseOfTheReference) {
  for (const DType dtype : packed_types(fast())) {
    for (const std::int64_t in : lengths(dtype)) {
      for (const std::int64_t tokens : {1, 2, 3, 5, 8, 9, 14, 23}) {
        const PackedProblem p = problem(dtype, tokens, in, uniform(1, 70));
        const GuardedBuffer<std::byte> inputs = inputs_of(p, fast());
        ASSERT_TRUE(inputs.guards_intact()) << name(dtype) << " on " << where();
        GuardedBuffer<float> y(tokens * p.out, uniform(0, 15));
        p.run(fast(), inputs.data(), 0, tokens, y.data(), 0, 0, p.out);
        expect_close(p, y.values());
        ASSERT_TRUE(y.guards_intact()) << name(dtype) << " K=" << in << " on " << where();
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Blocks in which inputs and weights are parallel reach the bound of Cauchy and Schwarz: no sum of words may
// leave 32 bits there.
TEST_P(PackedLinear, WordsThatAddUpDoNotOverflow) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    if (fast().packed[static_cast<std::size_t>(dtype)].input != InputForm::words) continue;
    for (const std::int64_t large : {1, 2, 3, 8, 31, 32}) {  // elements of a block that are not small
      PackedProblem p = problem(dtype, 9, 3 * kInputBlock, 40);
      const float magnitude =
          std::ldexp(dtype == DType::f16 ? 1.9990F : 1.9921F, static_cast<int>(uniform(-9, 9)));
      std::vector<float> row(static_cast<std::size_t>(p.in));
      for (std::int64_t k = 0; k < p.in; ++k) {
        const bool small = k % kInputBlock >= large;
        row[static_cast<std::size_t>(k)] =
            (small ? 1e-4F : 1.0F) * magnitude * (uniform(0, 1) == 0 ? 1.0F : -1.0F);
      }
      const std::size_t bytes = row_bytes(dtype, p.in);
      for (std::int64_t n = 0; n < p.out; ++n) {
        reference().narrow[static_cast<std::size_t>(dtype)](
            row.data(), p.stored.data() + static_cast<std::size_t>(n) * bytes, p.in);
      }
      p.packed = packed_form(dtype, p.stored, p.out, p.in);
      for (std::int64_t i = 0; i < p.tokens * p.in; ++i) {
        p.x[static_cast<std::size_t>(i)] =
            (i / p.in % 2 == 0 ? 1.0F : -3.0F) * row[static_cast<std::size_t>(i % p.in)];
      }
      const GuardedBuffer<std::byte> inputs = inputs_of(p, fast());
      std::vector<float> y(static_cast<std::size_t>(p.tokens * p.out), NAN);
      p.run(fast(), inputs.data(), 0, p.tokens, y.data(), 0, 0, p.out);
      expect_close(p, y);
    }
  }
}

// What is not finite, in a weight or an input, comes out as what is not finite, in its row or token alone.
TEST_P(PackedLinear, WordsKeepWhatIsNotFinite) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    if (fast().packed[static_cast<std::size_t>(dtype)].input != InputForm::words) continue;
    for (const float special : {INFINITY, -INFINITY, NAN}) {
      PackedProblem p = problem(dtype, uniform(2, 20), 2 * kInputBlock, 35);
      const std::int64_t token = uniform(0, p.tokens - 1);
      const std::int64_t row = uniform(0, p.out - 1);
      p.x[static_cast<std::size_t>(token * p.in + uniform(0, p.in - 1))] = special;
      const std::size_t element = p.stored.size() / static_cast<std::size_t>(p.out * p.in);
      reference().narrow[static_cast<std::size_t>(dtype)](
          &special, p.stored.data() + static_cast<std::size_t>(row * p.in + uniform(0, p.in - 1)) * element,
          1);
      p.packed = packed_form(dtype, p.stored, p.out, p.in);
      const GuardedBuffer<std::byte> inputs = inputs_of(p, fast());
      std::vector<float> y(static_cast<std::size_t>(p.tokens * p.out), 0.0F);
      p.run(fast(), inputs.data(), 0, p.tokens, y.data(), 0, 0, p.out);
      for (std::int64_t i = 0; i < p.tokens * p.out; ++i) {
        ASSERT_EQ(std::isfinite(y[static_cast<std::size_t>(i)]), i / p.out != token && i % p.out != row)
            << name(dtype) << " t=" << i / p.out << " n=" << i % p.out << " on " << where();
      }
    }
  }
}

// Nor on how the rows are cut into ranges, nor on the matrix being a slice of a larger one.
TEST_P(PackedLinear, ATokenGetsTheSameBitsAloneAndInCompany) {
  for (const DType dtype : packed_types(fast())) {
    const std::int64_t tokens = uniform(2, 60);
    const PackedProblem p = problem(dtype, tokens, lengths(dtype).back(), uniform(17, 90));
    const GuardedBuffer<std::byte> inputs = inputs_of(p, fast());
    std::vector<float> together(static_cast<std::size_t>(tokens * p.out), NAN);
    p.run(fast(), inputs.data(), 0, tokens, together.data(), 0, 0, p.out);
    for (const std::int64_t first_row : {std::int64_t{0}, uniform(1, 16)}) {
      const std::int64_t width = p.out - first_row;
      for (std::int64_t t = 0; t < tokens;) {
        const std::int64_t count = std::min(tokens - t, uniform(1, 9));
        GuardedBuffer<float> some(count * width, uniform(0, 15));
        for (std::int64_t begin = first_row, end = 0; begin < p.out; begin = end) {
          end = std::min(p.out, begin + uniform(1, 20));
          p.run(fast(), inputs.data(), t, count, some.data(), first_row, begin, end);
        }
        ASSERT_TRUE(some.guards_intact()) << name(dtype) << " on " << where();
        for (std::int64_t i = 0; i < count; ++i) {
          ASSERT_EQ(std::memcmp(some.data() + i * width, together.data() + (t + i) * p.out + first_row,
                                static_cast<std::size_t>(width) * sizeof(float)),
                    0)
              << name(dtype) << " t=" << t + i << " of " << tokens << ", N=" << p.out << " from " << first_row
              << " on " << where();
        }
        t += count;
      }
    }
  }
}

class QuantizedInputs : public KernelTest {
 protected:
  // All but the integers, which an ISA keeps in the order it likes; their sums tell whether they are right.
  // Words have no sums and one order.
  static bool same_row(const std::byte* a, const std::byte* b, InputForm form, std::int64_t count) {
    const InputLayout layout(form, count);
    const std::int64_t end = layout.scaled_sums + InputLayout::sums_bytes(form, count);
    if (form == InputForm::words && std::memcmp(a, b, static_cast<std::size_t>(2 * count)) != 0) return false;
    return std::memcmp(a + layout.scales, b + layout.scales, static_cast<std::size_t>(end - layout.scales)) ==
           0;
  }
};

constexpr InputForm kQuantizedForms[] = {InputForm::sums_of_32, InputForm::sums_of_16, InputForm::words};

// Half a step, and what the scale and its reciprocal lose by being float32.
TEST_P(QuantizedInputs, AreWithinHalfAStep) {
  for (const InputForm form : kQuantizedForms) {
    const std::int64_t count = kInputBlock * uniform(1, 20);
    const std::vector<float> x = normal(count);
    const InputLayout layout(form, count);
    std::vector<std::byte> row(static_cast<std::size_t>(layout.bytes));
    reference().quantize_input[static_cast<std::size_t>(form)](x.data(), row.data(), count);
    for (std::int64_t k = 0; k < count; ++k) {
      float scale = 0;
      std::memcpy(&scale, row.data() + layout.scales + k / kInputBlock * 4, sizeof(scale));
      std::int16_t q = 0;
      std::memcpy(&q, row.data() + 2 * k, sizeof(q));
      const double limit = (0.5 + 4 * kUnitRoundoff * double{kWordLimit}) * scale;
      ASSERT_NEAR(double{scale} * q, x[static_cast<std::size_t>(k)], limit) << where();
    }
  }
}

TEST_P(QuantizedInputs, AreTheBytesOfTheReference) {
  const std::vector<float> special = {0.0F,     -0.0F,     1e-38F, -3e-31F, 1e30F, -2e38F,
                                      INFINITY, -INFINITY, NAN,    5e-44F,  1.0F,  -127.5F};
  for (const InputForm form : kQuantizedForms) {
    const auto quantize = fast().quantize_input[static_cast<std::size_t>(form)];
    if (quantize == nullptr) continue;
    for (int round = 0; round < 50; ++round) {
      const std::int64_t count = kInputBlock * uniform(1, 12);
      std::vector<float> x = normal(count, round % 3 == 0 ? 1e-3F : 10.0F);
      for (std::int64_t i = 0; round % 2 == 1 && i < 4; ++i) {
        x[static_cast<std::size_t>(uniform(0, count - 1))] =
            special[static_cast<std::size_t>(uniform(0, static_cast<std::int64_t>(special.size()) - 1))];
      }
      if (round == 7) std::fill(x.begin(), x.begin() + kInputBlock, 0.0F);
      const InputLayout layout(form, count);
      std::vector<std::byte> expected(static_cast<std::size_t>(layout.bytes));
      reference().quantize_input[static_cast<std::size_t>(form)](x.data(), expected.data(), count);
      GuardedBuffer<std::byte> found(layout.bytes, 0);
      quantize(x.data(), found.data(), count);
      ASSERT_TRUE(same_row(found.data(), expected.data(), form, count)) << where();
      ASSERT_TRUE(found.guards_intact()) << where();
    }
  }
}

// The norm of a block of words stays below 2^15 and what rounding adds to it; a weight loses at most 2^-15 of
// its block's norm, and nothing when it is large enough for its significant bits.
TEST_P(QuantizedInputs, WeightsAsWordsKeepTheirBounds) {
  for (int round = 0; round < 200; ++round) {
    const DType dtype = round % 2 == 0 ? DType::f16 : DType::bf16;
    std::vector<float> block = normal(kInputBlock, std::ldexp(1.0F, static_cast<int>(uniform(-12, 8))));
    for (float& w : block)
      w *= uniform(0, 3) == 0 ? std::ldexp(1.0F, -static_cast<int>(uniform(0, 12))) : 1.0F;
    if (round % 5 == 0) block[static_cast<std::size_t>(uniform(0, kInputBlock - 1))] *= 50.0F;
    if (round % 7 == 0) std::fill(block.begin() + uniform(0, 31), block.end(), 0.0F);
    std::vector<std::byte> stored(row_bytes(dtype, kInputBlock));
    reference().narrow[static_cast<std::size_t>(dtype)](block.data(), stored.data(), kInputBlock);
    reference().dequantize[static_cast<std::size_t>(dtype)](stored.data(), block.data(), kInputBlock);
    std::int16_t words[kInputBlock];
    float scale = 0;
    ref::weights_to_words(block.data(), words, &scale);
    double squares = 0;
    double norm = 0;
    for (std::int64_t k = 0; k < kInputBlock; ++k) {
      squares += double{block[static_cast<std::size_t>(k)]} * block[static_cast<std::size_t>(k)];
      norm += static_cast<double>(words[k]) * words[k];
    }
    ASSERT_LT(std::sqrt(norm), 32768 * (1 + 16 * kUnitRoundoff) + std::sqrt(8.0)) << where();
    const double large = std::sqrt(squares) / (dtype == DType::f16 ? 16 : 128);
    for (std::int64_t k = 0; k < kInputBlock; ++k) {
      const double w = block[static_cast<std::size_t>(k)];
      const double error = std::abs(w - double{scale} * words[k]);
      ASSERT_LE(error, std::abs(w) >= large * 1.0001 ? 0.0 : std::ldexp(std::sqrt(squares) * 1.0001, -15))
          << where();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, PackedLinear, ::testing::ValuesIn(isas_and_tiles()), isa_test_name);
INSTANTIATE_TEST_SUITE_P(EveryIsa, QuantizedInputs, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
