// Asks a WeightSource for the tensors of a model by their Hugging Face names and shapes, translating the
// names where the file is GGUF, and makes nn modules of them. Counts what it hands out, and finds what nobody
// asked for.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/model.h"
#include "models/weight_form.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "ops/weight_matrix.h"
#include "tensor/weight_source.h"

namespace tessera::models {

// One module under both naming schemes: "self_attn.q_proj" and "attn_q".
struct NamePair {
  std::string_view hugging_face;
  std::string_view gguf;
};

// How the tensors of one architecture are called; what is not said here is as in Llama.
struct Naming {
  std::string layer_prefix = "model.layers.";  // followed by the layer's number and a dot; GGUF: "blk."
  std::vector<NamePair> exceptions = {};       // looked up before the common names
  // What module names in adapter files have before those of this file.
  std::string_view lora_prefix = {};
  // Ends of names that may be in the file although the model has no use for them (buffers of old
  // checkpoints).
  std::vector<std::string_view> ignored_suffixes = {};
};

// GGUF's name of a tensor by its Hugging Face one: "model.layers.3.self_attn.q_proj.weight" is
// "blk.3.attn_q.weight". nullopt when there is none.
std::optional<std::string> gguf_tensor_name(std::string_view hugging_face, const Naming& naming);

// gguf_only: GGUF has no configuration key for biases, so there they are taken when the file has them.
enum class Bias { none, required, gguf_only };

class WeightLoader {
 public:
  // `source` must outlive the loader. `form` is that of the matrices that modules are made with.
  WeightLoader(const WeightSource& source, Naming naming, WeightForm form = WeightForm::stored);

  bool is_gguf() const { return source_.naming() == NamingScheme::gguf; }
  const WeightSource& source() const { return source_; }

  // The name in this file of a tensor outside the layers: ("model.norm", "weight").
  std::string name(std::string_view module, std::string_view part) const;
  // The same within layer `layer`: (3, "self_attn.q_proj", "weight").
  std::string layer_name(std::int64_t layer, std::string_view module, std::string_view part) const;

  bool contains(const std::string& name) const { return source_.find(name) != nullptr; }
  // Dimension `index` of a tensor that must be there with rank 2 (where a file says its size nowhere else).
  std::int64_t dimension_of(const std::string& name, int index) const;

  // [rows, columns] as stored, mapped; any floating or quantised dtype. Error unsupported for another dtype.
  Tensor matrix(const std::string& name, std::int64_t rows, std::int64_t columns);
  // The [columns, rows] transpose of a matrix that the file keeps as [rows, columns].
  Tensor transposed_matrix(const std::string& name, std::int64_t rows, std::int64_t columns);
  // `stored` in the form the loader was made for: itself, or packed where the kernels have a form for it;
  // then the source may forget the pages it came from.
  ops::WeightMatrix prepare(const Tensor& stored);
  // [size] as float32: a window of the file when it is F32, else a widened copy (a vector weighs nothing).
  Tensor vector(const std::string& name, std::int64_t size);

  // Modules by the name of the module alone; `layer` < 0: outside the layers.
  nn::Linear linear(std::int64_t layer, std::string_view module, std::int64_t out, std::int64_t in,
                    Bias bias);
  nn::RmsNorm rms_norm(std::int64_t layer, std::string_view module, std::int64_t size, double epsilon,
                       bool add_one = false);
  nn::LayerNorm layer_norm(std::int64_t layer, std::string_view module, std::int64_t size, double epsilon,
                           Bias bias = Bias::required);

  // lm_head.weight [V, C]: the embedding's when `tied`, or when GGUF has no output.weight of its own; then
  // the embedding's matrix is prepared, and both share it.
  nn::Linear output_head(nn::Embedding& embedding, bool tied, std::int64_t vocab_size,
                         std::int64_t hidden_size);

  // Remembers a layer for lora_targets(), for modules that linear() does not make. `layer` < 0: outside the
  // layers.
  void add_lora_target(std::int64_t layer, std::string_view module, nn::Linear& linear,
                       bool stored_transposed = false);
  // q_proj and k_proj that follow come with the rows of each head of this size interleaved (GGUF's Llama).
  void interleave_heads(std::int64_t head_dim) { interleaved_head_dim_ = is_gguf() ? head_dim : 0; }
  const std::vector<LoraTarget>& lora_targets() const { return lora_targets_; }

  // Marks tensors as seen that were read elsewhere (rope factors).
  void mark_used(const std::string& name);
  // Error unsupported naming a tensor of the file that no module took: the model would not be what the file
  // says.
  void expect_all_used() const;

  // What was handed out to be trained; empty unless the form is trainable.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::int64_t parameter_count() const { return parameter_count_; }
  std::size_t parameter_bytes() const { return parameter_bytes_; }

 private:
  std::string module_name(std::int64_t layer, std::string_view module, std::string_view part) const;
  std::string_view gguf_module(std::string_view module) const;
  Tensor take(const std::string& name, const Shape& shape);
  Tensor stored_matrix(const std::string& name, std::int64_t rows, std::int64_t columns);
  // `tensor` itself, or the float32 copy that training changes.
  Tensor own(const std::string& name, Tensor tensor, bool stored_transposed);
  Tensor bias_of(std::int64_t layer, std::string_view module, std::int64_t size, Bias bias);

  const WeightSource& source_;
  Naming naming_;
  WeightForm form_;
  ops::PackedMemory packed_memory_;
  std::set<std::string, std::less<>> used_;
  std::vector<Parameter> parameters_;
  std::vector<LoraTarget> lora_targets_;
  std::int64_t interleaved_head_dim_ = 0;
  std::int64_t parameter_count_ = 0;
  std::size_t parameter_bytes_ = 0;
};

// A float32 copy of an f16, bf16 or f32 tensor.
Tensor widen(const Tensor& tensor);
// [columns, rows] of the same dtype, a copy: weights stored input-major (GPT-2's Conv1D). Unquantised dtypes
// only.
Tensor transposed(const Tensor& tensor);

}  // namespace tessera::models
