#include <algorithm>
#include <string>

#include "base/error.h"
#include "models/architecture.h"
#include "models/attention_reader.h"
#include "ops/elementwise.h"

// One line an architecture: the function of its file that describes it.
#define TESSERA_ARCHITECTURES(X) \
  X(llama)                       \
  X(mistral)                     \
  X(smollm3)                     \
  X(qwen2)                       \
  X(qwen3)                       \
  X(phi3)                        \
  X(gemma2)                      \
  X(gemma3)                      \
  X(gpt2)                        \
  X(plain_transformer)

namespace tessera::models {

#define TESSERA_DECLARE(name) Architecture name();
TESSERA_ARCHITECTURES(TESSERA_DECLARE)
#undef TESSERA_DECLARE

namespace {

std::vector<Architecture> architectures() {
#define TESSERA_CALL(name) name(),
  return {TESSERA_ARCHITECTURES(TESSERA_CALL)};
#undef TESSERA_CALL
}

// An architecture that does not know the choice must not pass for one that made it.
void expect_chosen_attention(const WeightSource& source, const ModelConfig& config) {
  if (!config.attention.empty()) return;
  for (const char* key : {"attention_mechanism", "attention_mechanisms"}) {
    if (!source.metadata().contains(key)) continue;
    ConfigReader(source).unsupported(key, "no such key: " + config.architecture + " has one mechanism", key);
  }
}

}  // namespace

Tensor Model::forward_rows(const RaggedBatch& batch, const WantedRows& wanted,
                           nn::AttentionMechanism& attention) const {
  return ops::gather_rows(forward(batch, attention), wanted.rows);
}

OutputHead Model::output_head() const {
  fail(ErrorKind::unsupported, "{}: this model does not tell its output head apart", config().architecture);
}

std::unique_ptr<Model> create_model(const WeightSource& source, const ModelOptions& options) {
  const bool gguf = source.naming() == NamingScheme::gguf;
  std::string known;
  for (const Architecture& architecture : architectures()) {
    const std::vector<std::string>& names = gguf ? architecture.names.gguf : architecture.names.hugging_face;
    if (std::find(names.begin(), names.end(), source.architecture()) != names.end()) {
      std::unique_ptr<Model> model = architecture.create(source, options);
      expect_chosen_attention(source, model->config());
      return model;
    }
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  }
  fail(ErrorKind::unsupported, "{}: expected an architecture of {}, found '{}'", source.origin(), known,
       printable(source.architecture()));
}

std::vector<ArchitectureNames> registered_architectures() {
  std::vector<ArchitectureNames> names;
  for (Architecture& architecture : architectures()) names.push_back(std::move(architecture.names));
  return names;
}

}  // namespace tessera::models
