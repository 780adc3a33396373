#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "formats/hugging_face.h"
#include "formats/json_text.h"

namespace tessera::formats {
namespace {

using simdjson::ondemand::json_type;

// Far above any real configuration; they keep a hostile one from growing a thousandfold when its keys are
// joined.
constexpr std::size_t kConfigLimit = 4 << 20;
constexpr std::size_t kLongestKey = 512;
constexpr std::size_t kMostEntries = 1 << 16;
constexpr int kDeepest = 32;

class ConfigReader {
 public:
  explicit ConfigReader(const std::shared_ptr<const MappedFile>& file)
      : json_(std::make_shared<JsonText>(file->path(), file->text())), metadata_(file->path(), json_) {}

  Metadata read() {
    json_->read_object([this](simdjson::ondemand::object root) { read_fields(root, "", 0); });
    return std::move(metadata_);
  }

 private:
  void read_fields(simdjson::ondemand::object object, const std::string& prefix, int depth) {
    for (auto field : object) {
      const std::uint64_t offset = json_->offset_of(field.key().value().raw());
      const std::string_view key = field.unescaped_key();
      read_value(join(prefix, key, offset), field.value(), depth + 1);
    }
  }

  std::string join(const std::string& prefix, std::string_view key, std::uint64_t offset) const {
    if (prefix.size() + key.size() > kLongestKey) {
      reject(prefix.empty() ? key : prefix, offset,
             fmt::format("expected a key of at most {} bytes, found {}", kLongestKey,
                         prefix.size() + key.size()));
    }
    return prefix.empty() ? std::string(key) : fmt::format("{}.{}", prefix, key);
  }

  void read_value(const std::string& key, simdjson::ondemand::value value, int depth) {
    const std::uint64_t offset = json_->offset_of_value(value);
    if (depth > kDeepest) reject(key, offset, fmt::format("expected at most {} levels of nesting", kDeepest));
    const json_type type = value.type();
    if (type == json_type::object) {
      read_fields(value.get_object(), key, depth);
    } else if (type == json_type::array) {
      read_array(key, value.get_array(), offset, depth);
    } else {
      set(key, read_scalar(value, type, key, offset), offset);
    }
  }

  Metadata::Value read_scalar(simdjson::ondemand::value value, json_type type, std::string_view key,
                              std::uint64_t offset) const {
    switch (type) {
      case json_type::string:
        return std::string_view(value.get_string());
      case json_type::boolean:
        return bool(value.get_bool());
      case json_type::number:
        return read_number(value);
      default:
        break;
    }
    if (!bool(value.is_null())) reject(key, offset, "expected a JSON value");
    return std::monostate{};
  }

  static Metadata::Value read_number(simdjson::ondemand::value value) {
    std::int64_t integer = 0;
    if (value.get_int64().get(integer) == simdjson::SUCCESS) return integer;
    const double number = value.get_double();
    constexpr double kExact = 9007199254740992.0;  // 2^53: integers up to here are exact in a double
    if (std::abs(number) <= kExact && std::trunc(number) == number) return static_cast<std::int64_t>(number);
    return number;
  }

  void read_array(const std::string& key, simdjson::ondemand::array array, std::uint64_t offset, int depth) {
    std::vector<Metadata::Entry> scalars;
    std::vector<std::size_t> positions;
    std::size_t index = 0;
    for (auto element : array) {
      simdjson::ondemand::value value = element.value();
      const json_type type = value.type();
      if (type == json_type::object || type == json_type::array) {
        read_value(join(key, std::to_string(index), offset), value, depth + 1);
      } else {
        const std::uint64_t at = json_->offset_of_value(value);
        scalars.push_back({read_scalar(value, type, key, at), at});
        positions.push_back(index);
      }
      ++index;
    }
    if (index == 0) {
      set(key, std::monostate{}, offset);
    } else if (scalars.size() < index || !set_uniform(key, scalars, offset)) {
      for (std::size_t i = 0; i < scalars.size(); ++i) {
        set(join(key, std::to_string(positions[i]), scalars[i].offset), std::move(scalars[i].value),
            scalars[i].offset);
      }
    }
  }

  // Sets an array when all elements are of one kind (integers among floats are floats); false otherwise.
  bool set_uniform(const std::string& key, const std::vector<Metadata::Entry>& elements,
                   std::uint64_t offset) {
    const auto all = [&](auto... kinds) {
      return std::ranges::all_of(elements, [&](const Metadata::Entry& element) {
        return (std::holds_alternative<decltype(kinds)>(element.value) || ...);
      });
    };
    if (all(std::string_view{})) {
      set(key, collect<Metadata::StringArray, std::string_view>(elements), offset);
    } else if (all(bool{})) {
      set(key, collect<Metadata::BoolArray, bool>(elements), offset);
    } else if (all(std::int64_t{})) {
      set(key, collect<Metadata::IntegerArray, std::int64_t>(elements), offset);
    } else if (all(std::int64_t{}, double{})) {
      Metadata::FloatArray numbers;
      for (const Metadata::Entry& element : elements) {
        const auto* integer = std::get_if<std::int64_t>(&element.value);
        numbers.push_back(integer != nullptr ? static_cast<double>(*integer)
                                             : std::get<double>(element.value));
      }
      set(key, std::move(numbers), offset);
    } else {
      return false;
    }
    return true;
  }

  template <typename Array, typename Element>
  static Array collect(const std::vector<Metadata::Entry>& elements) {
    Array array;
    array.reserve(elements.size());
    for (const Metadata::Entry& element : elements) array.push_back(std::get<Element>(element.value));
    return array;
  }

  void set(const std::string& key, Metadata::Value value, std::uint64_t offset) {
    if (metadata_.entries().size() >= kMostEntries) {
      reject(key, offset, fmt::format("expected at most {} keys", kMostEntries));
    }
    if (!metadata_.set(key, std::move(value), offset))
      reject(key, offset, "expected each key once, found it again");
  }

  [[noreturn]] void reject(std::string_view key, std::uint64_t offset, std::string_view message) const {
    json_->reject(offset, message, fmt::format("key '{}'", printable(key)));
  }

  std::shared_ptr<JsonText> json_;  // the metadata's strings live in it
  Metadata metadata_;
};

}  // namespace

Metadata read_hugging_face_config(const std::shared_ptr<const MappedFile>& file) {
  if (file->bytes().size() > kConfigLimit) {
    fail(ErrorKind::bad_input, "{}: header at byte 0: expected a configuration of at most {} bytes, found {}",
         file->path(), kConfigLimit, file->bytes().size());
  }
  return ConfigReader(file).read();
}

}  // namespace tessera::formats
