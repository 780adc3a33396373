#include "serve/route_table.h"

namespace tessera::serve {

bool path_matches(std::string_view pattern, std::string_view path) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  return path.starts_with(pattern.substr(0, brace)) && path.size() > brace &&
         path.find('/', brace) == std::string_view::npos;
}

const Route* RouteTable::find(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes_) {
    if (route.method == wanted && path_matches(route.path, path)) return &route;
  }
  return nullptr;
}

std::string RouteTable::allowed_methods(std::string_view path) const {
  std::string methods;
  for (const Route& route : routes_) {
    if (path_matches(route.path, path)) methods += (methods.empty() ? "" : ", ") + route.method;
  }
  return methods;
}

}  // namespace tessera::serve
