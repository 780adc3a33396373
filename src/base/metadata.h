// Configuration of a model as flat dotted keys, whatever file it came from: config.json's {"rope_scaling":
// {"factor": 8}} is "rope_scaling.factor"; GGUF's keys stay as they are. Strings and arrays point into the
// file.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tessera {

class Metadata {
 public:
  using StringArray = std::vector<std::string_view>;
  using IntegerArray = std::vector<std::int64_t>;
  using FloatArray = std::vector<double>;
  using BoolArray = std::vector<bool>;
  // monostate is JSON's null. GGUF u64 above 2^63-1 is rejected by the reader.
  using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string_view, StringArray,
                             IntegerArray, FloatArray, BoolArray>;
  struct Entry {
    Value value;
    std::uint64_t offset = 0;  // of the value in its file, for error lines
  };

  // `origin` names the file in errors; `owner` keeps alive what string_views point into.
  Metadata(std::string origin, std::shared_ptr<const void> owner);
  Metadata() = default;

  const std::string& origin() const { return origin_; }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  // False when the key is already there (the old value stays).
  bool set(std::string key, Value value, std::uint64_t offset = 0);
  // As set, with text that this object keeps alive itself.
  bool set_text(std::string key, std::string text, std::uint64_t offset = 0);
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  // nullopt when the key is missing or null; Error bad_input naming file, key, offset, expected and found
  // type when it is there with another type. An integer is accepted where a float is asked for.
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  const StringArray* find_strings(std::string_view key) const;  // nullptr when missing
  const IntegerArray* find_ints(std::string_view key) const;
  // Integers or floats, as floats; empty optional when missing.
  std::optional<FloatArray> find_floats(std::string_view key) const;

  // As find_*, but a missing key is an Error too.
  std::int64_t require_int(std::string_view key) const;
  double require_float(std::string_view key) const;
  std::string_view require_string(std::string_view key) const;
  // An integer within [low, high]; Error bad_input otherwise.
  std::int64_t require_int_in(std::string_view key, std::int64_t low, std::int64_t high) const;

  // "file: key 'k' at byte N": the start of an error line about this key.
  std::string where(std::string_view key) const;

 private:
  const Entry* find(std::string_view key) const;
  [[noreturn]] void wrong_type(std::string_view key, const Entry& entry, std::string_view expected) const;
  [[noreturn]] void missing(std::string_view key, std::string_view expected) const;

  std::string origin_;
  std::shared_ptr<const void> owner_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace tessera
