#include "serve/origin_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "base/near_names.h"

namespace tessera::serve {
namespace {

bool is_address(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

std::string host_without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return to_lower_ascii(host.substr(1, end == std::string_view::npos ? end : end - 1));
  }
  return to_lower_ascii(host.substr(0, host.find(':')));
}

OriginRules::OriginRules(std::vector<std::string> hosts, std::vector<std::string> origins)
    : hosts_(std::move(hosts)), origins_(std::move(origins)) {
  for (std::string& host : hosts_) host = host_without_port(host);
  for (std::string& origin : origins_) {
    origin = to_lower_ascii(origin);
    while (origin.ends_with('/')) origin.pop_back();
  }
}

bool OriginRules::allows_host(std::string_view host_header) const {
  const std::string host = host_without_port(host_header);
  return host == "localhost" || is_address(host) || std::ranges::find(hosts_, host) != hosts_.end();
}

bool OriginRules::is_listed(std::string_view origin) const {
  return std::ranges::find(origins_, to_lower_ascii(origin)) != origins_.end();
}

bool OriginRules::allows_origin(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || is_listed(origin)) return true;
  const std::size_t scheme = origin.find("://");
  return scheme != std::string_view::npos &&
         to_lower_ascii(origin.substr(scheme + 3)) == to_lower_ascii(request.header("host"));
}

HttpHeaders OriginRules::cors_headers(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !is_listed(origin)) return {};
  return {{"Access-Control-Allow-Origin", std::string(origin)},
          {"Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE, OPTIONS"},
          {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-API-Key"},
          {"Vary", "Origin"}};
}

}  // namespace tessera::serve
