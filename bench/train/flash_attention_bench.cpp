// Times causal attention as training runs it, forward and backward:
//   flash_attention_bench --batch 1 --heads 12 --tokens 2048 --head-dim 64 --precision bf16
// Prints one line of JSON: the median of both in milliseconds, tokens a second, and the peak of resident
// memory.
#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <random>

#include "autograd/tape.h"
#include "base/error.h"
#include "ops/flash_attention.h"
#include "ops/matrix_product.h"
#include "tensor/storage_cache.h"

namespace tessera {
namespace {

// Seconds on the wall's clock, or of the processor's time that this process took.
double now(bool processor_time) {
  if (processor_time) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Flags {
  std::int64_t batch = 1;
  std::int64_t heads = 12;
  std::int64_t tokens = 2048;
  std::int64_t head_dim = 64;
  std::string precision = "f32";
  double seconds = 3;
  bool cpu_time = false;
};

Tensor normal_tensor(const Shape& shape, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::empty(shape);
  std::ranges::generate(tensor.as_mutable<float>(), [&] { return normal(random); });
  return tensor;
}

struct Sequences {
  std::vector<std::int32_t> positions, query_start{0}, context_length;
  explicit Sequences(const Flags& flags) {
    for (std::int64_t b = 0; b < flags.batch; ++b) {
      for (std::int64_t t = 0; t < flags.tokens; ++t) positions.push_back(static_cast<std::int32_t>(t));
      query_start.push_back(static_cast<std::int32_t>(positions.size()));
      context_length.push_back(static_cast<std::int32_t>(flags.tokens));
    }
  }
};

struct Seconds {
  double forward, backward;
};

// The backward begins at the sum of y times `upstream`, which is what its gradient then is.
Seconds run_once(const Tensor (&inputs)[3], const Tensor& upstream, const RaggedBatch& batch, bool cpu_time) {
  autograd::Tape tape;
  for (const Tensor& input : inputs) tape.watch(input);
  const autograd::RecordingScope recording(tape);
  const double start = now(cpu_time);
  const float scale = 1.0F / std::sqrt(static_cast<float>(inputs[0].dim(2)));
  const Tensor y = ops::flash_attention(inputs[0], inputs[1], inputs[2], batch, {.scale = scale});
  const double middle = now(cpu_time);
  const Tensor loss = Tensor::zeros({1});
  tape.record({loss}, {}, [&](autograd::Tape& t) {
    autograd::GradientWindow window = t.gradient_to_write(y);
    std::ranges::copy(upstream.as<float>(), window.values.as_mutable<float>().begin());
  });
  tape.backward(loss);
  return {middle - start, now(cpu_time) - middle};
}

void run(const Flags& flags) {
  const StorageCacheScope kept_memory;
  std::mt19937_64 random(1);
  const Shape shape{flags.batch * flags.tokens, flags.heads, flags.head_dim};
  const Tensor inputs[] = {normal_tensor(shape, random), normal_tensor(shape, random),
                           normal_tensor(shape, random)};
  const Tensor upstream = normal_tensor(shape, random);
  const Sequences sequences(flags);
  const RaggedBatch batch{.tokens = sequences.positions,
                          .positions = sequences.positions,
                          .query_start = sequences.query_start,
                          .context_length = sequences.context_length,
                          .slot_mapping = {},
                          .block_tables = {}};
  const ops::MatmulPrecisionScope precision(flags.precision == "bf16" ? ops::MatmulPrecision::bf16
                                                                      : ops::MatmulPrecision::f32);
  std::vector<double> forward;
  std::vector<double> both;
  double total = 0;
  for (int i = 0; i < 5 || total < flags.seconds; ++i) {
    const Seconds seconds = run_once(inputs, upstream, batch, flags.cpu_time);
    if (i < 2) continue;
    forward.push_back(seconds.forward);
    both.push_back(seconds.forward + seconds.backward);
    total += both.back();
  }
  std::ranges::sort(forward);
  std::ranges::sort(both);
  const double median = both[both.size() / 2];
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{{\"milliseconds\": {:.3f}, \"forward\": {:.3f}, \"tokens_per_second\": {:.1f}, \"peak_megabytes\": "
      "{:.1f}}}\n",
      median * 1e3, forward[forward.size() / 2] * 1e3,
      static_cast<double>(flags.batch * flags.tokens) / median,
      static_cast<double>(usage.ru_maxrss) / 1024.0);
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::Flags flags;
  CLI::App app("times attention forward and backward");
  app.add_option("--batch", flags.batch);
  app.add_option("--heads", flags.heads);
  app.add_option("--tokens", flags.tokens);
  app.add_option("--head-dim", flags.head_dim);
  app.add_option("--precision", flags.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--seconds", flags.seconds);
  app.add_flag("--cpu-time", flags.cpu_time, "processor time instead of the wall's");
  CLI11_PARSE(app, argc, argv);
  try {
    tessera::run(flags);
  } catch (const tessera::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
