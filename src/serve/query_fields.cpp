#include "serve/query_fields.h"

#include <algorithm>
#include <charconv>

#include "base/near_names.h"
#include "serve/api_error.h"

namespace tessera::serve {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string url_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::optional<std::int64_t> decimal_number(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [after, problem] = std::from_chars(text.data(), end, value);
  return problem == std::errc() && after == end ? std::optional(value) : std::nullopt;
}

QueryFields::QueryFields(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view field = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (field.empty()) continue;
    const std::size_t equals = std::min(field.find('='), field.size());
    const std::string name = url_decoded(field.substr(0, equals));
    const std::string value = url_decoded(field.substr(std::min(equals + 1, field.size())));
    if (!values_.emplace(name, value).second) refuse_field(printable(name), "expected once, found twice");
  }
}

std::optional<std::string> QueryFields::text(const std::string& name) {
  asked_.insert(name);
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::int64_t> QueryFields::integer(const std::string& name, std::int64_t least,
                                                 std::int64_t most) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto value = decimal_number(*given);
  if (!value || *value < least || *value > most) {
    refuse_field(name, "expected an integer in [{}, {}], found '{}'", least, most, printable(*given, 40));
  }
  return value;
}

std::optional<bool> QueryFields::boolean(const std::string& name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  if (*given != "true" && *given != "false") {
    refuse_field(name, "expected true or false, found '{}'", printable(*given, 40));
  }
  return *given == "true";
}

void QueryFields::finish() const {
  for (const auto& [name, value] : values_) {
    if (asked_.contains(name)) continue;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    const auto near = near_names(name, known, 1);
    throw ApiError(400,
                   fmt::format("{}: unknown field of the query{}", printable(name),
                               near.empty() ? "" : "; did you mean '" + near.front() + "'?"),
                   printable(name), "unknown_field");
  }
}

}  // namespace tessera::serve
