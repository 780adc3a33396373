// Every path that the server knows, in one list: it answers from it, checks keys by it and describes itself
// with it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serve/exchange.h"

namespace tessera::serve {

struct QueryParameter {
  std::string name;
  std::string type;  // of JSON Schema: "integer"
  std::string description;
  bool required = false;
};

struct Route {
  std::string method;
  std::string path;  // "/v1/models/{model}": a part in braces stands for any text without '/', not empty
  std::string summary;
  std::vector<QueryParameter> query = {};
  // Names of schemas in openapi.cpp; empty: no body, or one that is not JSON.
  std::string request_schema = {};
  std::string response_schema = {};
  std::string response_type = "application/json";  // empty: an answer without a body
  bool open = false;                               // needs no key
  bool light = false;                              // HttpHandler::is_light
  bool needs_model = false;                        // 503 until it is loaded
  bool generates = false;                          // runs the model: refused at once when the queue is full
  std::function<void(const std::shared_ptr<Exchange>&)> handle = {};
};

class RouteTable {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  const std::vector<Route>& routes() const { return routes_; }

  // nullptr: no such route. A HEAD request finds the route of GET.
  const Route* find(std::string_view method, std::string_view path) const;
  // "GET, POST" of a known path, for 405; empty: nobody knows the path.
  std::string allowed_methods(std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

// Whether `path` is what a route's `pattern` stands for.
bool path_matches(std::string_view pattern, std::string_view path);

}  // namespace tessera::serve
