// A server whose model changes while it runs: requests that are under way end with the model they began with,
// those that come later meet the new one.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "serve/engine_backend.h"
#include "serve/service.h"

namespace tessera::serve {

class ChangingService final : public HttpHandler {
 public:
  // Answers from the start; what needs a model only after the first change.
  explicit ChangingService(ServiceOptions options);
  ~ChangingService() override;

  // Any thread, one at a time. Waits up to `seconds` for answers of the model before, then ends them. Error
  // as EngineBackend; then everything stays as it was.
  void change_model(std::shared_ptr<const engine::LoadedModel> loaded, const EngineBackendOptions& options,
                    double seconds);
  // Ends what is being answered.
  void stop();

  std::optional<HttpResponse> refuse(HttpRequest& request) override {
    return current()->service.refuse(request);
  }
  bool is_light(const HttpRequest& request) const override { return current()->service.is_light(request); }
  void handle(std::shared_ptr<Exchange> exchange) override;
  void answered(const HttpRequest& request, int status, double seconds) override;
  void draining() override { current()->service.draining(); }

 private:
  struct Serving {
    explicit Serving(const ServiceOptions& options) : service(options) {}
    std::unique_ptr<EngineBackend> backend;  // null: no model yet
    Service service;
  };
  std::shared_ptr<Serving> current() const;
  static void retire(Serving& serving, double seconds);

  ServiceOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<Serving> current_;
};

}  // namespace tessera::serve
