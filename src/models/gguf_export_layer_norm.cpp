#include "models/gguf_export_layer_norm.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "models/attention_reader.h"
#include "models/config_reader.h"
#include "models/gpt2.h"
#include "models/model.h"
#include "models/plain_transformer.h"
#include "models/weight_loader.h"

namespace tessera::models {
namespace {

class Exporter {
 public:
  Exporter(std::shared_ptr<const WeightSource> source, Naming naming, std::string_view architecture)
      : source_(std::move(source)),
        naming_(std::move(naming)),
        config_(*source_),
        model_(create_model(*source_)) {
    result_.architecture = architecture;
    result_.vocab_size = model_->config().vocab_size;
  }

  void add_dimensions(std::string_view epsilon_key, std::string_view activation_key,
                      std::string_view implied_activation) {
    const ModelConfig& m = model_->config();
    expect_full_attention(config_, m.attention);
    set("max_position_embeddings", m.max_position_embeddings);
    set("hidden_size", m.hidden_size);
    set("num_hidden_layers", m.num_hidden_layers);
    set("intermediate_size", m.intermediate_size);
    set("num_attention_heads", m.num_attention_heads);
    set("vocab_size", m.vocab_size);
    set("layer_norm_epsilon", config_.positive_or(epsilon_key, 1e-5));
    const std::string_view activation = config_.text_or(activation_key, implied_activation);
    if (config_.activation(activation_key, implied_activation) !=
        ops::activation_from_name(implied_activation)) {
      set("activation_function", activation);
    }
  }

  // Every tensor of the file under GGUF's name. `full_name` gives the name that the naming knows.
  void add_tensors(const std::function<std::string(std::string_view)>& full_name,
                   const std::function<bool(std::string_view)>& is_transposed) {
    const bool tied = config_.boolean_or("tie_word_embeddings", true);
    for (const TensorInfo& stored : source_->tensors()) {
      const auto ends_so = [&](std::string_view suffix) {
        return std::string_view(stored.name).ends_with(suffix);
      };
      if (std::ranges::any_of(naming_.ignored_suffixes, ends_so)) continue;
      if (tied && stored.name == "lm_head.weight") continue;
      const std::optional<std::string> name = gguf_tensor_name(full_name(stored.name), naming_);
      if (!name) {
        fail(ErrorKind::unsupported, "{}: tensor '{}' at byte {}: expected a tensor that GGUF has a name for",
             stored.file, printable(stored.name), stored.offset);
      }
      add_tensor(stored, *name, is_transposed(*name));
    }
  }

  // Zeros wherever GGUF expects a bias and the file has none; they change nothing.
  void add_missing_bias(const std::string& name, std::int64_t size) {
    const auto same = [&](const GgufExport::ExportedTensor& tensor) { return tensor.info.name == name; };
    if (std::ranges::any_of(result_.tensors, same)) return;
    TensorInfo info;
    info.name = name;
    info.dtype = DType::f32;
    info.shape = Shape{size};
    info.bytes = static_cast<std::size_t>(size) * sizeof(float);
    info.file = source_->origin();
    result_.tensors.push_back({info, [size] { return Tensor::zeros({size}); }});
  }

  const ConfigReader& config() const { return config_; }
  const ModelConfig& model_config() const { return model_->config(); }
  GgufExport take() { return std::move(result_); }

 private:
  void set(std::string_view key, Metadata::Value value) {
    result_.pairs.push_back({gguf_config_key(key, result_.architecture), std::move(value)});
  }

  void add_tensor(const TensorInfo& stored, const std::string& name, bool is_transposed) {
    TensorInfo info = stored;
    info.name = name;
    const auto load = [source = source_, from = stored.name] { return source->load(from); };
    if (!is_transposed) {
      result_.tensors.push_back({info, load});
      return;
    }
    info.shape = Shape{stored.shape[1], stored.shape[0]};
    result_.tensors.push_back({info, [load] { return transposed(load()); }});
  }

  std::shared_ptr<const WeightSource> source_;
  Naming naming_;
  ConfigReader config_;
  std::unique_ptr<Model> model_;
  GgufExport result_;
};

void expect_plain_scale(const ConfigReader& config) {
  config.forbid_true("scale_attn_by_inverse_layer_idx");
  if (!config.boolean_or("scale_attn_weights", true)) {
    config.unsupported("scale_attn_weights", "true, as GGUF implies", "false");
  }
}

}  // namespace

GgufExport export_gpt2_to_gguf(const std::shared_ptr<const WeightSource>& source) {
  const std::string prefix = gpt2_prefix(*source);
  Exporter exporter(source, gpt2_naming("transformer."), "gpt2");
  expect_plain_scale(exporter.config());
  exporter.add_dimensions("layer_norm_epsilon", "activation_function", "gelu_new");
  exporter.add_tensors(
      [&](std::string_view name) {
        return prefix.empty() && name != "lm_head.weight" ? fmt::format("transformer.{}", name)
                                                          : std::string(name);
      },
      [](std::string_view name) {  // input-major in the file: all matrices of the layers
        return name.starts_with("blk.") && name.ends_with(".weight") && name.find("norm") == name.npos;
      });
  const ModelConfig& m = exporter.model_config();
  for (std::int64_t layer = 0; layer < m.num_hidden_layers; ++layer) {
    const auto add = [&](std::string_view module, std::int64_t size) {
      exporter.add_missing_bias(fmt::format("blk.{}.{}.bias", layer, module), size);
    };
    add("attn_norm", m.hidden_size);
    add("attn_qkv", 3 * m.hidden_size);
    add("attn_output", m.hidden_size);
    add("ffn_norm", m.hidden_size);
    add("ffn_up", m.intermediate_size);
    add("ffn_down", m.hidden_size);
  }
  exporter.add_missing_bias("output_norm.bias", m.hidden_size);
  return exporter.take();
}

GgufExport export_plain_transformer_to_gguf(const std::shared_ptr<const WeightSource>& source) {
  Exporter exporter(source, plain_transformer_naming(), "plain_transformer");
  exporter.add_dimensions("layer_norm_eps", "hidden_act", "relu");
  exporter.add_tensors([](std::string_view name) { return std::string(name); },
                       [](std::string_view /*name*/) { return false; });
  return exporter.take();
}

}  // namespace tessera::models
