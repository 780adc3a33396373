// Matrix products alone: GB/s of weights for one row, out of the cache and out of memory, and GOP/s for more
// rows, with weights as stored and packed, without a model. TESSERA_ISA and TESSERA_THREADS choose what is
// measured; names of weight types as arguments choose the types.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/machine_peak.h"
#include "ops/quantize.h"

namespace tessera {
namespace {

constexpr double kSecondsPerCase = 0.1;
// One row goes round matrices of so many bytes together, so that they come from memory as they do in a model.
constexpr std::size_t kMemoryBytes = std::size_t{256} << 20;

struct Size {
  std::int64_t in;
  std::int64_t out;
};
constexpr Size kSizes[] = {{576, 1536}, {896, 4864}, {2048, 8192}};
constexpr std::int64_t kRows[] = {2, 4, 8, 32, 512};

Tensor normal(const Shape& shape) {
  std::mt19937 random(1);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// The fastest call: what disturbs a measurement only ever makes it slower.
template <typename Call>
double best_seconds(const Call& call) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  const auto begin = Clock::now();
  for (int calls = 0; calls < 4 || Clock::now() - begin < std::chrono::duration<double>(kSecondsPerCase);
       ++calls) {
    const auto start = Clock::now();
    call();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Copies of one matrix, enough to fill kMemoryBytes.
std::vector<ops::WeightMatrix> copies(const Tensor& stored, bool packed, ops::PackedMemory& memory) {
  std::vector<ops::WeightMatrix> matrices;
  for (std::size_t bytes = 0; bytes < kMemoryBytes; bytes += stored.bytes()) {
    if (packed) {
      matrices.push_back(ops::WeightMatrix::packed(stored, memory));
    } else {
      Tensor copy = Tensor::empty(stored.shape(), stored.dtype());
      std::copy_n(stored.raw(), stored.bytes(), copy.mutable_raw());
      matrices.emplace_back(copy);
    }
  }
  return matrices;
}

void measure(DType dtype, const Size& size, bool packed) {
  const Tensor stored = ops::quantize(normal({size.out, size.in}), dtype, "bench");
  if (packed && !ops::WeightMatrix::can_pack(stored)) return;
  ops::PackedMemory memory;
  const std::vector<ops::WeightMatrix> matrices = copies(stored, packed, memory);
  const Tensor one = normal({1, size.in});
  const double cached = best_seconds([&] { (void)ops::linear(one, matrices.front()); });
  const double streamed = best_seconds([&] {
    for (const ops::WeightMatrix& matrix : matrices) (void)ops::linear(one, matrix);
  });
  const auto bytes = static_cast<double>(stored.bytes());
  std::string line = fmt::format("{:<7}{:>5} x {:<6}{:<8}{:>8.1f}{:>8.1f}", name(dtype), size.in, size.out,
                                 packed ? "packed" : "stored", bytes / cached / 1e9,
                                 bytes * static_cast<double>(matrices.size()) / streamed / 1e9);
  for (const std::int64_t rows : kRows) {
    const Tensor x = normal({rows, size.in});
    const double seconds = best_seconds([&] { (void)ops::linear(x, matrices.front()); });
    line += fmt::format("{:>8.0f}", 2.0 * static_cast<double>(rows * size.in * size.out) / seconds / 1e9);
  }
  fmt::print("{}\n", line);
}

int run(int count, char** arguments) {
  std::vector<DType> types;
  for (int i = 1; i < count; ++i) {
    const auto dtype = dtype_from_name(arguments[i]);
    if (!dtype || !ops::can_quantize_to(*dtype)) {
      fail(ErrorKind::bad_usage, "expected a type that weights can be rounded to, found '{}'", arguments[i]);
    }
    types.push_back(*dtype);
  }
  if (types.empty()) types = {DType::q4_0, DType::q4_1, DType::q8_0, DType::bf16, DType::f32};
  const ops::MachinePeak peak = ops::measure_machine_peak(kMemoryBytes);
  fmt::print("kernels {}, {} threads; {:.1f} GB/s read, {:.0f} GFLOP/s float32\n", isa_name(selected_isa()),
             thread_pool().size(), peak.read_bytes_per_second / 1e9, peak.flops_per_second / 1e9);
  fmt::print("{:<7}{:<14}{:<8}{:>16}{:>40}\n{:29}{:>8}{:>8}", "type", "in x out", "weights", "1 row, GB/s",
             "GOP/s at rows", "", "cache", "memory");
  for (const std::int64_t rows : kRows) fmt::print("{:>8}", rows);
  fmt::print("\n");
  for (const DType dtype : types) {
    for (const Size& size : kSizes) {
      if (size.in % traits(dtype).block_elements != 0) continue;
      for (const bool packed : {false, true}) measure(dtype, size, packed);
    }
  }
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int count, char** arguments) {
  try {
    return tessera::run(count, arguments);
  } catch (const tessera::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
