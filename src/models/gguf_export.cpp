#include "models/gguf_export.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "models/attention_reader.h"
#include "models/config_reader.h"
#include "models/decoder_model.h"
#include "models/gemma_model.h"
#include "models/gguf_export_layer_norm.h"
#include "models/model.h"
#include "models/rotary_config.h"
#include "models/weight_loader.h"
#include "nn/rotary_embedding.h"
#include "ops/quantize.h"

namespace tessera::models {
namespace {

using nn::RopeType;

// How GGUF says which layers slide.
enum class Windows : std::uint8_t { never, every_layer, even_layers, all_but_every_nth };

// What the architectures' own files say when they read, as far as GGUF cannot.
struct Family {
  std::string_view hugging_face;
  std::string_view gguf;
  std::int64_t default_positions;
  std::int64_t default_head_dim = 0;
  double default_theta = 10000.0;
  bool permuted = false;
  bool tied = false;
  Windows windows = Windows::never;
  bool gemma = false;
};

constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", "llama", 2048, 0, 10000.0, true},
    Family{"MistralForCausalLM", "llama", 131072, 0, 10000.0, true, false, Windows::every_layer},
    Family{"SmolLM3ForCausalLM", "smollm3", 32768, 0, 2000000.0, true, true},
    Family{"Qwen2ForCausalLM", "qwen2", 32768},
    Family{"Qwen3ForCausalLM", "qwen3", 32768, 128},
    Family{"Phi3ForCausalLM", "phi3", 4096, 0, 10000.0, false, false, Windows::every_layer},
    Family{"Gemma2ForCausalLM", "gemma2", 8192, 256, 10000.0, false, true, Windows::even_layers, true},
    Family{"Gemma3ForCausalLM", "gemma3", 131072, 256, 1000000.0, false, true, Windows::all_but_every_nth,
           true},
};

const Family& family_of(const WeightSource& source) {
  std::string known = "GPT2LMHeadModel, PlainTransformerForCausalLM";
  for (const Family& family : kFamilies) {
    if (family.hugging_face == source.architecture()) return family;
    known += fmt::format(", {}", family.hugging_face);
  }
  fail(ErrorKind::unsupported, "{}: expected an architecture that can become GGUF ({}), found '{}'",
       source.origin(), known, printable(source.architecture()));
}

// Rows of each head from (first half, second half) to (pair 0, pair 1, ...): as GGUF's llama rotates them.
Tensor interleaved_pairs(const Tensor& tensor, std::int64_t heads) {
  const std::int64_t rows = tensor.dim(0);
  const std::size_t bytes = tensor.bytes() / static_cast<std::size_t>(rows);
  const std::int64_t head_rows = rows / heads;
  Tensor result = Tensor::empty(tensor.shape(), tensor.dtype());
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t within = row % head_rows;
    const std::int64_t from = row - within + within % 2 * (head_rows / 2) + within / 2;
    std::memcpy(result.mutable_raw() + static_cast<std::size_t>(row) * bytes,
                tensor.raw() + static_cast<std::size_t>(from) * bytes, bytes);
  }
  return result;
}

Tensor plus_one(const Tensor& tensor, const std::string& name) {
  const Tensor wide =
      ops::quantize(tensor, DType::f32, name);  // perhaps a window of the file: its bytes, unaligned
  Tensor result = Tensor::empty(tensor.shape());
  std::memcpy(result.mutable_raw(), wide.raw(), wide.bytes());
  for (float& value : result.as_mutable<float>()) value += 1.0F;
  return result;
}

class Exporter {
 public:
  explicit Exporter(std::shared_ptr<const WeightSource> source)
      : source_(std::move(source)),
        family_(family_of(*source_)),
        naming_(family_.gemma ? gemma_naming() : Naming{}),
        config_(*source_),
        weights_(*source_, naming_),
        model_(create_model(*source_)),
        d_(read_dimensions(config_, weights_, family_.default_positions, family_.default_head_dim)) {}

  GgufExport run() {
    result_.architecture = family_.gguf;
    result_.vocab_size = d_.vocab_size;
    check_activation();
    expect_full_attention(config_, d_.attention);
    add_dimensions();
    add_windows();
    if (family_.gemma) add_gemma();
    add_rope();
    add_tensors();
    return std::move(result_);
  }

 private:
  void set(std::string_view key, Metadata::Value value) {
    result_.pairs.push_back({gguf_config_key(key, family_.gguf), std::move(value)});
  }

  void check_activation() const {
    const std::string_view key = family_.gemma ? "hidden_activation" : "hidden_act";
    const ops::Activation implied = family_.gemma ? ops::Activation::gelu_tanh : ops::Activation::silu;
    const std::string_view name = family_.gemma ? "gelu_pytorch_tanh" : "silu";
    if (config_.activation(key, name) != implied) {
      config_.unsupported(key, fmt::format("{}, which GGUF's {} implies", name, family_.gguf),
                          config_.text_or(key, name));
    }
    if (family_.gemma) config_.forbid_true("attention_bias");
  }

  void add_dimensions() {
    set("max_position_embeddings", d_.max_position_embeddings);
    set("hidden_size", d_.hidden_size);
    set("num_hidden_layers", d_.num_hidden_layers);
    set("intermediate_size", d_.intermediate_size);
    set("num_attention_heads", d_.num_attention_heads);
    set("num_key_value_heads", d_.num_key_value_heads);
    set("rms_norm_eps", d_.rms_norm_eps);
    set("head_dim", d_.head_dim);
    set("attention.value_length", d_.head_dim);
    set("vocab_size", d_.vocab_size);
  }

  // The layers' windows as the model has them must be what GGUF's reader will make of the keys.
  void add_windows() {
    std::vector<bool> slides;
    std::int64_t window = 0;
    for (const KeyValueShape& layer : model_->config().layers) {
      slides.push_back(layer.sliding_window != 0);
      window = std::max(window, layer.sliding_window);
    }
    const auto matches = [&](auto rule) {
      for (std::size_t i = 0; i < slides.size(); ++i) {
        if (slides[i] != rule(i)) return false;
      }
      return true;
    };
    if (family_.windows == Windows::all_but_every_nth) {
      std::size_t n = 6;  // what GGUF means without a key
      const auto rule = [&](std::size_t i) { return (i + 1) % n != 0; };
      if (!matches(rule)) n = 1;
      while (!matches(rule) && n <= slides.size()) ++n;
      if (!matches(rule)) reject_windows();
      if (n != 6) set("sliding_window_pattern", static_cast<std::int64_t>(n));
    } else if (window != 0) {
      const bool fits = family_.windows == Windows::every_layer ? matches([](std::size_t) { return true; })
                        : family_.windows == Windows::even_layers
                            ? matches([](std::size_t i) { return i % 2 == 0; })
                            : false;
      if (!fits) reject_windows();
    }
    if (window != 0) set("sliding_window", window);
  }

  [[noreturn]] void reject_windows() const {
    config_.unsupported("sliding_window", fmt::format("layers that slide as GGUF's {} can say", family_.gguf),
                        "other layers");
  }

  void add_gemma() {
    const double divisor = config_.positive_or("query_pre_attn_scalar", 256.0);
    const bool is_27b = d_.num_hidden_layers == (family_.gguf == "gemma2" ? 46 : 62);
    const std::int64_t implied = is_27b ? d_.hidden_size / d_.num_attention_heads : d_.head_dim;
    if (divisor != static_cast<double>(implied)) {
      config_.unsupported("query_pre_attn_scalar", fmt::format("{}, which GGUF implies", implied),
                          fmt::format("{}", divisor));
    }
    const bool second = family_.gguf == "gemma2";
    const double attention = config_.positive_or_none("attn_logit_softcapping", second ? 50.0 : 0.0);
    const double final = config_.positive_or_none("final_logit_softcapping", second ? 30.0 : 0.0);
    if (second && (attention == 0.0 || final == 0.0)) {
      config_.unsupported("attn_logit_softcapping", "caps, as GGUF's gemma2 always has", "none");
    }
    if (attention != 0.0) set("attn_logit_softcapping", attention);
    if (final != 0.0) set("final_logit_softcapping", final);
  }

  nn::RotaryParameters rotary(std::int64_t context_size) {
    RotaryRequest request{.head_dim = d_.head_dim,
                          .max_position_embeddings = d_.max_position_embeddings,
                          .default_theta = family_.default_theta,
                          .yarn_is_longrope = family_.gguf == "phi3",
                          .context_size = context_size};
    if (family_.gguf == "gemma3") request.dictionaries = {"rope_scaling.", "rope_parameters.full_attention."};
    return read_rotary(config_, weights_, request);
  }

  void add_rope() {
    const nn::RotaryParameters p = rotary(0);
    set("rope_theta", p.theta);
    set("rope.dimension_count", p.rotary_dim);
    if (family_.gguf == "gemma3") add_local_rope();
    switch (p.type) {
      case RopeType::none:
        return;
      case RopeType::linear:
        set("rope_scaling.rope_type", std::string_view("linear"));
        set("rope_scaling.factor", p.factor);
        return;
      case RopeType::yarn:
        return add_yarn(p);
      case RopeType::llama3:
        return add_factors("rope_freqs.weight", stretch_of(p));
      case RopeType::longrope:
        return add_longrope(p);
      case RopeType::dynamic:
        break;
    }
    config_.unsupported("rope_scaling", "a scaling that GGUF can say (linear, llama3, yarn, longrope)",
                        "dynamic");
  }

  void add_local_rope() {
    const nn::RotaryParameters local = read_rotary(config_, weights_,
                                                   {.head_dim = d_.head_dim,
                                                    .max_position_embeddings = d_.max_position_embeddings,
                                                    .theta_key = "rope_local_base_freq",
                                                    .dictionaries = {"rope_parameters.sliding_attention."}});
    if (local.type != RopeType::none) {
      config_.unsupported("rope_parameters.sliding_attention.rope_type", "default, as GGUF implies",
                          "a scaling");
    }
    set("rope_local_base_freq", local.theta);
  }

  void add_yarn(const nn::RotaryParameters& p) {
    if (!p.truncate) config_.unsupported("rope_scaling.truncate", "true, as GGUF implies", "false");
    set("rope_scaling.rope_type", std::string_view("yarn"));
    set("rope_scaling.factor", p.factor);
    set("original_max_position_embeddings", p.original_max_position_embeddings);
    set("rope_scaling.beta_fast", p.beta_fast);
    set("rope_scaling.beta_slow", p.beta_slow);
    const double implied = p.factor <= 1.0 ? 1.0 : 0.1 * std::log(p.factor) + 1.0;
    const double share = double{nn::RotaryEmbedding(p).magnitude()} / implied;
    if (std::abs(share - 1.0) > 1e-6) set("rope.scaling.attn_factor", share);
  }

  void add_longrope(const nn::RotaryParameters& p) {
    set("original_max_position_embeddings", p.original_max_position_embeddings);
    set("rope.scaling.attn_factor", double{nn::RotaryEmbedding(p).magnitude()});
    add_factors("rope_factors_short.weight", p.frequency_factors);
    add_factors("rope_factors_long.weight", rotary(p.original_max_position_embeddings + 1).frequency_factors);
  }

  // By how much llama3's rule divides each frequency.
  static std::vector<float> stretch_of(const nn::RotaryParameters& p) {
    const nn::RotaryEmbedding scaled(p);
    nn::RotaryParameters unscaled = p;
    unscaled.type = RopeType::none;
    const nn::RotaryEmbedding plain(unscaled);
    std::vector<float> factors;
    for (std::size_t i = 0; i < plain.inverse_frequencies().size(); ++i) {
      factors.push_back(plain.inverse_frequencies()[i] / scaled.inverse_frequencies()[i]);
    }
    return factors;
  }

  void add_factors(const std::string& name, const std::vector<float>& factors) {
    TensorInfo info;
    info.name = name;
    info.shape = Shape{static_cast<std::int64_t>(factors.size())};
    info.bytes = factors.size() * sizeof(float);
    info.file = source_->origin();
    result_.tensors.push_back(
        {info, [factors, shape = info.shape] { return Tensor::from_values(shape, factors); }});
  }

  void add_tensors() {
    const bool tied = config_.boolean_or("tie_word_embeddings", family_.tied);
    constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
    const TensorInfo* embedding = source_->find(kEmbedding);  // by its own name or that of the head
    const bool embedding_is_stored = embedding != nullptr && embedding->name == kEmbedding;
    for (const TensorInfo& stored : source_->tensors()) {
      if (stored.name.ends_with("rotary_emb.inv_freq")) continue;
      // Of tied matrices a file may hold either.
      const bool head = tied && stored.name == "lm_head.weight";
      if (head && embedding_is_stored) continue;
      const std::optional<std::string> name =
          gguf_tensor_name(head ? kEmbedding : std::string_view(stored.name), naming_);
      if (!name) {
        fail(ErrorKind::unsupported, "{}: tensor '{}' at byte {}: expected a tensor that GGUF has a name for",
             stored.file, printable(stored.name), stored.offset);
      }
      add_tensor(stored, *name);
    }
  }

  void add_tensor(const TensorInfo& stored, const std::string& name) {
    TensorInfo info = stored;
    info.name = name;
    const auto load = [source = source_, from = stored.name] { return source->load(from); };
    const bool query = name.find(".attn_q.") != name.npos;
    const bool key = name.find(".attn_k.") != name.npos;
    if (family_.permuted && (query || key)) {
      const std::int64_t heads = query ? d_.num_attention_heads : d_.num_key_value_heads;
      result_.tensors.push_back({info, [load, heads] { return interleaved_pairs(load(), heads); }});
    } else if (family_.gemma && name.ends_with("norm.weight")) {
      info.dtype = DType::f32;
      info.bytes = tensor_bytes(info.shape, info.dtype);
      result_.tensors.push_back({info, [load, name] { return plus_one(load(), name); }});
    } else {
      result_.tensors.push_back({info, load});
    }
  }

  std::shared_ptr<const WeightSource> source_;
  const Family& family_;
  Naming naming_;
  ConfigReader config_;
  WeightLoader weights_;
  std::unique_ptr<Model> model_;
  DecoderDimensions d_;
  GgufExport result_;
};

}  // namespace

GgufExport export_to_gguf(const std::shared_ptr<const WeightSource>& source) {
  if (source->architecture() == "GPT2LMHeadModel") return export_gpt2_to_gguf(source);
  if (source->architecture() == "PlainTransformerForCausalLM")
    return export_plain_transformer_to_gguf(source);
  return Exporter(source).run();
}

}  // namespace tessera::models
