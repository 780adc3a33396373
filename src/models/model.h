// What every language model offers to the engine and the trainer: its configuration, hidden states, and
// logits.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/weight_form.h"
#include "nn/attention/attention_config.h"
#include "nn/attention/attention_mechanism.h"
#include "nn/lora.h"
#include "ops/weight_matrix.h"
#include "tensor/ragged_batch.h"
#include "tensor/tensor.h"
#include "tensor/weight_source.h"

namespace tessera::models {

// What the engine must keep for one layer.
struct KeyValueShape {
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // D
  std::int64_t sliding_window = 0;       // 0: sees everything
  std::int64_t state_floats = 0;         // of one sequence's state (linear kinds, which have no keys); else 0
};

// What all architectures share; what only one has stays in its own file.
struct ModelConfig {
  std::string architecture;            // the registry's name: "llama", "qwen3", ...
  std::int64_t vocab_size = 0;         // V
  std::int64_t hidden_size = 0;        // C
  std::int64_t intermediate_size = 0;  // F
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t max_position_embeddings = 0;
  std::int64_t position_limit = 0;    // positions the weights can express at all (a learned table); 0: any
  std::vector<KeyValueShape> layers;  // [num_hidden_layers]
  std::vector<nn::AttentionConfig> attention;  // [num_hidden_layers]; empty: flash, there is no choice
};

// One tensor that training changes.
struct Parameter {
  std::string name;                // in the file it was loaded from, and in checkpoints
  Tensor tensor;                   // f32; the model's own memory, so that writing to it changes the model
  bool stored_transposed = false;  // files keep the matrix input-major (GPT-2's Conv1D)
};

// A linear layer that low-rank adapters may stand beside (models/lora.h), by Hugging Face's name whatever the
// file calls it.
struct LoraTarget {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::shared_ptr<nn::LoraSlot> slot;
  std::string weight;  // its tensor in the file; empty when another layer has the same (tied embeddings)
  bool stored_transposed = false;  // as Parameter
  // The file keeps output features reordered within heads of this size (GGUF's q and k of Llama); 0: as they
  // are.
  std::int64_t interleaved_head_dim = 0;
};

// The last linear layer, for a loss that never stores all logits: logits = cap(weight hidden).
struct OutputHead {
  ops::WeightMatrix weight;    // [V, C]
  float logit_softcap = 0.0F;  // 0: none; c: c tanh(logits / c)
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;

  // batch of T tokens → hidden states after the final norm [T, C] f32.
  virtual Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const = 0;
  // Rows of forward()'s result, bit for bit, without what only the others would need → [R, C].
  virtual Tensor forward_rows(const RaggedBatch& batch, const WantedRows& wanted,
                              nn::AttentionMechanism& attention) const;
  // hidden [R, C] (any rows of forward's result) → logits [R, V] f32.
  virtual Tensor logits(const Tensor& hidden) const = 0;

  // What logits() does, in parts. Error unsupported for a model that cannot say (none of the registered
  // ones).
  virtual OutputHead output_head() const;
  // Every parameter once, in the order of loading; empty unless the model was made with
  // WeightForm::trainable.
  virtual std::span<const Parameter> parameters() const { return {}; }

  // The linear layers that low-rank adapters may stand beside, in the order of loading.
  virtual std::span<const LoraTarget> lora_targets() const { return {}; }

  // Parameters, and bytes they take as stored; tied embeddings count once.
  virtual std::int64_t parameter_count() const = 0;
  virtual std::size_t parameter_bytes() const = 0;
};

// What the caller may decide about a model beyond what its files say.
struct ModelOptions {
  // The longest sequence the caller means to run; 0: no more than the model was first trained on. Only
  // longrope (Phi-3) looks at it: its frequencies differ for short and long contexts, and mixing them within
  // one sequence spoils it. config().max_position_embeddings says what the chosen ones can serve.
  std::int64_t context_size = 0;
  WeightForm weight_form = WeightForm::stored;
};

// Makes the model that source.architecture() names; the model keeps what it needs of `source`'s memory alive.
// Error unsupported: an architecture or configuration value nobody registered, or a tensor the model has no
// use for, by name; bad_input: a tensor that is missing or has another shape than the configuration says.
std::unique_ptr<Model> create_model(const WeightSource& source, const ModelOptions& options = {});

// Every name the registry knows, for help texts and the test that each has golden values.
struct ArchitectureNames {
  std::string name;                       // "llama"
  std::vector<std::string> hugging_face;  // "LlamaForCausalLM", ...
  std::vector<std::string> gguf;          // "llama"
};
std::vector<ArchitectureNames> registered_architectures();

}  // namespace tessera::models
