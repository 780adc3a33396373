// The server's answers put together: every route, who may use it, and what happens to a request on its way.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/api_keys.h"
#include "serve/http_server.h"
#include "serve/metrics.h"
#include "serve/openai_api.h"
#include "serve/origin_rules.h"
#include "serve/plain_chat.h"
#include "serve/route_table.h"
#include "serve/server_status.h"
#include "serve/store_workers.h"
#include "serve/training_view.h"

namespace tessera::serve {

struct ServiceOptions {
  ApiKeys keys = {};
  std::vector<std::string> allowed_hosts = {};
  std::vector<std::string> cors_origins = {};
  StoreWorkersOptions sessions = {};
  const TrainingView* training = nullptr;  // a run beside this server; must outlive it
};

class Service final : public HttpHandler {
 public:
  // Answers from the start, but what needs the model only after set_model().
  explicit Service(const ServiceOptions& options);
  Service(ServedModel served, const ServiceOptions& options);

  // Any thread; once. The backend of `served` must outlive the service, and be stopped before the service
  // goes.
  void set_model(ServedModel served);
  // How far the model is loaded, or why it cannot be.
  ServerStatus& status() { return status_; }

  std::optional<HttpResponse> refuse(HttpRequest& request) override;
  bool is_light(const HttpRequest& request) const override;
  void handle(std::shared_ptr<Exchange> exchange) override;
  void answered(const HttpRequest& request, int status, double seconds) override;
  void draining() override { status_.set_draining(); }

  const RouteTable& routes() const { return routes_; }

 private:
  void add_operator_routes();
  void add_openai_routes();
  void add_token_routes();
  void check(HttpRequest& request) const;
  void check_model_is_there(const Route& route) const;
  std::string metrics_text() const;

  ServerStatus status_;
  ServedModel served_;  // set before status_ is ready
  ApiKeys keys_;
  OriginRules origins_;
  Metrics metrics_;
  std::int64_t created_;
  SessionReplies replies_;
  PlainChat plain_chat_;
  RouteTable routes_;
  StoreWorkers store_workers_;  // last: what it still does when the service ends uses the others
};

}  // namespace tessera::serve
