// An HttpServer on a free port, served by a thread of its own while the object lives.
#pragma once
#include <thread>

#include "serve/http_server.h"

namespace tessera::serve::testing {

class RunningServer {
 public:
  explicit RunningServer(HttpHandler& handler, HttpServerOptions options = {})
      : server_(on_any_port(options), handler) {
    port_ = server_.port();
    thread_ = std::thread([this] { server_.run(); });
  }
  ~RunningServer() { stop_now(); }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  std::uint16_t port() const { return port_; }
  HttpServer& server() { return server_; }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }
  void stop_now() {
    server_.stop();
    server_.stop();
    wait();
  }

 private:
  static HttpServerOptions on_any_port(HttpServerOptions options) {
    options.port = 0;
    return options;
  }
  HttpServer server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace tessera::serve::testing
