#include "engine/benchmark.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

// Input embedding and output projection as Hugging Face and GGUF name them.
constexpr std::array<std::string_view, 4> kEmbeddingNames{"model.embed_tokens.weight", "token_embd.weight",
                                                          "transformer.wte.weight", "wte.weight"};
constexpr std::array<std::string_view, 2> kHeadNames{"lm_head.weight", "output.weight"};

const TensorInfo* find_any(const WeightSource& source, std::span<const std::string_view> names) {
  for (const std::string_view tensor_name : names) {
    if (const TensorInfo* info = source.find(tensor_name)) return info;
  }
  return nullptr;
}

// The input embedding, when it serves for nothing but looking up rows.
const TensorInfo* lookup_only_embedding(const LoadedModel& loaded) {
  if (!loaded.files.weights || find_any(*loaded.files.weights, kHeadNames) == nullptr) return nullptr;
  return find_any(*loaded.files.weights, kEmbeddingNames);
}

// What the cases cost, from the model's configuration.
class Costs {
 public:
  explicit Costs(const Generator& generator) : config_(&generator.loaded().model->config()) {
    const LoadedModel& loaded = generator.loaded();
    const TensorInfo* lookup = lookup_only_embedding(loaded);
    weight_bytes_ = static_cast<double>(streamed_weight_bytes(loaded));
    head_flops_ = 2.0 * static_cast<double>(config_->vocab_size) * static_cast<double>(config_->hidden_size);
    const auto products =
        loaded.model->parameter_count() - (lookup != nullptr ? lookup->shape.elements() : 0);
    body_flops_ = 2.0 * static_cast<double>(products) - head_flops_;
    for (const models::KeyValueShape& shape : config_->layers) {
      layer_bytes_.push_back(
          static_cast<double>(key_value_bytes_per_token({&shape, 1}, generator.cache().dtype())));
    }
  }

  // Tokens [begin, end) of one sequence in passes of `chunk` tokens, with logits of the last of each pass.
  void add(std::int64_t begin, std::int64_t end, std::int64_t chunk, BenchmarkResult& result) const {
    for (std::int64_t start = begin; start < end; start += chunk) {
      const std::int64_t stop = std::min(start + chunk, end);
      result.bytes += weight_bytes_;
      result.flops += body_flops_ * static_cast<double>(stop - start) + head_flops_;
      for (std::size_t i = 0; i < layer_bytes_.size(); ++i) {
        const models::KeyValueShape& shape = config_->layers[i];
        result.bytes += layer_bytes_[i] * static_cast<double>(visible(shape, stop));
        // A query and a key are D multiply-adds, a probability and a value D more, for each of H heads.
        const double pair = 4.0 * static_cast<double>(config_->num_attention_heads * shape.head_dim);
        for (std::int64_t position = start; position < stop; ++position) {
          result.flops += pair * static_cast<double>(visible(shape, position + 1));
        }
      }
    }
  }

 private:
  static std::int64_t visible(const models::KeyValueShape& shape, std::int64_t keys) {
    return shape.sliding_window > 0 ? std::min(keys, shape.sliding_window) : keys;
  }

  const models::ModelConfig* config_;
  double weight_bytes_ = 0;
  double body_flops_ = 0;
  double head_flops_ = 0;
  std::vector<double> layer_bytes_;
};

class Bench {
 public:
  Bench(Generator& generator, const BenchmarkOptions& options, const CancelFlag* cancel)
      : generator_(&generator), options_(&options), cancel_(cancel), costs_(generator) {}

  BenchmarkResult prefill(std::int64_t length) {
    BenchmarkResult result{.name = fmt::format("prefill {}", length), .tokens = length};
    Sequence sequence = sequence_of(length);
    measure(result, [&] {
      sequence.table().clear();
      return timed([&] { compute(sequence); });
    });
    costs_.add(0, length, generator_->prefill_chunk(), result);
    return result;
  }

  BenchmarkResult decode(std::int64_t depth) {
    BenchmarkResult result{
        .name = fmt::format("decode @{}", depth), .tokens = options_->decode_tokens, .depth = depth};
    Sequence sequence = sequence_of(depth);
    if (depth > 0) compute(sequence);
    measure(result, [&] {
      sequence.truncate(depth);
      return timed([&] {
        for (std::int64_t i = 0; i < options_->decode_tokens; ++i) {
          sequence.append(token(i));
          compute(sequence);
        }
      });
    });
    costs_.add(depth, depth + options_->decode_tokens, 1, result);
    return result;
  }

 private:
  // Neighbours in the vocabulary lie far apart, so that embedding rows are not all in one cache line.
  TokenId token(std::int64_t index) const {
    return static_cast<TokenId>((index * 7919 + 13) % generator_->loaded().model->config().vocab_size);
  }

  Sequence sequence_of(std::int64_t length) const {
    Sequence sequence = generator_->new_sequence();
    for (std::int64_t i = 0; i < length; ++i) sequence.append(token(i));
    return sequence;
  }

  void compute(Sequence& sequence) {
    if (!generator_->prefill(sequence, cancel_).defined()) fail(ErrorKind::cancelled, "stopped");
  }

  template <typename Work>
  static double timed(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  template <typename Repetition>
  void measure(BenchmarkResult& result, const Repetition& repetition) {
    repetition();
    std::vector<double> seconds;
    for (std::int64_t i = 0; i < options_->repetitions; ++i) seconds.push_back(repetition());
    std::ranges::sort(seconds);
    const std::size_t half = seconds.size() / 2;
    result.seconds = seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
    result.fastest = seconds.front();
    result.slowest = seconds.back();
  }

  Generator* generator_;
  const BenchmarkOptions* options_;
  const CancelFlag* cancel_;
  Costs costs_;
};

void check(const BenchmarkOptions& options, std::int64_t context_size) {
  if (options.repetitions < 1 || options.repetitions > 1000) {
    fail(ErrorKind::bad_usage, "repetitions: expected 1 to 1000, found {}", options.repetitions);
  }
  if (options.decode_tokens < 1 || options.decode_tokens > context_size) {
    fail(ErrorKind::bad_usage, "decode tokens: expected 1 to {}, found {}", context_size,
         options.decode_tokens);
  }
  for (const std::int64_t length : options.prefill_lengths) {
    if (length < 1 || length > context_size) {
      fail(ErrorKind::bad_usage, "prefill: expected 1 to {} tokens, found {}", context_size, length);
    }
  }
  for (const std::int64_t depth : options.decode_depths) {
    if (depth < 0 || depth > context_size - options.decode_tokens) {
      fail(ErrorKind::bad_usage, "depth: expected 0 to {} ({} tokens of context, {} to make), found {}",
           context_size - options.decode_tokens, context_size, options.decode_tokens, depth);
    }
  }
}

}  // namespace

std::uint64_t streamed_weight_bytes(const LoadedModel& loaded) {
  const TensorInfo* lookup = lookup_only_embedding(loaded);
  return loaded.model->parameter_bytes() - (lookup != nullptr ? lookup->bytes : 0);
}

std::vector<BenchmarkResult> run_benchmark(Generator& generator, const BenchmarkOptions& options,
                                           const std::function<void(const BenchmarkResult&)>& on_result,
                                           const CancelFlag* cancel) {
  check(options, generator.context_size());
  Bench bench(generator, options, cancel);
  std::vector<BenchmarkResult> results;
  const auto keep = [&](BenchmarkResult result) {
    if (on_result) on_result(result);
    results.push_back(std::move(result));
  };
  for (const std::int64_t length : options.prefill_lengths) keep(bench.prefill(length));
  for (const std::int64_t depth : options.decode_depths) keep(bench.decode(depth));
  return results;
}

}  // namespace tessera::engine
