// Reading a request's JSON with every value checked: an error names the field, what was expected and what was
// found. For .cpp files of this room only: it brings nlohmann-json.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace tessera::serve {

using Json = nlohmann::ordered_json;

// The object that a request's body is. ApiError 400: no JSON (with the byte and the field where it breaks
// off: NaN, Infinity, 1e999 and bad UTF-8 too), nested deeper than 64, or no object.
Json parse_body(const std::string& body);

// What is found, for an error line: short and printable.
std::string shown(const Json& value);

// The members of an object, each asked for by name; what nobody asked for is refused by finish(). A member
// that is null counts as not given.
class JsonFields {
 public:
  // `path`: where the object stands, "" for the body, "stream_options" for a member. `object` must outlive
  // the fields.
  JsonFields(const Json& object, std::string path);

  // The value of a member, nullptr when not given.
  const Json* find(const std::string& name);
  const Json& require(const std::string& name);

  std::optional<double> number(const std::string& name, double least, double most, bool open_below = false);
  std::optional<std::int64_t> integer(const std::string& name, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(const std::string& name);
  std::optional<std::string> string(const std::string& name, std::size_t most_bytes = std::size_t{1} << 24);
  // Known, and without influence on the text.
  void ignore(const std::string& name);
  // A field that changes what is asked for and that this server cannot do: given with another value than
  // `neutral` (or null) it is refused.
  void only(const std::string& name, const Json& neutral);

  // ApiError 400 naming the first member that was not asked for, and what it may have been meant to be.
  void finish() const;
  // "messages[0].role" for the member "role".
  std::string path_of(const std::string& name) const;

 private:
  const Json* object_;
  std::string path_;
  std::set<std::string> asked_;
};

}  // namespace tessera::serve
