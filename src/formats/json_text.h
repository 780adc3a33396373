// JSON from a file, read with simdjson, with errors that name the file and the byte. Included by .cpp files
// of this room only: simdjson's header is large.
#pragma once
#include <simdjson.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace tessera::formats {

// One JSON document and the strings unescaped from it; they live as long as this object.
class JsonText {
 public:
  // Copies `text` (simdjson reads past the end). `base_offset`: where the text begins in its file.
  JsonText(std::string file, std::string_view text, std::uint64_t base_offset = 0)
      : file_(std::move(file)), base_offset_(base_offset), text_(text) {}
  JsonText(const JsonText&) = delete;
  JsonText& operator=(const JsonText&) = delete;

  // Runs use(root object) over a text that must be one JSON object with nothing after it. Each string may be
  // unescaped once. simdjson's errors become Error bad_input with file and byte.
  template <typename Function>
  void read_object(const Function& use) {
    if (const auto error = parser_.iterate(text_).get(document_); error != simdjson::SUCCESS) {
      reject(base_offset_, fmt::format("expected valid JSON, found: {}", simdjson::error_message(error)));
    }
    try {
      require(document_.type(), simdjson::ondemand::json_type::object, base_offset_);
      use(document_.get_object().value());
      if (document_.current_location().error() != simdjson::OUT_OF_BOUNDS) {
        reject(current_offset(), "expected the end of the JSON text, found more");
      }
    } catch (const simdjson::simdjson_error& error) {
      reject(current_offset(),
             fmt::format("expected valid JSON, found: {}", simdjson::error_message(error.error())));
    }
  }

  // Byte in the file of a place in the text.
  std::uint64_t offset_of(const char* place) const {
    const char* begin = text_.data();
    const bool inside = place >= begin && place <= begin + text_.size();
    return base_offset_ + (inside ? static_cast<std::uint64_t>(place - begin) : text_.size());
  }
  template <typename Value>
  std::uint64_t offset_of_value(Value& value) const {
    return offset_of(std::string_view(value.raw_json_token()).data());
  }

  // Error bad_input when a value is of another type than expected.
  void require(simdjson::ondemand::json_type found, simdjson::ondemand::json_type expected,
               std::uint64_t offset, std::string_view subject = "JSON") const {
    if (found == expected) return;
    reject(offset, fmt::format("expected {}, found {}", type_name(expected), type_name(found)), subject);
  }
  // compute(), whose errors bad_input get file, subject and `offset` in front.
  template <typename Function>
  auto located(std::uint64_t offset, std::string_view subject, const Function& compute) const {
    try {
      return compute();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bad_input) reject(offset, error.what(), subject);
      throw;
    }
  }
  // Error bad_input: "FILE: SUBJECT at byte N: MESSAGE".
  [[noreturn]] void reject(std::uint64_t offset, std::string_view message,
                           std::string_view subject = "JSON") const {
    fail(ErrorKind::bad_input, "{}: {} at byte {}: {}", file_, subject, offset, message);
  }

  static std::string_view type_name(simdjson::ondemand::json_type type) {
    switch (type) {
      case simdjson::ondemand::json_type::array:
        return "an array";
      case simdjson::ondemand::json_type::object:
        return "an object";
      case simdjson::ondemand::json_type::number:
        return "a number";
      case simdjson::ondemand::json_type::string:
        return "a string";
      case simdjson::ondemand::json_type::boolean:
        return "a boolean";
      default:
        return "null";
    }
  }

 private:
  std::uint64_t current_offset() {
    const char* place = nullptr;
    if (document_.current_location().get(place) != simdjson::SUCCESS) return base_offset_ + text_.size();
    return offset_of(place);
  }

  std::string file_;
  std::uint64_t base_offset_;
  simdjson::padded_string text_;
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
};

}  // namespace tessera::formats
