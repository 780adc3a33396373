#include "engine/gguf_contents.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/vocabulary_export.h"
#include "formats/gguf.h"
#include "models/gguf_export.h"
#include "text/gguf_tokenizer_json.h"

namespace tessera::engine {
namespace {

// What the writer says itself.
constexpr std::array<std::string_view, 4> kWritersOwn = {formats::kGgufArchitectureKey,
                                                         formats::kGgufAlignmentKey, "general.file_type",
                                                         "general.quantization_version"};

void expect_all_supported(const WeightSource& source) {
  if (source.unsupported_tensors().empty()) return;
  (void)source.find(source.unsupported_tensors().front().name);  // says which, and what it is
}

GgufContents copy_of_gguf(const formats::ModelFiles& files) {
  const std::shared_ptr<const WeightSource>& source = files.weights;
  if (const auto parts = source->metadata().find_int("split.count"); parts && *parts > 1) {
    fail(ErrorKind::unsupported, "{}: expected a model in one file, found one part of {}",
         source->metadata().where("split.count"), *parts);
  }
  const auto file = MappedFile::open(source->origin());
  GgufContents contents;
  contents.architecture = source->architecture();
  for (const auto& [key, entry] : source->metadata().entries()) {
    if (std::ranges::find(kWritersOwn, key) != kWritersOwn.end() || key.starts_with("split.")) continue;
    contents.pairs.push_back({key, entry.value, formats::stored_value_type(*file, entry)});
  }
  for (const TensorInfo& tensor : source->tensors()) {
    contents.tensors.push_back(tensor);
    contents.loads.emplace_back([source, name = tensor.name] { return source->load(name); });
  }
  contents.owners = {source, file};
  return contents;
}

void add_text(GgufContents& contents, std::string_view key, std::string text) {
  const auto owned = std::make_shared<const std::string>(std::move(text));
  contents.pairs.push_back({std::string(key), std::string_view(*owned), {}});
  contents.owners.push_back(owned);
}

void add_vocabulary(const formats::ModelFiles& files, std::int64_t vocab_size, GgufContents& contents) {
  try {
    const auto vocabulary = std::make_shared<const Metadata>(
        export_vocabulary(files.tokenizer_json, files.tokenizer_config, vocab_size));
    for (const auto& [key, entry] : vocabulary->entries()) {
      const bool types = key == "tokenizer.ggml.token_type";  // i32 in every other file
      contents.pairs.push_back(
          {key, entry.value, types ? std::optional(formats::GgufValueType::i32) : std::nullopt});
    }
    contents.owners.push_back(vocabulary);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    add_text(contents, text::kGgufTokenizerJsonKey, read_file(files.tokenizer_json));
    if (!files.tokenizer_config.empty()) {
      add_text(contents, text::kGgufTokenizerConfigKey, read_file(files.tokenizer_config));
    }
    contents.note = fmt::format(
        "{}; the whole tokenizer.json is in the file instead, for programs that read it", error.what());
  }
}

GgufContents converted(const formats::ModelFiles& files) {
  models::GgufExport model = models::export_to_gguf(files.weights);
  GgufContents contents;
  contents.architecture = std::move(model.architecture);
  for (auto& pair : model.pairs) contents.pairs.push_back({std::move(pair.key), std::move(pair.value), {}});
  for (auto& tensor : model.tensors) {
    contents.tensors.push_back(std::move(tensor.info));
    contents.loads.push_back(std::move(tensor.load));
  }
  const auto name = std::make_shared<const std::string>(
      std::filesystem::path(files.weights->origin()).lexically_normal().filename().string());
  contents.pairs.push_back({"general.name", std::string_view(*name), {}});
  contents.owners = {files.weights, name};
  if (!files.tokenizer_json.empty()) add_vocabulary(files, model.vocab_size, contents);
  if (files.chat_template) add_text(contents, "tokenizer.chat_template", *files.chat_template);
  return contents;
}

}  // namespace

GgufContents gguf_contents(const formats::ModelFiles& files) {
  const WeightSource& source = formats::require_weights(files);
  expect_all_supported(source);
  if (source.naming() == NamingScheme::gguf) return copy_of_gguf(files);
  return converted(files);
}

}  // namespace tessera::engine
