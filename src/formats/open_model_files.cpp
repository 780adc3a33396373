#include "formats/open_model_files.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf.h"
#include "formats/hugging_face.h"

namespace tessera::formats {
namespace {

namespace fs = std::filesystem;

std::string path_if_there(const fs::path& folder, const char* name) {
  const fs::path path = folder / name;
  return fs::is_regular_file(path) ? path.string() : std::string();
}

// Everything but the weights that lies in a Hugging Face folder.
ModelFiles files_beside(const fs::path& folder) {
  ModelFiles files;
  files.tokenizer_json = path_if_there(folder, "tokenizer.json");
  files.tokenizer_config = path_if_there(folder, "tokenizer_config.json");
  files.generation_config = path_if_there(folder, "generation_config.json");
  files.chat_template = read_folder_chat_template(folder.string());
  return files;
}

// All files of a split model when `path` is named like one of them, "NAME-00002-of-00003.gguf"; else just
// `path`.
std::vector<std::string> gguf_parts(const std::string& path) {
  static constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  const std::size_t stem = path.size() - std::min(path.size(), kPattern.size());
  std::string tail = path.substr(stem);
  for (char& c : tail) {
    if (c >= '0' && c <= '9') c = '0';
  }
  if (tail != kPattern) return {path};
  const std::string total = path.substr(stem + 10, 5);
  std::vector<std::string> parts;
  for (int i = 1; i <= std::stoi(total); ++i) {
    parts.push_back(fmt::format("{}-{:05}-of-{}.gguf", path.substr(0, stem), i, total));
  }
  return parts.empty() ? std::vector{path} : parts;
}

ModelFiles open_gguf_model(const std::string& path) {
  std::vector<std::shared_ptr<const MappedFile>> parts;
  for (const std::string& part : gguf_parts(path)) parts.push_back(MappedFile::open(part));
  ModelFiles files;
  files.weights = open_gguf_parts(parts);
  if (const auto text = files.weights->metadata().find_string("tokenizer.chat_template")) {
    files.chat_template = std::string(*text);
  }
  if (files.weights->tensors().empty() && files.weights->unsupported_tensors().empty()) {
    files.no_weights_reason = fmt::format("{}: expected a model's tensors, found a vocabulary only", path);
  }
  return files;
}

ModelFiles open_tokenizer(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  ModelFiles files = files_beside(folder.empty() ? "." : folder);
  files.tokenizer_json = path;
  files.no_weights_reason = fmt::format("{}: expected a model's tensors, found a tokenizer only", path);
  return files;
}

std::vector<std::string> names_in(const fs::path& folder, std::string_view extension) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == extension) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

bool is_one_split_model(const fs::path& folder, const std::vector<std::string>& names) {
  return names.size() > 1 && gguf_parts((folder / names.front()).string()).size() == names.size();
}

ModelFiles open_folder(const fs::path& folder) {
  std::shared_ptr<const WeightSource> weights = open_hugging_face_folder(folder.string());
  const std::vector<std::string> ggufs = names_in(folder, ".gguf");
  if (weights == nullptr && (ggufs.size() == 1 || is_one_split_model(folder, ggufs)))
    return open_gguf_model((folder / ggufs[0]).string());
  ModelFiles files = files_beside(folder);
  files.weights = std::move(weights);
  if (files.weights != nullptr) return files;
  files.no_weights_reason = fmt::format(
      "{}: expected model.safetensors, model.safetensors.index.json or one .gguf file, found {}",
      folder.string(),
      ggufs.empty() ? "none of them" : fmt::format("{} .gguf files: name one of them", ggufs.size()));
  if (files.tokenizer_json.empty()) fail(ErrorKind::bad_input, "{}", files.no_weights_reason);
  return files;
}

ModelFiles open_file(const std::string& path) {
  const fs::path name = fs::path(path).filename();
  const fs::path folder = fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path();
  if (name.string().ends_with(".safetensors.index.json")) return open_folder(folder);
  if (name.extension() == ".safetensors") {
    ModelFiles files = files_beside(folder);
    files.weights = open_safetensors_model(path);
    return files;
  }
  if (name.extension() == ".json") return open_tokenizer(path);
  const auto file = MappedFile::open(path);
  if (name.extension() == ".gguf" || looks_like_gguf(file->bytes())) return open_gguf_model(path);
  fail(ErrorKind::bad_input,
       "{}: header at byte 0: expected a GGUF file, a .safetensors file, a tokenizer.json or a folder with "
       "config.json, "
       "found '{}'",
       path, printable(file->text().substr(0, 8)));
}

}  // namespace

ModelFiles open_model_files(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error) ? open_folder(path) : open_file(path);
}

const WeightSource& require_weights(const ModelFiles& files) {
  if (files.weights == nullptr || !files.no_weights_reason.empty()) {
    fail(
        ErrorKind::bad_input, "{}",
        files.no_weights_reason.empty() ? "expected a model's tensors, found none" : files.no_weights_reason);
  }
  return *files.weights;
}

}  // namespace tessera::formats
