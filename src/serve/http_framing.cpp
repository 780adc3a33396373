#include "serve/http_framing.h"

#include <fmt/core.h>

#include <ctime>

namespace tessera::serve {
namespace {

std::string date_header() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

// 204 has no length, and that of 304 would be the length of what is not sent (RFC 9110 8.6).
bool has_length(const HttpResponse& response) { return response.status != 204 && response.status != 304; }

}  // namespace

std::string head_text(const HttpResponse& response, const Framing& framing, bool streams) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 reason_phrase(response.status), date_header());
  if (!response.content_type.empty()) text += fmt::format("Content-Type: {}\r\n", response.content_type);
  if (!streams && has_length(response)) {
    text += fmt::format("Content-Length: {}\r\n", response.body.size());
  } else if (streams && framing.chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  }
  text += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  for (const auto& [name, value] : response.headers) text += fmt::format("{}: {}\r\n", name, value);
  text += framing.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return text;
}

std::string wire_text(const Exchange::Output& output, const Framing& framing) {
  std::string text;
  if (output.head) text = head_text(*output.head, framing, output.streams);
  if (framing.without_body) return text;
  if (!output.streams) return output.head ? text + output.head->body : text;
  if (!framing.chunked) return text + output.bytes;
  if (!output.bytes.empty()) text += fmt::format("{:x}\r\n{}\r\n", output.bytes.size(), output.bytes);
  if (output.ended) text += "0\r\n\r\n";
  return text;
}

}  // namespace tessera::serve
