// A request as it came over the wire and an answer as it will go: no sockets, no HTTP library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::serve {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;        // upper case
  std::string path;          // without the query, percent-encoding as sent
  std::string query;         // after '?', as sent
  HttpHeaders headers = {};  // names in lower case
  std::string body = {};
  std::uint64_t content_length = 0;  // as announced; 0 when the body is chunked or absent
  bool has_body = false;
  std::string client = {};  // whose key it came with (ApiKeys::client_of); empty without keys

  // The value of the first header of that name (lower case); empty when absent.
  std::string_view header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  HttpHeaders headers = {};  // besides Content-Type, Content-Length, Date and Connection
};

// "Not Found" for 404 (RFC 9110).
std::string_view reason_phrase(int status);

}  // namespace tessera::serve
