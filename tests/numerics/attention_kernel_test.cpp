// Paged attention of every ISA against kernels/ref: cache types, head sizes, windows, caps, block sizes, and
// that a row's bits do not depend on its company.
#include <algorithm>
#include <numeric>

#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

struct Case {
  DType dtype;
  std::int64_t tokens;
  std::int64_t context;  // keys of the last token, its own included
  std::int64_t group;
  std::int64_t head_dim;
  std::int64_t block_size;
  std::int64_t window;
  float softcap;
};

// One sequence's blocks lie in random order among those of two key/value heads; head 1 is the one attended
// to.
struct Sequence {
  Case c;
  std::vector<float> queries;   // [tokens, group, head_dim]
  std::vector<std::byte> keys;  // [blocks, 2, block_size, head_dim]
  std::vector<std::byte> values;
  std::vector<std::int32_t> block_table;

  AttentionArguments arguments(float* output) const {
    AttentionArguments a;
    a.query = queries.data();
    a.output = output;
    a.token_stride = c.group * c.head_dim;
    a.tokens = c.tokens;
    a.group_size = c.group;
    a.head_dim = c.head_dim;
    a.first_position = c.context - c.tokens;
    const auto head = static_cast<std::size_t>(c.block_size * c.head_dim) * traits(c.dtype).block_bytes;
    a.keys = keys.data() + head;
    a.values = values.data() + head;
    a.dtype = c.dtype;
    a.block_table = block_table.data();
    a.block_size = c.block_size;
    a.block_stride = 2 * c.block_size * c.head_dim;
    a.scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
    a.sliding_window = c.window;
    a.logit_softcap = c.softcap;
    return a;
  }
};

class AttentionKernels : public KernelTest {
 protected:
  Sequence sequence(const Case& c) {
    Sequence s;
    s.c = c;
    s.queries = normal(c.tokens * c.group * c.head_dim, 2.0F);
    const std::int64_t blocks = (c.context + c.block_size - 1) / c.block_size;
    s.block_table.resize(static_cast<std::size_t>(blocks));
    std::iota(s.block_table.begin(), s.block_table.end(), 0);
    for (std::size_t i = s.block_table.size(); i > 1; --i) {
      std::swap(s.block_table[i - 1],
                s.block_table[static_cast<std::size_t>(uniform(0, static_cast<int>(i) - 1))]);
    }
    s.keys = weights(c.dtype, blocks * 2, c.block_size * c.head_dim);
    s.values = weights(c.dtype, blocks * 2, c.block_size * c.head_dim);
    return s;
  }

  Case random_case() {
    constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};
    constexpr std::int64_t kHeads[] = {32, 64, 80, 96, 112, 128, 256, 5, 17};
    constexpr std::int64_t kBlocks[] = {1, 5, 16, 32, 64};
    Case c{};
    c.dtype = kTypes[uniform(0, 2)];
    c.tokens = uniform(1, 20);
    c.context = c.tokens + (uniform(0, 2) == 0 ? 0 : uniform(0, 150));
    c.group = uniform(1, 7);
    c.head_dim = kHeads[uniform(0, 8)];
    c.block_size = kBlocks[uniform(0, 4)];
    c.window = uniform(0, 1) == 0 ? 0 : uniform(1, 70);
    c.softcap = uniform(0, 2) == 0 ? 20.0F : 0.0F;
    return c;
  }

  std::string describe(const Case& c) const {
    return std::string(name(c.dtype)) + " T=" + std::to_string(c.tokens) + " S=" + std::to_string(c.context) +
           " group=" + std::to_string(c.group) + " D=" + std::to_string(c.head_dim) +
           " block=" + std::to_string(c.block_size) + " window=" + std::to_string(c.window) +
           " cap=" + std::to_string(c.softcap) + " on " + where();
  }
};

// Errors, u = 2^-24. A score is a sum of D products: gamma (D/8 + 6) u times |q||k| scale; queries here have
// |q| <= 2 (sqrt(D) + 4) and keys |k| <= sqrt(D) + 4 but for a negligible chance, so with scale = 1/sqrt(D)
// it is off by at most e = (D/8 + 8) u * 2 (sqrt(D) + 4)^2 / sqrt(D); a cap only shrinks it and adds 8 u *
// cap. A weight exp(s - m) is then off by the factor 1 +- (2 e + (4 + 88) u): the score and the maximum each
// shift by e, exp adds 2 units and |s - m| u <= 88 u from the subtraction. Sums of S weighted values and of S
// weights add (S + 32) u each, corrections by tiles 4 u a tile. All are relative to sum p |v| <= max |v|
// <= 6.
TEST_P(AttentionKernels, AgreeWithTheReference) {
  for (int round = 0; round < 150; ++round) {
    const Case c = random_case();
    const Sequence s = sequence(c);
    std::vector<float> expected(s.queries.size(), NAN);
    reference().attention(s.arguments(expected.data()));
    GuardedBuffer<float> found(static_cast<std::int64_t>(s.queries.size()), uniform(0, 15));
    fast().attention(s.arguments(found.data()));
    const double d = static_cast<double>(c.head_dim);
    const double norms = 2 * std::pow(std::sqrt(d) + 4, 2) / std::sqrt(d);
    const double score = (d / 8 + 8) * norms + 8.0 * c.softcap;
    const double relative = 2 * score + 92 + 2 * (static_cast<double>(c.context) * 1.2 + 32);
    const std::vector<float> values = found.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], 6 * relative * kUnitRoundoff)
          << "element " << i << ": " << describe(c);
    }
    ASSERT_TRUE(found.guards_intact()) << describe(c);
  }
}

TEST_P(AttentionKernels, GiveARowTheSameBitsHoweverThePromptIsCut) {
  for (int round = 0; round < 60; ++round) {
    Case c = random_case();
    c.tokens = c.context = uniform(1, 120);
    const Sequence s = sequence(c);
    std::vector<float> together(s.queries.size(), NAN);
    fast().attention(s.arguments(together.data()));
    std::vector<float> pieces(together.size(), NAN);
    for (std::int64_t begin = 0, end = 0; begin < c.tokens; begin = end) {
      end = std::min(c.tokens, begin + uniform(1, 30));
      AttentionArguments part = s.arguments(pieces.data());
      part.query += begin * part.token_stride;
      part.output += begin * part.token_stride;
      part.tokens = end - begin;
      part.first_position = begin;
      fast().attention(part);
    }
    ASSERT_EQ(std::memcmp(pieces.data(), together.data(), pieces.size() * sizeof(float)), 0) << describe(c);
  }
}

// Keys outside the window or after the token may hold anything, NaN included.
TEST_P(AttentionKernels, DoNotLookAtKeysThatARowMustNotSee) {
  for (int round = 0; round < 40; ++round) {
    Case c = random_case();
    c.dtype = DType::f32;
    c.block_size = 8;
    c.window = c.window == 0 ? 0 : 5;
    Sequence s = sequence(c);
    std::vector<float> expected(s.queries.size(), NAN);
    fast().attention(s.arguments(expected.data()));
    const std::int64_t first_position = c.context - c.tokens;
    const std::int64_t seen_from =
        c.window == 0 ? 0 : std::max<std::int64_t>(0, first_position - c.window + 1);
    const std::int64_t slots = static_cast<std::int64_t>(s.block_table.size()) * c.block_size;
    for (std::int64_t key = 0; key < slots; ++key) {
      if (key >= seen_from && key < c.context) continue;
      const std::int64_t block = s.block_table[static_cast<std::size_t>(key / c.block_size)];
      const auto row =
          static_cast<std::size_t>(((block * 2 + 1) * c.block_size + key % c.block_size) * c.head_dim);
      for (auto* memory : {&s.keys, &s.values}) {
        std::memset(memory->data() + row * sizeof(float), 0xff,
                    static_cast<std::size_t>(c.head_dim) * sizeof(float));
      }
    }
    std::vector<float> found(expected.size(), NAN);
    fast().attention(s.arguments(found.data()));
    ASSERT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0) << describe(c);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, AttentionKernels, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
