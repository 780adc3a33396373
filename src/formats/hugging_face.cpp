#include "formats/hugging_face.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/json_text.h"
#include "formats/mapped_weights.h"
#include "formats/safetensors.h"

namespace tessera::formats {
namespace {

namespace fs = std::filesystem;
using simdjson::ondemand::json_type;

constexpr std::size_t kJsonLimit = 256 << 20;  // of an index or tokenizer_config.json
constexpr std::size_t kTemplateLimit = 4 << 20;

std::shared_ptr<const MappedFile> open_json(const std::string& path) {
  auto file = MappedFile::open(path);
  if (file->bytes().size() > kJsonLimit) {
    fail(ErrorKind::bad_input, "{}: header at byte 0: expected at most {} bytes, found {}", path, kJsonLimit,
         file->bytes().size());
  }
  return file;
}

std::string architecture_of(const Metadata& config) {
  const Metadata::StringArray* names = config.find_strings("architectures");
  if (names != nullptr && !names->empty()) return std::string(names->front());
  return std::string(config.require_string("model_type"));
}

struct IndexEntry {
  std::string file;
  std::uint64_t offset = 0;  // of the tensor's name in the index
};

// A shard lies beside its index: a name with a folder in it could point anywhere.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

void read_weight_map(const JsonText& json, simdjson::ondemand::object weight_map,
                     std::map<std::string, IndexEntry>& entries) {
  for (auto field : weight_map) {
    const std::uint64_t offset = json.offset_of(field.key().value().raw());
    std::string name(std::string_view(field.unescaped_key()));
    const std::string subject = fmt::format("tensor '{}'", printable(name));
    json.require(field.value().type(), json_type::string, offset, subject);
    std::string file(std::string_view(field.value()));
    if (!is_plain_file_name(file)) {
      json.reject(offset,
                  fmt::format("expected the name of a file beside the index, found '{}'", printable(file)),
                  subject);
    }
    if (!entries.emplace(std::move(name), IndexEntry{std::move(file), offset}).second) {
      json.reject(offset, "expected each tensor once, found it again", subject);
    }
  }
}

// weight_map of model.safetensors.index.json: tensor → file name.
std::map<std::string, IndexEntry> read_index(const std::string& path) {
  const auto file = open_json(path);
  JsonText json(path, file->text());
  std::map<std::string, IndexEntry> entries;
  bool seen = false;
  json.read_object([&](simdjson::ondemand::object root) {
    for (auto field : root) {
      const std::uint64_t offset = json.offset_of(field.key().value().raw());
      if (std::string_view(field.unescaped_key()) != "weight_map") continue;
      json.require(field.value().type(), json_type::object, offset, "key 'weight_map'");
      if (std::exchange(seen, true))
        json.reject(offset, "expected it once, found it again", "key 'weight_map'");
      read_weight_map(json, field.value().get_object(), entries);
    }
  });
  if (entries.empty()) json.reject(0, "expected an object of tensor names, found none", "key 'weight_map'");
  return entries;
}

std::shared_ptr<const WeightSource> open_files(const std::vector<std::string>& paths,
                                               const std::string& origin, const std::string& config_path) {
  Metadata config = read_hugging_face_config(MappedFile::open(config_path));
  std::string architecture = architecture_of(config);
  std::vector<std::shared_ptr<const MappedFile>> files;
  std::vector<FoundTensor> tensors;
  // When tensors are tied, transformers stores one and notes {"dropped name": "kept name"} in __metadata__.
  std::map<std::string, std::string, std::less<>> aliases;
  for (const std::string& path : paths) {
    files.push_back(MappedFile::open(path));
    SafetensorsHeader header = read_safetensors_header(*files.back(), files.size() - 1);
    std::ranges::move(header.tensors, std::back_inserter(tensors));
    aliases.merge(header.metadata);
  }
  return std::make_shared<MappedWeights>(
      MappedWeights::Description{NamingScheme::hugging_face, origin, std::move(architecture),
                                 std::move(config), std::move(aliases)},
      std::move(files), std::move(tensors));
}

std::shared_ptr<const WeightSource> open_sharded(const fs::path& folder, const std::string& index_path) {
  const auto entries = read_index(index_path);
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const auto& [tensor, entry] : entries) names.push_back(entry.file);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::vector<std::string> paths;
  paths.reserve(names.size());
  for (const std::string& name : names) paths.push_back((folder / name).string());
  auto source = open_files(paths, folder.string(), (folder / "config.json").string());

  std::map<std::string_view, std::string_view> found;
  for (const TensorInfo& info : source->tensors()) found.emplace(info.name, info.file);
  for (const UnsupportedTensor& tensor : source->unsupported_tensors())
    found.emplace(tensor.name, tensor.file);
  for (const auto& [tensor, entry] : entries) {
    const auto place = found.find(tensor);
    if (place == found.end() || place->second != (folder / entry.file).string()) {
      fail(ErrorKind::bad_input, "{}: tensor '{}' at byte {}: expected it in '{}', found {}", index_path,
           printable(tensor), entry.offset, printable(entry.file),
           place == found.end() ? "no such tensor" : "it in another file");
    }
  }
  return source;
}

// "chat_template" when it is a list: the entry named "default".
std::optional<std::string> read_named_templates(const JsonText& json, simdjson::ondemand::array list,
                                                std::uint64_t offset) {
  std::optional<std::string> chosen;
  for (auto element : list) {
    json.require(element.type(), json_type::object, offset, "key 'chat_template'");
    std::string name;
    std::string text;
    for (auto field : element.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key != "name" && key != "template") continue;
      json.require(field.value().type(), json_type::string, offset, "key 'chat_template'");
      (key == "name" ? name : text) = std::string_view(field.value());
    }
    if (name == "default") chosen = std::move(text);
  }
  return chosen;
}

std::optional<std::string> read_tokenizer_config_template(const std::string& path) {
  const auto file = open_json(path);
  JsonText json(path, file->text());
  std::optional<std::string> result;
  json.read_object([&](simdjson::ondemand::object root) {
    for (auto field : root) {
      const std::uint64_t offset = json.offset_of(field.key().value().raw());
      if (std::string_view(field.unescaped_key()) != "chat_template") continue;
      const json_type type = field.value().type();
      if (type == json_type::null) continue;
      if (type == json_type::array) {
        result = read_named_templates(json, field.value().get_array(), offset);
      } else {
        json.require(type, json_type::string, offset, "key 'chat_template'");
        result = std::string(std::string_view(field.value()));
      }
    }
  });
  return result;
}

}  // namespace

std::shared_ptr<const WeightSource> open_hugging_face_folder(const std::string& folder) {
  const fs::path path(folder);
  const std::string whole = (path / "model.safetensors").string();
  const std::string index = (path / "model.safetensors.index.json").string();
  if (fs::is_regular_file(whole)) return open_files({whole}, folder, (path / "config.json").string());
  if (fs::is_regular_file(index)) return open_sharded(path, index);
  return nullptr;
}

std::shared_ptr<const WeightSource> open_safetensors_model(const std::string& path) {
  return open_files({path}, path, (fs::path(path).parent_path() / "config.json").string());
}

std::optional<std::string> read_folder_chat_template(const std::string& folder) {
  const fs::path path(folder);
  const std::string jinja = (path / "chat_template.jinja").string();
  if (fs::is_regular_file(jinja)) return read_file(jinja, kTemplateLimit);
  const std::string config = (path / "tokenizer_config.json").string();
  if (fs::is_regular_file(config)) return read_tokenizer_config_template(config);
  return std::nullopt;
}

}  // namespace tessera::formats
