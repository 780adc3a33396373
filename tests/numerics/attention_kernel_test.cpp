// Paged attention of every ISA against kernels/ref: cache types, head sizes, windows, caps, block sizes, and
// that a row's bits do not depend on its company.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/ref/key_value.h"
#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

struct Case {
  DType key_dtype;
  DType value_dtype;
  std::int64_t tokens;
  std::int64_t context;  // keys of the last token, its own included
  std::int64_t group;
  std::int64_t head_dim;
  std::int64_t block_size;
  std::int64_t window;
  float softcap;
};

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0};

// One sequence's blocks lie in random order among those of two key/value heads; head 1 is the one attended
// to. What no token wrote holds NaN.
struct Sequence {
  Case c{};
  std::vector<float> queries;   // [tokens, group, head_dim]
  std::vector<std::byte> keys;  // [blocks, 2, block_size / kKeyGroup] groups
  std::vector<std::byte> values;
  std::vector<std::int32_t> block_table;

  std::int64_t head_key_bytes() const {
    return c.block_size / kKeyGroup * key_group_bytes(c.key_dtype, c.head_dim);
  }
  std::int64_t head_value_bytes() const {
    return c.block_size / kKeyGroup * value_group_bytes(c.value_dtype, c.head_dim);
  }
  std::byte* group_of(std::vector<std::byte>& memory, std::int64_t head_bytes, std::int64_t key) const {
    const std::int64_t block = block_table[static_cast<std::size_t>(key / c.block_size)];
    const std::int64_t group_bytes = head_bytes / (c.block_size / kKeyGroup);
    return memory.data() + (block * 2 + 1) * head_bytes + key % c.block_size / kKeyGroup * group_bytes;
  }
  void put(const KernelTable& kernels, std::int64_t position, const float* key, const float* value) {
    kernels.store_key[static_cast<std::size_t>(c.key_dtype)](
        key, c.head_dim, group_of(keys, head_key_bytes(), position), position % kKeyGroup);
    kernels.store_value[static_cast<std::size_t>(c.value_dtype)](
        value, c.head_dim, group_of(values, head_value_bytes(), position), position % kKeyGroup);
  }

  AttentionArguments arguments(float* output) const {
    AttentionArguments a;
    a.query = queries.data();
    a.output = output;
    a.token_stride = c.group * c.head_dim;
    a.tokens = c.tokens;
    a.group_size = c.group;
    a.head_dim = c.head_dim;
    a.first_position = c.context - c.tokens;
    a.keys = keys.data() + head_key_bytes();
    a.values = values.data() + head_value_bytes();
    a.key_dtype = c.key_dtype;
    a.value_dtype = c.value_dtype;
    a.block_table = block_table.data();
    a.block_size = c.block_size;
    a.key_block_stride = 2 * head_key_bytes();
    a.value_block_stride = 2 * head_value_bytes();
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
    s.keys.assign(static_cast<std::size_t>(blocks * 2 * s.head_key_bytes()), std::byte{0xff});
    s.values.assign(static_cast<std::size_t>(blocks * 2 * s.head_value_bytes()), std::byte{0xff});
    for (std::int64_t key = 0; key < c.context; ++key) {
      s.put(reference(), key, normal(c.head_dim).data(), normal(c.head_dim).data());
    }
    return s;
  }

  Case random_case() {
    constexpr std::int64_t kHeads[] = {32, 64, 80, 96, 112, 128, 256, 8, 40, 5, 17};
    constexpr std::int64_t kBlocks[] = {16, 32, 64, 256};
    constexpr std::int64_t kGroups[] = {1, 2, 3, 4, 5, 7, 8, 13};
    Case c{};
    c.key_dtype = kTypes[uniform(0, 3)];
    c.value_dtype = kTypes[uniform(0, 3)];
    c.tokens = uniform(1, 20);
    c.context = c.tokens + (uniform(0, 2) == 0 ? 0 : uniform(0, 150));
    if (uniform(0, 2) == 0) {  // around the border of a tile
      c.context = std::max(c.tokens, uniform(1, 3) * kKeyTile + uniform(-2, 2));
    }
    c.group = kGroups[uniform(0, 7)];
    c.head_dim = kHeads[uniform(0, 10)];
    c.block_size = kBlocks[uniform(0, 3)];
    c.window = uniform(0, 1) == 0 ? 0 : uniform(1, 200);
    c.softcap = uniform(0, 2) == 0 ? 20.0F : 0.0F;
    return c;
  }

  std::string describe(const Case& c) const {
    return std::string(name(c.key_dtype)) + "/" + std::string(name(c.value_dtype)) +
           " T=" + std::to_string(c.tokens) + " S=" + std::to_string(c.context) +
           " group=" + std::to_string(c.group) + " D=" + std::to_string(c.head_dim) +
           " block=" + std::to_string(c.block_size) + " window=" + std::to_string(c.window) +
           " cap=" + std::to_string(c.softcap) + " on " + where();
  }

  std::vector<float> attend(const Sequence& s) {
    std::vector<float> output(s.queries.size(), NAN);
    fast().attention(s.arguments(output.data()));
    return output;
  }
};

// Errors, u = 2^-24. A score is a chain of D multiply-adds: (D + 1) u times sum |q_d k_d| <= |q||k|, plus 3 u
// for the scaled query; queries here have |q| <= 2 (sqrt(D) + 4) and keys |k| <= sqrt(D) + 4 but for a
// negligible chance, so with scale = 1/sqrt(D) it is off by at most e = (D + 4) u * 2 (sqrt(D) + 4)^2 /
// sqrt(D); a cap only shrinks it and adds 12 u * cap. With q8_0 keys the query is rounded to 15 bits: 2^-15
// of its largest element,
// <= 2^-15 |q|, for each of D elements, at random signs sqrt(D) of them: sqrt(D) 2^-15 |q||k| / sqrt(D)
// scale. A weight 2^(s - m) is then off by the factor 1 +- (2 e + (4 + 88) u): the score and the maximum each
// shift by e, the exponential adds 3 units and |s - m| u <= 88 u from the subtraction. Sums of S weighted
// values and of S weights add (S + 32) u each, merging tiles 6 u a tile. All are relative to sum p |v| <= max
// |v| <= 6.
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
    const double integers = c.key_dtype == DType::q8_0 ? 0x1p-15 / kUnitRoundoff : 0;
    const double score = (d + 4 + integers) * norms + 12.0 * c.softcap;
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
  const int rounds = GetParam() == Isa::scalar ? 6 : 60;  // the definition is slow, and evidently so
  for (int round = 0; round < rounds; ++round) {
    Case c = random_case();
    c.tokens = c.context = uniform(1, 300);
    const Sequence s = sequence(c);
    const std::vector<float> together = attend(s);
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

TEST_P(AttentionKernels, GiveTheSameBitsWhenTilesAreSplit) {
  if (fast().attention_partials == nullptr) GTEST_SKIP() << "no split form on " << where();
  for (int round = 0; round < 60; ++round) {
    Case c = random_case();
    c.context = c.tokens + uniform(0, 600);
    const Sequence s = sequence(c);
    const std::vector<float> whole = attend(s);
    std::vector<float> output(whole.size(), NAN);
    AttentionArguments a = s.arguments(output.data());
    const std::int64_t first_key =
        c.window == 0 ? 0 : std::max<std::int64_t>(0, a.first_position + 1 - c.window);
    const std::int64_t begin = first_key / kKeyTile;
    const std::int64_t end = (c.context + kKeyTile - 1) / kKeyTile;
    const std::int64_t tile_floats = c.tokens * c.group * partial_floats(c.head_dim);
    GuardedBuffer<float> partials((end - begin) * tile_floats, 0);
    // Ranges of tiles in descending order: nothing may flow from one to the next.
    for (std::int64_t upper = end; upper > begin;) {
      const std::int64_t lower = std::max(begin, upper - uniform(1, 3));
      a.tile_begin = lower;
      a.tile_end = upper;
      a.partials = partials.data() + (lower - begin) * tile_floats;
      fast().attention_partials(a);
      upper = lower;
    }
    a.tile_begin = begin;
    a.tile_end = end;
    a.partials = partials.data();
    fast().merge_attention(a);
    ASSERT_EQ(std::memcmp(output.data(), whole.data(), whole.size() * sizeof(float)), 0) << describe(c);
    ASSERT_TRUE(partials.guards_intact()) << describe(c);
  }
}

// Keys outside a row's window or after it may hold anything, NaN included, even where another row of the call
// sees them.
TEST_P(AttentionKernels, DoNotLookAtKeysThatARowMustNotSee) {
  for (int round = 0; round < 60; ++round) {
    Case c = random_case();
    c.tokens = uniform(2, 40);
    c.context = c.tokens + uniform(0, 200);
    c.window = c.window == 0 ? 0 : uniform(1, 20);
    Sequence s = sequence(c);
    const std::vector<float> expected = attend(s);
    // One key that some of the rows see.
    const std::int64_t poisoned = c.context - uniform(1, c.tokens - 1);
    const std::vector<float> nan(static_cast<std::size_t>(c.head_dim), NAN);
    s.put(reference(), poisoned, nan.data(), nan.data());
    const std::vector<float> found = attend(s);
    const std::int64_t row_size = c.group * c.head_dim;
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      const std::int64_t position = c.context - c.tokens + t;
      const bool sees = poisoned <= position && (c.window == 0 || poisoned > position - c.window);
      const float* row = found.data() + t * row_size;
      if (sees) {
        ASSERT_TRUE(std::isnan(row[0])) << "token " << t << ": " << describe(c);
      } else {
        ASSERT_EQ(std::memcmp(row, expected.data() + t * row_size, static_cast<std::size_t>(row_size) * 4), 0)
            << "token " << t << ": " << describe(c);
      }
    }
  }
}

// The integers that a query is rounded to for q8_0 keys have 15 bits, the keys 8: the difference that the
// former make is a small part of what the latter make.
TEST_P(AttentionKernels, RoundQueriesFinelyBesideTheKeysOfQ8) {
  double own = 0;
  double stored = 0;
  for (int round = 0; round < 20; ++round) {
    Case c{.key_dtype = DType::q8_0,
           .value_dtype = DType::f32,
           .tokens = 4,
           .context = uniform(100, 300),
           .group = 3,
           .head_dim = round % 2 == 0 ? 64 : 112,
           .block_size = 16,
           .window = 0,
           .softcap = 0};
    Sequence rounded = sequence(c);
    c.key_dtype = DType::f32;
    Sequence plain = sequence(c);
    plain.queries = rounded.queries;
    for (std::int64_t key = 0; key < c.context; ++key) {
      const std::vector<float> k = normal(c.head_dim);
      const std::vector<float> v = normal(c.head_dim);
      rounded.put(reference(), key, k.data(), v.data());
      plain.put(reference(), key, k.data(), v.data());
    }
    std::vector<float> exact(plain.queries.size());
    std::vector<float> expected(plain.queries.size());
    reference().attention(plain.arguments(exact.data()));
    reference().attention(rounded.arguments(expected.data()));
    const std::vector<float> found = attend(rounded);
    for (std::size_t i = 0; i < found.size(); ++i) {
      own += std::pow(double{found[i]} - double{expected[i]}, 2);
      stored += std::pow(double{expected[i]} - double{exact[i]}, 2);
    }
  }
  EXPECT_LT(std::sqrt(own), 0.03 * std::sqrt(stored)) << where();
}

// Stored keys and values: the reference's bits, and what the reference reads back.
TEST_P(AttentionKernels, StoreTheReferencesBits) {
  for (const DType dtype : kTypes) {
    const auto index = static_cast<std::size_t>(dtype);
    for (const std::int64_t head_dim : {64, 80, 128, 5, 17, 40, 256}) {
      const std::int64_t key_bytes = key_group_bytes(dtype, head_dim);
      const std::int64_t value_bytes = value_group_bytes(dtype, head_dim);
      GuardedBuffer<std::byte> keys(key_bytes, 0);
      GuardedBuffer<std::byte> values(value_bytes, 0);
      std::vector<std::byte> expected_keys = keys.values();
      std::vector<std::byte> expected_values = values.values();
      for (std::int64_t place = 0; place < kKeyGroup; ++place) {
        std::vector<float> row = normal(head_dim, place == 3 ? 1e-7F : 3.0F);
        if (place == 5) row.assign(row.size(), 0.0F);
        if (place == 7) row[0] = NAN;
        GuardedBuffer<float> source(row, uniform(0, 15));
        fast().store_key[index](source.data(), head_dim, keys.data(), place);
        fast().store_value[index](source.data(), head_dim, values.data(), place);
        reference().store_key[index](row.data(), head_dim, expected_keys.data(), place);
        reference().store_value[index](row.data(), head_dim, expected_values.data(), place);
        for (std::int64_t d = 0; d < head_dim && place != 7; ++d) {
          const float x = row[static_cast<std::size_t>(d)];
          const float largest = std::abs(*std::max_element(
              row.begin(), row.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
          // Half a unit of 24, 11 and 8 bits, or half a quant and the rounding of its scale; below 2^-14,
          // half of f16's 2^-24.
          const float relative = dtype == DType::f32 ? 0 : dtype == DType::f16 ? 0x1p-11F : 0x1p-8F;
          const float bound = dtype == DType::q8_0
                                  ? largest / 254 * 1.01F + 127 * 0x1p-25F
                                  : std::abs(x) * relative + (dtype == DType::f16 ? 0x1p-25F : 0);
          ASSERT_NEAR(ref::load_key(dtype, head_dim, keys.data(), place, d), x, bound) << name(dtype);
          ASSERT_NEAR(ref::load_value(dtype, head_dim, values.data(), place, d), x, bound) << name(dtype);
        }
        if (place == 7) {
          ASSERT_TRUE(std::isnan(ref::load_key(dtype, head_dim, keys.data(), place, 0)));
          ASSERT_TRUE(std::isnan(ref::load_value(dtype, head_dim, values.data(), place, 0)));
        }
      }
      ASSERT_EQ(keys.values(), expected_keys) << name(dtype) << " D=" << head_dim << " on " << where();
      ASSERT_EQ(values.values(), expected_values) << name(dtype) << " D=" << head_dim << " on " << where();
      ASSERT_TRUE(keys.guards_intact() && values.guards_intact());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, AttentionKernels, ::testing::ValuesIn(isas_and_tiles()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
