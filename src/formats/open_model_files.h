// Opens whatever a path holds: a GGUF file, a .safetensors file or a Hugging Face folder.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "tensor/weight_source.h"

namespace tessera::formats {

// What text/ needs, found beside the weights.
struct ModelFiles {
  std::shared_ptr<const WeightSource> weights;  // null when there are none (a bare tokenizer.json)
  std::string tokenizer_json;                   // path; empty: the vocabulary is in weights->metadata()
  std::string tokenizer_config;                 // path of tokenizer_config.json; empty when absent
  std::optional<std::string> chat_template;     // the Jinja text, if the model brings one
  std::string generation_config;                // path; empty when absent
  std::string no_weights_reason;  // why there is nothing to run, as an error line; empty when there is
};

// Error io / bad_input naming the file and what was expected there.
ModelFiles open_model_files(const std::string& path);

// files.weights; Error bad_input with the reason when there are none.
const WeightSource& require_weights(const ModelFiles& files);

}  // namespace tessera::formats
