// What each attention mechanism costs against the length of the text: time forward, time backward, and the
// largest resident memory, of one layer's attention as training runs it.
//   attention_length_bench measure RESULTS.tsv flash sliding_window ...   appends a line for each length
//   attention_length_bench draw RESULTS.tsv FOLDER                        writes attention_*.svg
// TESSERA_THREADS and TESSERA_ISA choose what is measured. A new mechanism: a line in mechanisms().
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "nn/attention/attention_factory.h"
#include "train/curve_chart.h"

namespace tessera {
namespace {

using nn::AttentionConfig;
using nn::AttentionKind;

constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kKeyValueHeads = 2;
constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kLengths[] = {1024, 2048, 4096, 8192, 16384, 32768};
// Quicker cases are repeated, and the fastest counts: what others take from the machine only ever adds.
constexpr double kSecondsPerCase = 0.4;

// sqrt T, to a multiple of 16: what makes the cost of Sparse Transformers T sqrt T.
std::int64_t stride_for(std::int64_t T) {
  return std::max<std::int64_t>(16, std::llround(std::sqrt(static_cast<double>(T)) / 16) * 16);
}

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// q, k, v of one text, and a gradient of what comes out.
struct Case {
  explicit Case(std::int64_t T)
      : q(normal({T, kHeads, kHeadDim}, 1)),
        k(normal({T, kKeyValueHeads, kHeadDim}, 2)),
        v(normal({T, kKeyValueHeads, kHeadDim}, 3)),
        dy(normal({T, kHeads, kHeadDim}, 4)),
        tokens(static_cast<std::size_t>(T)),
        positions(static_cast<std::size_t>(T)),
        query_start{0, static_cast<std::int32_t>(T)},
        context_length{static_cast<std::int32_t>(T)} {
    std::iota(positions.begin(), positions.end(), 0);
    batch.tokens = tokens;
    batch.positions = positions;
    batch.query_start = query_start;
    batch.context_length = context_length;
  }
  Tensor q, k, v, dy;
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions, query_start, context_length;
  RaggedBatch batch;
};

// Attention to the tokens of a case, under the tape of whoever asks.
using Attend = std::function<Tensor(const Case&)>;

Attend by_factory(const AttentionConfig& config) {
  ops::AttentionParameters parameters;
  parameters.scale = 1.0F / std::sqrt(static_cast<float>(kHeadDim));
  const std::shared_ptr<nn::AttentionMechanism> mechanism = nn::make_attention_mechanism(config);
  return [mechanism, parameters](const Case& c) {
    return mechanism->attend(0, c.q, c.k, c.v, c.batch, parameters);
  };
}

Attend plain(AttentionKind kind) {
  AttentionConfig config;
  config.kind = kind;
  return by_factory(config);
}

Attend with(AttentionKind kind, const AttentionPattern& pattern) {
  AttentionConfig config;
  config.kind = kind;
  config.patterns = {pattern};
  return by_factory(config);
}

struct Mechanism {
  std::string name;
  std::function<Attend(std::int64_t T)> make;
  std::int64_t longest = 32768;  // beyond, it takes minutes
};

const std::vector<Mechanism>& mechanisms() {
  using AttentionKind::sparse_fixed;
  using AttentionKind::sparse_strided;
  using PatternKind::fixed;
  using PatternKind::strided;
  static const std::vector<Mechanism> all = {
      {"dense", [](auto) { return plain(AttentionKind::dense); }, 2048},
      {"flash", [](auto) { return plain(AttentionKind::flash); }},
      {"sliding_window",
       [](auto) {
         return with(AttentionKind::sliding_window, {.kind = PatternKind::sliding_window, .window = 256});
       }},
      {"sparse_strided",
       [](auto T) { return with(sparse_strided, {.kind = strided, .stride = stride_for(T)}); }},
      {"sparse_fixed",
       [](auto T) { return with(sparse_fixed, {.kind = fixed, .stride = stride_for(T), .columns = 8}); }},
      {"bigbird",
       [](auto) {
         return with(AttentionKind::bigbird,
                     {.kind = PatternKind::bigbird, .block = 64, .random_blocks = 3, .seed = 1});
       }},
  };
  return all;
}

struct Measured {
  double forward = 0;  // seconds
  double backward = 0;
  double megabytes = 0;  // largest resident size of one forward and backward, and of what they began with
};

double peak_megabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Measured once(const Case& c, const Attend& attend) {
  autograd::Tape tape;
  for (const Tensor& input : {c.q, c.k, c.v}) tape.watch(input);
  Tensor y;
  Measured found;
  found.forward = seconds_of([&] {
    const autograd::RecordingScope recording(tape);
    y = attend(c);
  });
  const Tensor loss = Tensor::zeros({1});  // sum of y dy
  tape.record({loss}, {}, [&](autograd::Tape& t) {
    const std::span<const float> from = c.dy.as<float>();
    Tensor to = t.gradient_to_write(y).values;
    std::copy(from.begin(), from.end(), to.as_mutable<float>().begin());
  });
  found.backward = seconds_of([&] { tape.backward(loss); });
  return found;
}

Measured fastest(const Mechanism& mechanism, std::int64_t T) {
  const Case c(T);
  const Attend attend = mechanism.make(T);
  Measured best{INFINITY, INFINITY, 0};
  for (double spent = 0; spent < kSecondsPerCase;) {
    const Measured found = once(c, attend);
    if (spent == 0) best.megabytes = peak_megabytes();
    best.forward = std::min(best.forward, found.forward);
    best.backward = std::min(best.backward, found.backward);
    spent += found.forward + found.backward;
  }
  return best;
}

// In a process of its own, whose largest resident size is that of this case.
void measure(const Mechanism& mechanism, std::int64_t T, const std::string& file) {
  int channel[2];
  if (::pipe(channel) != 0) fail(ErrorKind::io, "no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    const Measured measured = fastest(mechanism, T);
    const bool written = ::write(channel[1], &measured, sizeof(measured)) == sizeof(measured);
    ::_exit(written ? 0 : 1);
  }
  ::close(channel[1]);
  Measured measured;
  const bool complete = ::read(channel[0], &measured, sizeof(measured)) == sizeof(measured);
  ::close(channel[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!complete || status != 0) fail(ErrorKind::internal, "{} at {} tokens failed", mechanism.name, T);
  const std::string line = fmt::format("{}\t{}\t{:.6f}\t{:.6f}\t{:.1f}\n", mechanism.name, T,
                                       measured.forward, measured.backward, measured.megabytes);
  fmt::print("{}", line);
  std::fflush(stdout);
  std::ofstream(file, std::ios::app) << line;
}

struct Result {
  double tokens, forward, backward, megabytes;
};

// Of each mechanism and length the fastest passes of all measurements, and the memory of the last.
std::map<std::string, std::map<double, Result>> read_results(const std::string& file) {
  std::map<std::string, std::map<double, Result>> results;
  std::ifstream lines(file);
  std::string name;
  Result r{};
  while (lines >> name >> r.tokens >> r.forward >> r.backward >> r.megabytes) {
    const auto known = results[name].try_emplace(r.tokens, r).first;
    known->second = {r.tokens, std::min(r.forward, known->second.forward),
                     std::min(r.backward, known->second.backward), r.megabytes};
  }
  if (results.empty()) fail(ErrorKind::bad_input, "{}: no results", file);
  return results;
}

void draw(const std::string& results_file, const std::string& folder) {
  const auto results = read_results(results_file);
  const auto chart = [&](const char* file, const char* title, const char* unit, auto value) {
    std::vector<train::ChartLine> lines;
    for (const Mechanism& mechanism : mechanisms()) {
      const auto found = results.find(mechanism.name);
      if (found == results.end()) continue;
      train::ChartLine line;
      line.curve.name = mechanism.name;
      line.color = static_cast<int>(lines.size());
      line.points = true;
      for (const auto& [tokens, result] : found->second) {
        line.curve.x.push_back(tokens);
        line.curve.y.push_back(value(result));
      }
      lines.push_back(std::move(line));
    }
    const std::string svg =
        train::svg_chart(lines, {.title = title, .x_label = "tokens", .y_label = unit, .logarithmic = true});
    write_file_atomically(folder + "/" + file, svg);
  };
  chart("attention_forward.svg", "Forward pass of attention", "milliseconds",
        [](const Result& r) { return 1e3 * r.forward; });
  chart("attention_backward.svg", "Backward pass of attention", "milliseconds",
        [](const Result& r) { return 1e3 * r.backward; });
  chart("attention_memory.svg", "Largest resident memory, forward and backward", "MB",
        [](const Result& r) { return r.megabytes; });
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 3 && arguments[0] == "draw") return draw(arguments[1], arguments[2]);
  if (arguments.size() < 3 || arguments[0] != "measure") {
    fail(ErrorKind::bad_usage, "expected: measure RESULTS.tsv NAME... or draw RESULTS.tsv FOLDER");
  }
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const auto found = std::ranges::find(mechanisms(), arguments[i], &Mechanism::name);
    if (found == mechanisms().end()) fail(ErrorKind::bad_usage, "no mechanism '{}'", arguments[i]);
    for (const std::int64_t T : kLengths) {
      if (T <= found->longest) measure(*found, T, arguments[1]);
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
