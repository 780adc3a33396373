#include "engine/benchmark_costs.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/benchmark.h"

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

std::int64_t visible(const models::KeyValueShape& shape, std::int64_t keys) {
  return shape.sliding_window > 0 ? std::min(keys, shape.sliding_window) : keys;
}

}  // namespace

std::uint64_t streamed_weight_bytes(const LoadedModel& loaded) {
  const TensorInfo* lookup = lookup_only_embedding(loaded);
  return loaded.model->parameter_bytes() - (lookup != nullptr ? lookup->bytes : 0);
}

BenchmarkCosts::BenchmarkCosts(const Generator& generator) : config_(&generator.loaded().model->config()) {
  const LoadedModel& loaded = generator.loaded();
  const TensorInfo* lookup = lookup_only_embedding(loaded);
  weight_bytes_ = static_cast<double>(streamed_weight_bytes(loaded));
  head_flops_ = 2.0 * static_cast<double>(config_->vocab_size) * static_cast<double>(config_->hidden_size);
  const auto products = loaded.model->parameter_count() - (lookup != nullptr ? lookup->shape.elements() : 0);
  body_flops_ = 2.0 * static_cast<double>(products) - head_flops_;
  for (const models::KeyValueShape& shape : config_->layers) {
    layer_bytes_.push_back(static_cast<double>(key_value_bytes_per_token(
        {&shape, 1}, generator.cache().key_dtype(), generator.cache().value_dtype())));
  }
}

BenchmarkCosts::Work BenchmarkCosts::work(std::int64_t begin, std::int64_t end, std::int64_t chunk,
                                          std::int64_t sequences) const {
  Work total;
  const auto count = static_cast<double>(sequences);
  for (std::int64_t start = begin; start < end; start += chunk) {
    const std::int64_t stop = std::min(start + chunk, end);
    total.bytes += weight_bytes_;
    total.flops += count * (body_flops_ * static_cast<double>(stop - start) + head_flops_);
    for (std::size_t i = 0; i < layer_bytes_.size(); ++i) {
      const models::KeyValueShape& shape = config_->layers[i];
      total.bytes += count * layer_bytes_[i] * static_cast<double>(visible(shape, stop));
      // A query and a key are D multiply-adds, a probability and a value D more, for each of H heads.
      const double pair = 4.0 * static_cast<double>(config_->num_attention_heads * shape.head_dim);
      for (std::int64_t position = start; position < stop; ++position) {
        total.flops += count * pair * static_cast<double>(visible(shape, position + 1));
      }
    }
  }
  return total;
}

}  // namespace tessera::engine
