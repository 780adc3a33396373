#include "serve/service.h"

#include <chrono>
#include <functional>
#include <utility>

#include "base/near_names.h"
#include "serve/backend_gauges.h"
#include "serve/json_fields.h"
#include "serve/openai_format.h"
#include "serve/openapi.h"
#include "serve/session_api.h"
#include "serve/status_api.h"
#include "serve/token_api.h"
#include "serve/web_assets.h"

namespace tessera::serve {
namespace {

std::int64_t now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

void respond_json(Exchange& exchange, const Json& body) { exchange.respond({.body = to_text(body)}); }

// A page of another origin cannot send this type without being asked first (Fetch standard, CORS preflight).
void check_body_type(const HttpRequest& request) {
  const std::string type = to_lower_ascii(request.header("content-type"));
  if (type.substr(0, type.find(';')) != "application/json") {
    throw ApiError(415, fmt::format("Content-Type: expected application/json, found '{}'", printable(type)),
                   "Content-Type", "unsupported_media_type");
  }
  const std::string coding = to_lower_ascii(request.header("content-encoding"));
  if (!coding.empty() && coding != "identity") {
    throw ApiError(415, fmt::format("Content-Encoding: expected none, found '{}'", printable(coding)),
                   "Content-Encoding", "unsupported_media_type");
  }
}

}  // namespace

Service::Service(ServedModel served, const ServiceOptions& options) : Service(options) {
  set_model(std::move(served));
}

Service::Service(const ServiceOptions& options)
    : keys_(options.keys),
      origins_(options.allowed_hosts, options.cors_origins),
      created_(now_seconds()),
      replies_(served_, metrics_, store_workers_),
      plain_chat_(replies_),
      store_workers_(options.sessions) {
  add_operator_routes();
  add_web_routes(routes_, WebAssets::embedded());
  if (options.training != nullptr) add_training_routes(routes_, WebAssets::embedded(), *options.training);
  add_openai_routes();
  add_token_routes();
  add_session_routes(routes_, store_workers_);
  routes_.add({.method = "POST",
               .path = "/api/sessions/{id}/reply",
               .summary = "Stores a message and streams the answer to it, which is stored too.",
               .request_schema = "ReplyRequest",
               .response_type = "text/event-stream",
               .generates = true,
               .handle = [this](const auto& exchange) { replies_.handle(exchange); }});
}

void Service::set_model(ServedModel served) {
  served_ = std::move(served);
  if (!served_.grammars) served_.grammars = std::make_shared<engine::GrammarCache>(served_.loaded());
  status_.set_ready();
}

void Service::add_operator_routes() {
  routes_.add({.method = "GET",
               .path = "/health",
               .summary = "Whether the server can answer.",
               .response_schema = "Health",
               .open = true,
               .light = true,
               .handle = [this](const auto& exchange) {
                 exchange->respond({.status = status_.health_status(), .body = to_text(status_.health())});
               }});
  routes_.add(
      {.method = "GET",
       .path = "/api/status",
       .summary = "The model, how far it is loaded, the cache, and who waits.",
       .response_schema = "Status",
       .light = true,
       .handle = [this](const auto& exchange) { respond_json(*exchange, status_json(status_, served_)); }});
  routes_.add({.method = "GET",
               .path = "/metrics",
               .summary = "Counters in Prometheus' text format.",
               .response_type = "text/plain; version=0.0.4; charset=utf-8",
               .light = true,
               .handle = [this](const auto& exchange) {
                 exchange->respond(
                     {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_text()});
               }});
  routes_.add({.method = "GET",
               .path = "/openapi.json",
               .summary = "This description.",
               .response_schema = "",
               .response_type = "application/json",
               .light = true,
               .handle = [this](const auto& exchange) { respond_json(*exchange, openapi_json(routes_)); }});
}

void Service::add_openai_routes() {
  routes_.add(
      {.method = "GET",
       .path = "/v1/models",
       .summary = "The models that this server runs.",
       .response_schema = "ModelList",
       .light = true,
       .needs_model = true,
       .handle = [this](const auto& exchange) { respond_json(*exchange, models_json(served_, created_)); }});
  routes_.add({.method = "GET",
               .path = "/v1/models/{model}",
               .summary = "One of them.",
               .response_schema = "Model",
               .light = true,
               .needs_model = true,
               .handle = [this](const auto& exchange) {
                 const std::string& path = exchange->request().path;
                 const std::string name = path.substr(std::string_view("/v1/models/").size());
                 respond_json(*exchange, model_json(served_, name, created_));
               }});
  using Plan = CompletionPlan (*)(const Json&, const ServedModel&, const std::string&);
  const auto complete = [this](Plan plan) {
    return [this, plan](const std::shared_ptr<Exchange>& exchange) {
      const HttpRequest& request = exchange->request();
      std::make_shared<CompletionAnswer>(plan(parse_body(request.body), served_, request.client), exchange,
                                         *served_.backend, metrics_)
          ->start();
    };
  };
  routes_.add({.method = "POST",
               .path = "/v1/chat/completions",
               .summary = "The next message of a conversation, whole or as server-sent events.",
               .request_schema = "ChatCompletionRequest",
               .response_schema = "ChatCompletion",
               .generates = true,
               .handle = complete(plan_chat_completion)});
  routes_.add({.method = "POST",
               .path = "/v1/completions",
               .summary = "How a text goes on, whole or as server-sent events.",
               .request_schema = "CompletionRequest",
               .response_schema = "Completion",
               .generates = true,
               .handle = complete(plan_text_completion)});
  routes_.add({.method = "POST",
               .path = "/chat",
               .summary = "The plain form: one conversation a user, the answer in HTTP chunks of text.",
               .request_schema = "PlainChatRequest",
               .response_type = "text/plain; charset=utf-8",
               .generates = true,
               .handle = [this](const auto& exchange) { plain_chat_.answer(exchange); }});
}

void Service::add_token_routes() {
  using Call = Json (*)(const Json&, const ServedModel&);
  const auto call = [this](Call function) {
    return [this, function](const std::shared_ptr<Exchange>& exchange) {
      respond_json(*exchange, function(parse_body(exchange->request().body), served_));
    };
  };
  routes_.add({.method = "POST",
               .path = "/tokenize",
               .summary = "A text as token ids.",
               .request_schema = "TokenizeRequest",
               .response_schema = "TokenizeAnswer",
               .needs_model = true,
               .handle = call(tokenize)});
  routes_.add({.method = "POST",
               .path = "/detokenize",
               .summary = "Token ids as text.",
               .request_schema = "DetokenizeRequest",
               .response_schema = "DetokenizeAnswer",
               .needs_model = true,
               .handle = call(detokenize)});
  routes_.add({.method = "POST",
               .path = "/apply-template",
               .summary = "The prompt that messages become.",
               .request_schema = "ApplyTemplateRequest",
               .response_schema = "ApplyTemplateAnswer",
               .needs_model = true,
               .handle = call(apply_template)});
}

// Everything that can be known from the head. The order matters: nothing is told to whom it does not concern.
void Service::check(HttpRequest& request) const {
  if (!origins_.allows_host(request.header("host"))) {
    throw ApiError(403,
                   fmt::format("Host: '{}' is not a name of this server; --allowed-host adds one",
                               printable(request.header("host"))),
                   "Host", "host_not_allowed");
  }
  if (!origins_.allows_origin(request)) {
    throw ApiError(403,
                   fmt::format("Origin: '{}' may not use this server; --cors-origin allows it",
                               printable(request.header("origin"))),
                   "Origin", "origin_not_allowed");
  }
  const Route* route = routes_.find(request.method, request.path);
  if (route == nullptr || !route->open) {
    const auto client = keys_.client_of(request);
    if (!client) {
      throw ApiError(401, "expected a valid API key: 'Authorization: Bearer KEY'", "", "invalid_api_key");
    }
    request.client = *client;
  }
  if (route == nullptr) {
    const std::string methods = routes_.allowed_methods(request.path);
    if (methods.empty()) {
      throw ApiError(404, fmt::format("no such path: {}; /openapi.json lists them", printable(request.path)),
                     "", "not_found");
    }
    throw ApiError(
        405,
        fmt::format("{}: expected {}, found {}", printable(request.path), methods, printable(request.method)),
        "", "method_not_allowed");
  }
  if (route->method == "POST" || route->method == "PATCH") check_body_type(request);
  check_model_is_there(*route);
}

void Service::check_model_is_there(const Route& route) const {
  if (route.generates || route.needs_model) status_.require_ready();
  if (!route.generates || !served_.backend->full()) return;
  const BackendStatistics now = served_.backend->statistics();
  ApiError busy(429, fmt::format("the queue is full: {} answers wait", now.waiting), "", "queue_full");
  busy.retry_after_seconds = now.retry_after_seconds;
  throw busy;
}

std::optional<HttpResponse> Service::refuse(HttpRequest& request) {
  const HttpHeaders cors = origins_.cors_headers(request);
  if (request.method == "OPTIONS" && !cors.empty() && origins_.allows_host(request.header("host"))) {
    return HttpResponse{.status = 204, .content_type = "", .body = "", .headers = cors};
  }
  try {
    check(request);
    return std::nullopt;
  } catch (const ApiError& error) {
    HttpResponse response = error_response(error);
    if (error.status() == 405) response.headers.emplace_back("Allow", routes_.allowed_methods(request.path));
    if (error.status() == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
    response.headers.insert(response.headers.end(), cors.begin(), cors.end());
    return response;
  }
}

bool Service::is_light(const HttpRequest& request) const {
  const Route* route = routes_.find(request.method, request.path);
  return route != nullptr && route->light;
}

void Service::handle(std::shared_ptr<Exchange> exchange) {
  exchange->add_headers(origins_.cors_headers(exchange->request()));
  const Route* route = routes_.find(exchange->request().method, exchange->request().path);
  if (route == nullptr) throw ApiError(404, "no such path", "", "not_found");
  route->handle(exchange);
}

void Service::answered(const HttpRequest& request, int status, double seconds) {
  const Route* route = routes_.find(request.method, request.path);
  metrics_.count_request(route == nullptr ? "unknown" : route->path, status, seconds);
}

std::string Service::metrics_text() const {
  std::vector<Gauge> gauges = {{"tessera_ready", "1 when the model is loaded.", status_.ready() ? 1.0 : 0.0}};
  const auto backend = backend_gauges(status_.ready() ? served_.backend->statistics() : BackendStatistics());
  gauges.insert(gauges.end(), backend.begin(), backend.end());
  return metrics_.text(gauges);
}

}  // namespace tessera::serve
