// Everything that one model directory or file brings for generating text: weights, tokenizer, chat template,
// and what its authors recommend for sampling.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/token_id.h"
#include "formats/open_model_files.h"
#include "models/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera::engine {

// generation_config.json, as far as it speaks about sampling; empty fields were not given.
struct GenerationDefaults {
  std::optional<float> temperature;  // 0 when the file says do_sample: false
  std::optional<std::int64_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> typical_p;
  std::optional<float> repetition_penalty;
};

struct QuantizationRecipe;

// A LoRA adapter beside the model; its nn::LoraId is its place in the list (engine/lora_adapters.h).
struct LoadedLora {
  std::string name;
  std::string path;
  std::string identity;  // differs between adapters of other contents
};

struct LoadedModel {
  std::string name;           // file or folder name without extension, for people
  formats::ModelFiles files;  // first: what the others point into
  std::shared_ptr<const models::Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<const text::ChatTemplate> chat_template;  // null: the model brings none
  GenerationDefaults defaults;
  std::vector<LoadedLora> adapters;
  std::vector<TokenId> end_of_generation;  // the tokenizer's and generation_config.json's, sorted, each once
};

// Opens `path` (GGUF file or Hugging Face folder). Reports a Progress of stage "load" after each tensor.
// Error io, bad_input, unsupported: as the rooms below say; bad_input too when vocabulary and model disagree
// on their size. Matrices are packed for the kernels while they are loaded, whatever `options` says about
// their form. With `quantize`, matrices are rounded by that recipe while they are loaded
// (engine/quantized_weights.h).
LoadedModel load_model(const std::string& path, const ProgressSink& progress = {},
                       const models::ModelOptions& options = {},
                       const QuantizationRecipe* quantize = nullptr);

}  // namespace tessera::engine
