// Everything `tessera inspect` says about a model, gathered without running it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/open_model_files.h"
#include "models/model.h"

namespace tessera::cli {

// The tensors of one type together.
struct TypeTotal {
  std::string type;  // "Q4_1"
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
};

struct TensorRow {
  std::string name;
  std::string type;
  Shape shape;
  std::string file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool supported = true;
};

struct TokenizerReport {
  std::string description;
  std::size_t vocabulary_size = 0;
  std::optional<std::int64_t> bos_token;
  std::optional<std::int64_t> eos_token;
  std::vector<std::int64_t> end_of_generation;
};

struct ModelReport {
  std::string path;
  formats::ModelFiles files;  // metadata and chat template
  std::string format;         // "GGUF", "safetensors", "tokenizer.json"
  std::map<std::string, std::uint64_t> file_bytes;
  std::string architecture;     // as the file names it; empty without weights
  std::int64_t parameters = 0;  // tied embeddings counted once
  std::uint64_t weight_bytes = 0;
  std::vector<TypeTotal> types;  // most bytes first
  std::vector<TensorRow> tensors;
  std::optional<models::ModelConfig> config;     // when the model can be run
  std::string why_not_run;                       // when it cannot: an error line
  bool damaged = false;                          // it cannot because the file is not what it claims to be
  std::optional<std::int64_t> context_length;    // also when the model cannot be run, if the file says it
  std::optional<std::uint64_t> key_value_bytes;  // a token, in key_value_type
  DType key_value_type = DType::f16;             // the cache's default for this model
  std::string declared_dtype;                    // config.json's torch_dtype when the file holds another
  std::optional<TokenizerReport> tokenizer;
  std::string why_no_tokenizer;  // "none", or why it cannot be read
};

// Error io, bad_input: what open_model_files() says. A model that cannot be run is reported, not an error.
ModelReport make_model_report(const std::string& path);

// "Q4_1 (mostly)", "F32", or "none" without tensors.
std::string main_type(const ModelReport& report);

}  // namespace tessera::cli
