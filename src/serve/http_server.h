// The sockets: connections, deadlines and limits. What the requests mean is an HttpHandler's to know.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "serve/exchange.h"
#include "serve/http_message.h"

namespace tessera::serve {

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Looks at the head alone (method, path, headers); an answer ends the request before its body is read. May
  // fill in `request.client`. In the thread of the sockets: must be quick.
  virtual std::optional<HttpResponse> refuse(HttpRequest& request) = 0;
  // True: handle() is quick too, and runs in the thread of the sockets, so that it works under any load.
  virtual bool is_light(const HttpRequest& request) const = 0;
  // Answers through the exchange, now or later. An exception becomes status 500.
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  // Every answer that was sent, refusals included; 0: the client went away first.
  virtual void answered(const HttpRequest& request, int status, double seconds) = 0;
  // The server begins to stop: answers under way are finished, and nothing but light requests should be
  // taken.
  virtual void draining() {}
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address, or localhost
  std::uint16_t port = 8080;       // 0: any free one
  std::size_t max_header_bytes = std::size_t{16} << 10;
  std::size_t max_body_bytes = std::size_t{8} << 20;
  std::size_t max_body_bytes_together = std::size_t{256} << 20;  // of all requests being read
  std::size_t max_connections = 4096;
  // Deadlines are for the whole, so that a byte now and then does not help a slow client.
  double idle_seconds = 75;    // between two requests
  double header_seconds = 10;  // also for the first byte of a new connection
  double body_seconds = 60;
  double write_seconds = 30;  // for each write
  double drain_seconds = 30;  // for answers under way when the server stops
  int handler_threads = 2;
  bool stop_on_signals = false;  // SIGINT and SIGTERM; the second one stops at once
};

class HttpServer {
 public:
  // Listens. `handler` must outlive the server. Error bad_usage: a host that is no address; io: the port is
  // taken, or may not be used.
  HttpServer(const HttpServerOptions& options, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  // "http://127.0.0.1:8080".
  std::string url() const;
  // Serves in this thread until stopped.
  void run();
  // Any thread. Finishes the answers under way within drain_seconds, meanwhile telling the handler that it is
  // draining, and ends; called again, gives them up at once.
  void stop();
  bool stopping() const;
  std::size_t connections() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tessera::serve
