// Reading a JSON file with checks: each value knows its path, so that errors name file, key, byte offset,
// what was expected and what was found.
#pragma once
#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/mapped_file.h"

namespace tessera::text {

class JsonFile {
 public:
  // Parses `file`, an object. Error bad_input: no JSON, with the byte where it breaks off.
  explicit JsonFile(std::shared_ptr<const MappedFile> file);

  const std::string& path() const { return file_->path(); }
  std::string_view text() const { return file_->text(); }
  simdjson::dom::element root() const { return root_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
};

// One value of a JsonFile. Its parent (and the file) must outlive it: nodes live on the stack, from the root
// down.
class JsonNode {
 public:
  explicit JsonNode(const JsonFile& file) : file_(&file), element_(file.root()) {}
  JsonNode(const JsonNode& parent, std::string_view key, simdjson::dom::element element)
      : file_(parent.file_), parent_(&parent), key_(key), element_(element) {}
  JsonNode(const JsonNode& parent, std::size_t index, simdjson::dom::element element)
      : file_(parent.file_), parent_(&parent), index_(index), element_(element) {}

  // Members of an object: nullopt when missing or null; require() makes that an Error.
  std::optional<JsonNode> find(std::string_view key) const;
  JsonNode require(std::string_view key) const;

  simdjson::dom::object object() const;
  simdjson::dom::array array() const;
  std::string_view string() const;
  bool boolean() const;
  std::int64_t integer() const;
  double number() const;
  bool is_string() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }

  // Members with a default.
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string_view string_or(std::string_view key, std::string_view fallback) const;

  // "file: key 'model.vocab' at byte 123".
  std::string where() const;
  // Error bad_input: "<where>: expected <expected>, found <what this is>".
  [[noreturn]] void fail_expected(std::string_view expected) const;
  // Error unsupported: "<where>: <what> '<name>' is not supported".
  [[noreturn]] void fail_unsupported(std::string_view what, std::string_view name) const;

 private:
  std::size_t offset() const;

  const JsonFile* file_;
  const JsonNode* parent_ = nullptr;
  std::string_view key_;
  std::optional<std::size_t> index_;
  simdjson::dom::element element_;
};

}  // namespace tessera::text
