#include "engine/gguf_contents.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf.h"

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
  if (source->metadata().find_int("split.count").value_or(1) > 1) {
    fail(ErrorKind::unsupported, "{}: expected a model in one file, found one part of {}",
         source->metadata().where("split.count"), *source->metadata().find_int("split.count"));
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

}  // namespace

GgufContents gguf_contents(const formats::ModelFiles& files) {
  const WeightSource& source = formats::require_weights(files);
  expect_all_supported(source);
  if (source.naming() == NamingScheme::gguf) return copy_of_gguf(files);
  fail(ErrorKind::unsupported, "{}: expected a GGUF file, found a Hugging Face folder", source.origin());
}

}  // namespace tessera::engine
