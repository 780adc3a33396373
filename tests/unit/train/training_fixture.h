// A small GPT with weights and data made from counters, as tools/make_golden_training.py makes them.
#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"
#include "tensor/weight_source.h"
#include "train/data_loader.h"

namespace tessera::train::testing {

// SplitMix64 as a counter: value `index` of the stream `key`.
inline std::uint64_t random_bits(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + (index + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

// FNV-1a
inline std::uint64_t key_of(std::string_view name) {
  std::uint64_t key = 0xcbf29ce484222325ULL;
  for (const char c : name) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return key;
}

struct SmallGptShape {
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t width = 128;
  std::int64_t positions = 64;
  std::int64_t vocabulary = 65;
};

class SmallGptWeights final : public WeightSource {
 public:
  explicit SmallGptWeights(const SmallGptShape& shape)
      : metadata_("small gpt", nullptr), layers_(shape.layers) {
    metadata_.set("vocab_size", shape.vocabulary);
    metadata_.set("n_embd", shape.width);
    metadata_.set("n_layer", shape.layers);
    metadata_.set("n_head", shape.heads);
    metadata_.set("n_positions", shape.positions);
    metadata_.set("bias", false);
    metadata_.set_text("activation_function", "gelu");
  }
  NamingScheme naming() const override { return NamingScheme::hugging_face; }
  std::string_view architecture() const override { return "GPT2LMHeadModel"; }
  const Metadata& metadata() const override { return metadata_; }
  const std::vector<TensorInfo>& tensors() const override { return none_; }
  const TensorInfo* find(std::string_view /*name*/) const override { return nullptr; }
  Tensor load(std::string_view /*name*/) const override { return {}; }
  const std::string& origin() const override { return origin_; }
  std::optional<Tensor> create(std::string_view name, const Shape& shape) const override {
    Tensor tensor = Tensor::empty(shape);
    const double deviation =
        name.find("c_proj") != name.npos ? 0.02 / std::sqrt(2.0 * static_cast<double>(layers_)) : 0.02;
    std::uint64_t index = 0;
    for (float& value : tensor.as_mutable<float>()) {
      const double unit = static_cast<double>(random_bits(key_of(name), index++) >> 40U) * 0x1p-24 - 0.5;
      value = shape.rank() == 1 ? 1.0F : static_cast<float>(unit * (2 * std::sqrt(3.0) * deviation));
    }
    return tensor;
  }

 private:
  Metadata metadata_;
  std::vector<TensorInfo> none_;
  std::string origin_ = "small gpt";
  std::int64_t layers_;
};

inline std::unique_ptr<models::Model> small_gpt(const SmallGptShape& shape = {}) {
  return models::create_model(SmallGptWeights(shape), {.weight_form = models::WeightForm::trainable});
}

// Ids skewed to the small ones.
inline std::int32_t skewed_token(std::uint64_t stream, std::uint64_t index, std::int64_t vocabulary) {
  const auto draw = static_cast<std::int64_t>(random_bits(stream, index) % 1000);
  return static_cast<std::int32_t>(draw * draw * vocabulary / 1'000'000);
}

// The batch of one step: rows of T + 1 tokens.
inline Batch counted_batch(std::uint64_t step, std::int64_t rows, std::int64_t width,
                           std::int64_t vocabulary) {
  Batch batch;
  batch.B = rows;
  batch.T = width;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t t = 0; t < width; ++t) {
      const auto at = static_cast<std::uint64_t>(row * (width + 1) + t);
      batch.inputs.push_back(skewed_token(step, at, vocabulary));
      batch.targets.push_back(skewed_token(step, at + 1, vocabulary));
    }
  }
  return batch;
}

}  // namespace tessera::train::testing
