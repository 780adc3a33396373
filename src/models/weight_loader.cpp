#include "models/weight_loader.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/float16.h"
#include "ops/quantize.h"

namespace tessera::models {
namespace {

constexpr std::array kModules = {
    NamePair{"model.embed_tokens", "token_embd"},
    NamePair{"model.norm", "output_norm"},
    NamePair{"lm_head", "output"},
    NamePair{"input_layernorm", "attn_norm"},
    NamePair{"self_attn.q_proj", "attn_q"},
    NamePair{"self_attn.k_proj", "attn_k"},
    NamePair{"self_attn.v_proj", "attn_v"},
    NamePair{"self_attn.o_proj", "attn_output"},
    NamePair{"self_attn.qkv_proj", "attn_qkv"},
    NamePair{"self_attn.q_norm", "attn_q_norm"},
    NamePair{"self_attn.k_norm", "attn_k_norm"},
    NamePair{"post_attention_layernorm", "ffn_norm"},
    NamePair{"mlp.gate_proj", "ffn_gate"},
    NamePair{"mlp.up_proj", "ffn_up"},
    NamePair{"mlp.down_proj", "ffn_down"},
    NamePair{"mlp.gate_up_proj", "ffn_up"},
};

bool is_weight_dtype(DType dtype) { return dtype != DType::i32 && dtype != DType::i64 && dtype != DType::u8; }

bool is_plain_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

// safetensors promises no alignment: a file whose header has an odd length puts float32 values between the
// words, where C++ may not read them. Such a tensor is copied; every writer in use today pads its header.
Tensor aligned(Tensor tensor) {
  const std::size_t needed =
      traits(tensor.dtype()).quantized ? sizeof(std::uint16_t) : traits(tensor.dtype()).block_bytes;
  if (reinterpret_cast<std::uintptr_t>(tensor.raw()) % needed == 0) return tensor;
  Tensor copy = Tensor::empty(tensor.shape(), tensor.dtype());
  std::memcpy(copy.mutable_raw(), tensor.raw(), tensor.bytes());
  return copy;
}

// Empty when there is none.
std::string_view find_gguf_module(std::string_view module, const Naming& naming) {
  for (const NamePair& pair : naming.exceptions) {
    if (pair.hugging_face == module) return pair.gguf;
  }
  for (const NamePair& pair : kModules) {
    if (pair.hugging_face == module) return pair.gguf;
  }
  return {};
}

}  // namespace

std::optional<std::string> gguf_tensor_name(std::string_view hugging_face, const Naming& naming) {
  std::string prefix;
  if (hugging_face.starts_with(naming.layer_prefix)) {
    hugging_face.remove_prefix(naming.layer_prefix.size());
    const std::size_t dot = hugging_face.find('.');
    if (dot == 0 || dot == hugging_face.npos) return std::nullopt;
    prefix = fmt::format("blk.{}.", hugging_face.substr(0, dot));
    hugging_face.remove_prefix(dot + 1);
  }
  const std::size_t dot = hugging_face.rfind('.');
  if (dot == hugging_face.npos) return std::nullopt;
  const std::string_view gguf = find_gguf_module(hugging_face.substr(0, dot), naming);
  if (gguf.empty()) return std::nullopt;
  return fmt::format("{}{}.{}", prefix, gguf, hugging_face.substr(dot + 1));
}

WeightLoader::WeightLoader(const WeightSource& source, Naming naming, WeightForm form)
    : source_(source), naming_(std::move(naming)), form_(form) {}

std::string_view WeightLoader::gguf_module(std::string_view module) const {
  const std::string_view found = find_gguf_module(module, naming_);
  if (!found.empty()) return found;
  fail(ErrorKind::internal, "WeightLoader: expected a GGUF name for module '{}', found none", module);
}

std::string WeightLoader::name(std::string_view module, std::string_view part) const {
  return fmt::format("{}.{}", is_gguf() ? gguf_module(module) : module, part);
}

std::string WeightLoader::layer_name(std::int64_t layer, std::string_view module,
                                     std::string_view part) const {
  if (is_gguf()) return fmt::format("blk.{}.{}.{}", layer, gguf_module(module), part);
  return fmt::format("{}{}.{}.{}", naming_.layer_prefix, layer, module, part);
}

std::string WeightLoader::module_name(std::int64_t layer, std::string_view module,
                                      std::string_view part) const {
  return layer < 0 ? name(module, part) : layer_name(layer, module, part);
}

std::int64_t WeightLoader::dimension_of(const std::string& name, int index) const {
  const TensorInfo* info = source_.find(name);
  if (info == nullptr || info->shape.rank() != 2) {
    fail(ErrorKind::bad_input, "{}: tensor '{}': expected a matrix, found {}", source_.origin(), name,
         info == nullptr ? "no such tensor" : info->shape.to_string());
  }
  return info->shape[index];
}

Tensor WeightLoader::take(const std::string& name, const Shape& shape) {
  Tensor tensor = aligned(load_expecting(source_, name, shape));
  if (used_.insert(name).second) {
    parameter_count_ += shape.elements();
    parameter_bytes_ += tensor.bytes();
  }
  return tensor;
}

Tensor WeightLoader::own(const std::string& name, Tensor tensor, bool stored_transposed) {
  if (form_ != WeightForm::trainable) return tensor;
  const auto known = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const Parameter& parameter) { return parameter.name == name; });
  if (known != parameters_.end()) return known->tensor;
  Tensor copy = ops::quantize(tensor, DType::f32, name);
  if (copy.storage() == tensor.storage() && !(stored_transposed && tensor.storage()->writable())) {
    copy = Tensor::empty(tensor.shape());
    if (tensor.bytes() > 0) std::memcpy(copy.mutable_raw(), tensor.raw(), tensor.bytes());
  }
  parameters_.push_back({name, copy, stored_transposed});
  return copy;
}

Tensor WeightLoader::matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
  return own(name, stored_matrix(name, rows, columns), false);
}

Tensor WeightLoader::transposed_matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
  return own(name, transposed(stored_matrix(name, rows, columns)), true);
}

Tensor WeightLoader::stored_matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
  Tensor tensor = take(name, {rows, columns});
  if (!is_weight_dtype(tensor.dtype())) {
    fail(ErrorKind::unsupported, "{}: tensor '{}': expected a floating-point or quantised dtype, found {}",
         source_.origin(), name, tessera::name(tensor.dtype()));
  }
  return tensor;
}

ops::WeightMatrix WeightLoader::prepare(const Tensor& stored) {
  if (form_ != WeightForm::packed || !ops::WeightMatrix::can_pack(stored)) return stored;
  ops::WeightMatrix packed = ops::WeightMatrix::packed(stored, packed_memory_);
  source_.done_with(stored);
  return packed;
}

Tensor WeightLoader::vector(const std::string& name, std::int64_t size) {
  const Tensor tensor = take(name, {size});
  if (!is_plain_float(tensor.dtype())) {
    fail(ErrorKind::unsupported, "{}: tensor '{}': expected F32, F16 or BF16 for a vector, found {}",
         source_.origin(), name, tessera::name(tensor.dtype()));
  }
  return own(name, widen(tensor), false);
}

Tensor WeightLoader::bias_of(std::int64_t layer, std::string_view module, std::int64_t size, Bias bias) {
  if (bias == Bias::none) return {};
  const std::string file_name = module_name(layer, module, "bias");
  if (bias == Bias::gguf_only && (!is_gguf() || !contains(file_name))) return {};
  return vector(file_name, size);
}

nn::Linear WeightLoader::linear(std::int64_t layer, std::string_view module, std::int64_t out,
                                std::int64_t in, Bias bias) {
  ops::WeightMatrix weight = prepare(matrix(module_name(layer, module, "weight"), out, in));
  nn::Linear result(std::move(weight), bias_of(layer, module, out, bias));
  add_lora_target(layer, module, result);
  return result;
}

void WeightLoader::add_lora_target(std::int64_t layer, std::string_view module, nn::Linear& linear,
                                   bool stored_transposed) {
  const bool rotated = module.ends_with(".q_proj") || module.ends_with(".k_proj");
  LoraTarget target;
  target.module = layer < 0
                      ? std::string(module)
                      : fmt::format("{}{}{}.{}", naming_.lora_prefix, naming_.layer_prefix, layer, module);
  target.weight = module_name(layer, module, "weight");
  target.stored_transposed = stored_transposed;
  target.slot = std::make_shared<nn::LoraSlot>(linear.in_features(), linear.out_features());
  target.interleaved_head_dim = rotated ? interleaved_head_dim_ : 0;
  linear.set_lora_slot(target.slot);
  lora_targets_.push_back(std::move(target));
}

nn::RmsNorm WeightLoader::rms_norm(std::int64_t layer, std::string_view module, std::int64_t size,
                                   double epsilon, bool add_one) {
  return {vector(module_name(layer, module, "weight"), size), static_cast<float>(epsilon), add_one};
}

nn::LayerNorm WeightLoader::layer_norm(std::int64_t layer, std::string_view module, std::int64_t size,
                                       double epsilon, Bias bias) {
  Tensor weight = vector(module_name(layer, module, "weight"), size);
  return {std::move(weight), bias_of(layer, module, size, bias), static_cast<float>(epsilon)};
}

nn::Linear WeightLoader::output_head(nn::Embedding& embedding, bool tied, std::int64_t vocab_size,
                                     std::int64_t hidden_size) {
  const std::string file_name = name("lm_head", "weight");
  if (is_gguf() ? !contains(file_name) : tied) {
    mark_used(file_name);
    embedding = nn::Embedding(prepare(embedding.weight().stored()));
    nn::Linear head(embedding.weight());
    add_lora_target(-1, "lm_head", head);
    lora_targets_.back().weight.clear();
    return head;
  }
  nn::Linear head(prepare(matrix(file_name, vocab_size, hidden_size)));
  add_lora_target(-1, "lm_head", head);
  return head;
}

void WeightLoader::mark_used(const std::string& name) { used_.insert(name); }

void WeightLoader::expect_all_used() const {
  for (const TensorInfo& info : source_.tensors()) {
    if (used_.contains(info.name)) continue;
    const auto ends_so = [&](std::string_view suffix) {
      return std::string_view(info.name).ends_with(suffix);
    };
    if (ends_so("rotary_emb.inv_freq")) continue;  // a buffer that old checkpoints carry along
    if (std::any_of(naming_.ignored_suffixes.begin(), naming_.ignored_suffixes.end(), ends_so)) continue;
    fail(ErrorKind::unsupported,
         "{}: tensor '{}' at byte {}: expected only tensors that {} uses, found one it does not", info.file,
         printable(info.name), info.offset, source_.architecture());
  }
}

Tensor widen(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) return tensor;
  Tensor wide = Tensor::empty(tensor.shape());
  const std::span<const std::uint16_t> source = tensor.as<std::uint16_t>();
  const bool brain = tensor.dtype() == DType::bf16;
  std::transform(source.begin(), source.end(), wide.as_mutable<float>().begin(),
                 [brain](std::uint16_t bits) { return brain ? bf16_to_f32(bits) : f16_to_f32(bits); });
  return wide;
}

Tensor transposed(const Tensor& tensor) {
  if (!is_plain_float(tensor.dtype()) || tensor.rank() != 2) {
    fail(ErrorKind::unsupported, "transposed: expected an F32, F16 or BF16 matrix, found {} {}",
         name(tensor.dtype()), tensor.shape().to_string());
  }
  const auto copy = [&]<typename Element>(Element /*tag*/) {
    Tensor target = Tensor::empty({tensor.dim(1), tensor.dim(0)}, tensor.dtype());
    const std::span<const Element> from = tensor.as<Element>();
    const std::span<Element> to = target.as_mutable<Element>();
    const auto rows = static_cast<std::size_t>(tensor.dim(0));
    const auto columns = static_cast<std::size_t>(tensor.dim(1));
    for (std::size_t column = 0; column < columns; ++column) {
      for (std::size_t row = 0; row < rows; ++row) to[column * rows + row] = from[row * columns + column];
    }
    return target;
  };
  return tensor.dtype() == DType::f32 ? copy(float{}) : copy(std::uint16_t{});
}

}  // namespace tessera::models
