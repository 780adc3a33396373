#include "nn/attention/attention_factory.h"

#include <array>
#include <string>
#include <utility>

#include "base/error.h"
#include "nn/attention/bigbird_attention.h"
#include "nn/attention/dense_attention.h"
#include "nn/attention/flash_attention.h"
#include "nn/attention/sliding_window_attention.h"
#include "nn/attention/sparse_transformer_attention.h"

namespace tessera::nn {
namespace {

struct NamedKind {
  AttentionKind kind;
  std::string_view name;
};

constexpr std::array kAttentionKinds = {
    NamedKind{AttentionKind::dense, "dense"},
    NamedKind{AttentionKind::flash, "flash"},
    NamedKind{AttentionKind::sliding_window, "sliding_window"},
    NamedKind{AttentionKind::sparse_local, "sparse_local"},
    NamedKind{AttentionKind::sparse_strided, "sparse_strided"},
    NamedKind{AttentionKind::sparse_fixed, "sparse_fixed"},
    NamedKind{AttentionKind::sparse_heads, "sparse_heads"},
    NamedKind{AttentionKind::bigbird, "bigbird"},
    NamedKind{AttentionKind::linear, "linear"},
    NamedKind{AttentionKind::gated_linear, "gated_linear"},
    NamedKind{AttentionKind::delta_rule, "delta_rule"},
    NamedKind{AttentionKind::gated_delta_rule, "gated_delta_rule"},
};

// Gives each layer's work to a mechanism of its own.
class LayeredAttention final : public AttentionMechanism {
 public:
  explicit LayeredAttention(std::span<const AttentionConfig> layers) {
    for (const AttentionConfig& layer : layers) layers_.push_back(make_attention_mechanism(layer));
  }
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override {
    return mechanism_of(layer).attend(layer, q, k, v, batch, parameters);
  }
  Tensor attend_linear(int layer, const ops::LinearAttentionInputs& inputs, const RaggedBatch& batch,
                       const ops::LinearAttentionParameters& parameters) override {
    return mechanism_of(layer).attend_linear(layer, inputs, batch, parameters);
  }

 private:
  AttentionMechanism& mechanism_of(int layer) {
    const auto index = static_cast<std::size_t>(layer);
    return index < layers_.size() ? *layers_[index] : others_;
  }

  std::vector<std::unique_ptr<AttentionMechanism>> layers_;
  FlashAttention others_;
};

}  // namespace

std::vector<std::string_view> attention_kind_names() {
  std::vector<std::string_view> names;
  for (const NamedKind& known : kAttentionKinds) names.push_back(known.name);
  return names;
}

std::string_view attention_kind_name(AttentionKind kind) {
  for (const NamedKind& known : kAttentionKinds) {
    if (known.kind == kind) return known.name;
  }
  fail(ErrorKind::internal, "attention: kind {} has no name", static_cast<int>(kind));
}

AttentionKind attention_kind_from_name(std::string_view name) {
  std::string names;
  for (const NamedKind& known : kAttentionKinds) {
    if (known.name == name) return known.kind;
    names.append(names.empty() ? "" : ", ").append(known.name);
  }
  fail(ErrorKind::bad_usage, "attention: expected one of {}, found '{}'", names, printable(name));
}

std::unique_ptr<AttentionMechanism> make_attention_mechanism(const AttentionConfig& config) {
  switch (config.kind) {
    case AttentionKind::dense:
      return std::make_unique<DenseAttention>();
    case AttentionKind::flash:
      return std::make_unique<FlashAttention>();
    case AttentionKind::sliding_window:
      return std::make_unique<SlidingWindowAttention>(config.patterns.at(0).window);
    case AttentionKind::sparse_local:
    case AttentionKind::sparse_strided:
    case AttentionKind::sparse_fixed:
    case AttentionKind::sparse_heads:
      return std::make_unique<SparseTransformerAttention>(config.patterns);
    case AttentionKind::bigbird:
      return std::make_unique<BigBirdAttention>(config.patterns.at(0));
    case AttentionKind::linear:
    case AttentionKind::gated_linear:
    case AttentionKind::delta_rule:
    case AttentionKind::gated_delta_rule:
      // What is special is the layer's LinearMixer; any mechanism on the batch's own tokens attends for it.
      return std::make_unique<FlashAttention>();
  }
  fail(ErrorKind::internal, "attention: no mechanism for kind {}", static_cast<int>(config.kind));
}

std::unique_ptr<AttentionMechanism> make_attention_mechanism(std::span<const AttentionConfig> layers) {
  return std::make_unique<LayeredAttention>(layers);
}

}  // namespace tessera::nn
