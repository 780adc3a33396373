// Which host names and web pages may reach the server: against DNS rebinding and forged requests from other
// pages.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "serve/http_message.h"

namespace tessera::serve {

class OriginRules {
 public:
  // `hosts`: names besides localhost and IP addresses that a Host header may carry. `origins`: pages from
  // elsewhere that may ask ("https://chat.example"); closed when empty.
  OriginRules(std::vector<std::string> hosts, std::vector<std::string> origins);

  // A name that an attacker controls can be made to point here; an address or localhost cannot.
  bool allows_host(std::string_view host_header) const;
  // No Origin header (no browser, or a GET of its own), the server's own page, or one of `origins`.
  bool allows_origin(const HttpRequest& request) const;
  // The headers that let a page of `origins` read the answer; none for others.
  HttpHeaders cors_headers(const HttpRequest& request) const;

 private:
  bool is_listed(std::string_view origin) const;

  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
};

// "[::1]:8080" → "::1", "example:80" → "example"; in lower case.
std::string host_without_port(std::string_view host);

}  // namespace tessera::serve
