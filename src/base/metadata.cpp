#include "base/metadata.h"

#include <array>

#include "base/error.h"

namespace tessera {
namespace {

std::string_view type_name(const Metadata::Value& value) {
  static constexpr std::array<std::string_view, 9> kNames{"null",
                                                          "a boolean",
                                                          "an integer",
                                                          "a float",
                                                          "a string",
                                                          "an array of strings",
                                                          "an array of integers",
                                                          "an array of floats",
                                                          "an array of booleans"};
  return kNames.at(value.index());
}

}  // namespace

Metadata::Metadata(std::string origin, std::shared_ptr<const void> owner)
    : origin_(std::move(origin)), owner_(std::move(owner)) {}

bool Metadata::set(std::string key, Value value, std::uint64_t offset) {
  return entries_.try_emplace(std::move(key), Entry{std::move(value), offset}).second;
}

bool Metadata::set_text(std::string key, std::string text, std::uint64_t offset) {
  texts_.push_back(std::make_unique<std::string>(std::move(text)));
  return set(std::move(key), std::string_view(*texts_.back()), offset);
}

const Metadata::Entry* Metadata::find(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end() || std::holds_alternative<std::monostate>(found->second.value)) return nullptr;
  return &found->second;
}

std::string Metadata::where(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return fmt::format("{}: key '{}'", origin_, printable(key));
  return fmt::format("{}: key '{}' at byte {}", origin_, printable(key), found->second.offset);
}

void Metadata::wrong_type(std::string_view key, const Entry& entry, std::string_view expected) const {
  fail(ErrorKind::bad_input, "{}: expected {}, found {}", where(key), expected, type_name(entry.value));
}

void Metadata::missing(std::string_view key, std::string_view expected) const {
  fail(ErrorKind::bad_input, "{}: expected {}, found nothing", where(key), expected);
}

std::optional<bool> Metadata::find_bool(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const bool* value = std::get_if<bool>(&entry->value)) return *value;
  wrong_type(key, *entry, "a boolean");
}

std::optional<std::int64_t> Metadata::find_int(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* value = std::get_if<std::int64_t>(&entry->value)) return *value;
  wrong_type(key, *entry, "an integer");
}

std::optional<double> Metadata::find_float(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* value = std::get_if<double>(&entry->value)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&entry->value)) return static_cast<double>(*value);
  wrong_type(key, *entry, "a number");
}

std::optional<std::string_view> Metadata::find_string(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* value = std::get_if<std::string_view>(&entry->value)) return *value;
  wrong_type(key, *entry, "a string");
}

const Metadata::StringArray* Metadata::find_strings(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return nullptr;
  if (const auto* value = std::get_if<StringArray>(&entry->value)) return value;
  wrong_type(key, *entry, "an array of strings");
}

const Metadata::IntegerArray* Metadata::find_ints(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return nullptr;
  if (const auto* value = std::get_if<IntegerArray>(&entry->value)) return value;
  wrong_type(key, *entry, "an array of integers");
}

std::optional<Metadata::FloatArray> Metadata::find_floats(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* value = std::get_if<FloatArray>(&entry->value)) return *value;
  if (const auto* value = std::get_if<IntegerArray>(&entry->value))
    return FloatArray(value->begin(), value->end());
  wrong_type(key, *entry, "an array of numbers");
}

std::int64_t Metadata::require_int(std::string_view key) const {
  if (const auto value = find_int(key)) return *value;
  missing(key, "an integer");
}

double Metadata::require_float(std::string_view key) const {
  if (const auto value = find_float(key)) return *value;
  missing(key, "a number");
}

std::string_view Metadata::require_string(std::string_view key) const {
  if (const auto value = find_string(key)) return *value;
  missing(key, "a string");
}

std::int64_t Metadata::require_int_in(std::string_view key, std::int64_t low, std::int64_t high) const {
  const std::int64_t value = require_int(key);
  if (value < low || value > high) {
    fail(ErrorKind::bad_input, "{}: expected an integer from {} to {}, found {}", where(key), low, high,
         value);
  }
  return value;
}

}  // namespace tessera
