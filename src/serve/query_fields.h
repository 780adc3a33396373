// Reading a request's query ("?limit=50&q=two+words") with every value checked, as JsonFields reads a body.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace tessera::serve {

// Percent-decoding with '+' as a blank (WHATWG URL Standard, application/x-www-form-urlencoded).
std::string url_decoded(std::string_view text);

class QueryFields {
 public:
  // ApiError 400: a name that is given twice.
  explicit QueryFields(std::string_view query);

  std::optional<std::string> text(const std::string& name);
  std::optional<std::int64_t> integer(const std::string& name, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(const std::string& name);
  // ApiError 400 naming the first field that was not asked for.
  void finish() const;

 private:
  std::map<std::string, std::string> values_;
  std::set<std::string> asked_;
};

// All of `text` as a number of decimal digits; none otherwise, or beyond 2^63 - 1.
std::optional<std::int64_t> decimal_number(std::string_view text);

}  // namespace tessera::serve
