// Attention alone: GFLOP/s of prefill and GB/s of decode at several contexts and cache types, without a
// model. TESSERA_ISA and TESSERA_THREADS choose what is measured; names of cache types as arguments choose
// the caches.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/key_value_cache.h"
#include "ops/attention.h"

namespace tessera {
namespace {

constexpr std::int64_t kChunk = 512;
constexpr std::int64_t kLongest = 8192;
constexpr double kSecondsPerCase = 0.2;
constexpr int kFewestCalls = 4;
// Decode goes round these, so that keys and values come from memory as they do in a model.
constexpr std::int64_t kLayerBytes = std::int64_t{256} << 20;

struct Heads {
  std::string name;
  std::int64_t key_value_heads;
  std::int64_t group_size;
  std::int64_t head_dim;
};

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// Tokens [past, past + tokens) of one sequence whose blocks lie in order.
struct Batch {
  Batch(std::int64_t past, std::int64_t tokens, std::int64_t block_size)
      : ids(static_cast<std::size_t>(tokens)),
        query_start{0, static_cast<std::int32_t>(tokens)},
        context_length{static_cast<std::int32_t>(past + tokens)} {
    for (std::int64_t position = past; position < past + tokens; ++position) {
      positions.push_back(static_cast<std::int32_t>(position));
    }
    for (std::int64_t block = 0; block * block_size < past + tokens; ++block) {
      block_table.push_back(static_cast<std::int32_t>(block));
    }
    view = {ids,
            positions,
            query_start,
            context_length,
            positions,
            block_table,
            static_cast<std::int32_t>(block_table.size())};
  }
  std::vector<TokenId> ids;
  std::vector<std::int32_t> positions, query_start, context_length, block_table;
  RaggedBatch view;
};

// Seconds of the fastest of several calls: what others take from the machine only ever adds.
template <typename Work>
double fastest_seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double fastest = INFINITY;
  const auto begin = Clock::now();
  for (int call = 0;; ++call) {
    const auto start = Clock::now();
    work();
    const auto end = Clock::now();
    if (call > 0) fastest = std::min(fastest, std::chrono::duration<double>(end - start).count());
    if (call >= kFewestCalls && std::chrono::duration<double>(end - begin).count() > kSecondsPerCase) break;
  }
  return fastest;
}

class Case {
 public:
  Case(const Heads& heads, DType key_dtype, DType value_dtype)
      : heads_(heads),
        parameters_{.scale = 1.0F / std::sqrt(static_cast<float>(heads.head_dim))},
        shape_{.num_key_value_heads = heads.key_value_heads, .head_dim = heads.head_dim},
        token_bytes_(static_cast<std::int64_t>(
            engine::key_value_bytes_per_token({&shape_, 1}, key_dtype, value_dtype))),
        cache_(std::vector(static_cast<std::size_t>(kLayerBytes / (token_bytes_ * kLongest)) + 1, shape_),
               {.tokens = kLongest, .key_dtype = key_dtype, .value_dtype = value_dtype}),
        q_(normal({kChunk, heads.key_value_heads * heads.group_size, heads.head_dim}, 1)),
        k_(normal({kChunk, heads.key_value_heads, heads.head_dim}, 2)),
        v_(normal({kChunk, heads.key_value_heads, heads.head_dim}, 3)) {
    for (const KeyValueCacheLayer& layer : cache_.layers()) {
      for (std::int64_t past = 0; past < kLongest; past += kChunk) {
        ops::write_key_values(k_, v_, Batch(past, kChunk, layer.block_size).view, layer);
      }
    }
  }

  // The whole prompt in chunks, flops of what is causally visible.
  double prefill_gflops(std::int64_t length) {
    const KeyValueCacheLayer& layer = cache_.layers().front();
    double seconds = 0;
    for (std::int64_t past = 0; past < length; past += kChunk) {
      const Batch batch(past, kChunk, layer.block_size);
      seconds += fastest_seconds([&] {
        ops::write_key_values(k_, v_, batch.view, layer);
        ops::paged_attention(q_, batch.view, layer, parameters_);
      });
    }
    const auto pairs = static_cast<double>(length) * static_cast<double>(length + 1) / 2;
    const auto query_heads = static_cast<double>(heads_.key_value_heads * heads_.group_size);
    return 4 * pairs * query_heads * static_cast<double>(heads_.head_dim) / seconds * 1e-9;
  }

  // One token after `depth` others, in one layer after the other.
  double decode_gigabytes(std::int64_t depth) {
    const Batch batch(depth - 1, 1, cache_.block_manager().block_size());
    const Tensor q = q_.rows(0, 1);
    const auto layers = cache_.layers();
    const double seconds = fastest_seconds([&] {
      for (const KeyValueCacheLayer& layer : layers) ops::paged_attention(q, batch.view, layer, parameters_);
    });
    return static_cast<double>(token_bytes_ * depth) * static_cast<double>(layers.size()) / seconds * 1e-9;
  }

 private:
  Heads heads_;
  ops::AttentionParameters parameters_;
  models::KeyValueShape shape_;
  std::int64_t token_bytes_;
  engine::KeyValueCache cache_;
  Tensor q_, k_, v_;
};

// "f16", or "q8_0/f16" for keys and values.
std::pair<DType, DType> cache_types(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto keys = dtype_from_name(text.substr(0, slash));
  const auto values = slash == std::string::npos ? keys : dtype_from_name(text.substr(slash + 1));
  if (!keys || !values)
    fail(ErrorKind::bad_usage, "expected cache types like f16 or q8_0/f16, found '{}'", text);
  return {*keys, *values};
}

void run(std::vector<std::string> types) {
  if (types.empty()) types = {"f32", "f16", "bf16", "q8_0"};
  const Heads shapes[] = {{"D=64 group 3", 3, 3, 64}, {"D=128 group 4", 8, 4, 128}};
  fmt::print("{} on {} threads; prefill in GFLOP/s, decode in GB/s of keys and values\n",
             isa_name(selected_isa()), thread_pool().size());
  fmt::print("{:<14} {:<10} {:>8} {:>8} {:>8}  {:>8} {:>8} {:>8}\n", "heads", "cache", "pp 512", "pp 2048",
             "pp 8192", "@512", "@2048", "@8192");
  for (const Heads& heads : shapes) {
    for (const std::string& type : types) {
      const auto [keys, values] = cache_types(type);
      Case work(heads, keys, values);
      fmt::print("{:<14} {:<10}", heads.name, type);
      for (const std::int64_t length : {512, 2048, 8192})
        fmt::print(" {:>8.1f}", work.prefill_gflops(length));
      fmt::print(" ");
      for (const std::int64_t depth : {512, 2048, 8192})
        fmt::print(" {:>8.1f}", work.decode_gigabytes(depth));
      fmt::print("\n");
    }
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  try {
    tessera::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
