#include "serve/route_table.h"

namespace tessera::serve {

bool path_matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = pattern.substr(0, pattern.find('/', 1));
    const std::string_view part = path.substr(0, path.find('/', 1));
    const bool any = wanted.starts_with("/{") && part.size() > 1 && part.front() == '/';
    if (!any && wanted != part) return false;
    pattern.remove_prefix(wanted.size());
    path.remove_prefix(part.size());
  }
  return pattern.empty() && path.empty();
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
