#include "serve/http_server.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "serve/api_error.h"
#include "serve/http_connection.h"

namespace tessera::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAcceptPause = std::chrono::milliseconds(50);

// Thousands of connections need as many file descriptors; many systems give 1024 unless asked.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Takes connections in, and ends them all when the server stops.
class Server : public ConnectionHost {
 public:
  using ConnectionHost::ConnectionHost;

  void listen();
  asio::awaitable<void> accept_all();
  void wait_for_signal();
  void begin_stop();

  void answer_begins() override { ++answering_; }
  void answer_ended() override;
  void connection_ended(Connection* connection) override;

  tcp::acceptor acceptor{io};
  asio::signal_set signals{io};
  std::atomic<std::size_t> connection_count{0};

 private:
  void admit(tcp::socket socket);
  bool make_room();
  void close_all();

  asio::steady_timer accept_pause_{io};
  asio::steady_timer drain_timer_{io};
  std::unordered_set<Connection*> connections_;
  std::size_t answering_ = 0;
};

void Server::listen() {
  error_code error;
  const std::string host = options.host == "localhost" ? "127.0.0.1" : options.host;
  const auto address = asio::ip::make_address(host, error);
  if (error) {
    fail(ErrorKind::bad_usage, "--host: expected an address such as 127.0.0.1, 0.0.0.0 or ::1, found '{}'",
         printable(options.host));
  }
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    fail(ErrorKind::io, "cannot listen on {} port {}: {}; --port chooses another, 0 any free one", host,
         options.port, error.message());
  }
}

asio::awaitable<void> Server::accept_all() {
  while (acceptor.is_open()) {
    error_code error;
    tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (!acceptor.is_open()) co_return;
    if (!error) {
      admit(std::move(socket));
      continue;
    }
    // Out of file descriptors, or a client that has gone already: trying at once would only burn time.
    accept_pause_.expires_after(kAcceptPause);
    co_await accept_pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

void Server::admit(tcp::socket socket) {
  if (!make_room()) {
    const std::string body = error_body({503, "too many connections", "", "overloaded"});
    const std::string text =
        head_text({.status = 503, .body = body, .headers = {{"Retry-After", "1"}}}, {}, false);
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text + body), ignored);
    return;
  }
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);  // a token is a small packet, and somebody waits for it
  const auto connection = std::make_shared<Connection>(*this, std::move(socket));
  connections_.insert(connection.get());
  connection_count = connections_.size();
  asio::co_spawn(io, [connection] { return connection->run(); }, asio::detached);
}

// When all places are taken, the connection that has been sending its request (or nothing) for longest goes:
// slow clients cannot lock the others out. False when every one of them is being answered.
bool Server::make_room() {
  if (connections_.size() < options.max_connections) return true;
  Connection* oldest = nullptr;
  for (Connection* connection : connections_) {
    if (connection->reading() && (oldest == nullptr || connection->since() < oldest->since())) {
      oldest = connection;
    }
  }
  if (oldest == nullptr) return false;
  oldest->close_now();
  connection_ended(oldest);
  return true;
}

void Server::connection_ended(Connection* connection) {
  connections_.erase(connection);
  connection_count = connections_.size();
  if (acceptor.is_open() || !connections_.empty()) return;
  drain_timer_.cancel();
  error_code ignored;
  signals.cancel(ignored);
}

// The last answer under way is sent: now the server may go.
void Server::answer_ended() {
  --answering_;
  if (stopping && answering_ == 0) close_all();
}

// While answers are under way new connections are still taken, so that who watches over the server learns
// why it refuses everything else.
void Server::begin_stop() {
  if (stopping.exchange(true)) return close_all();
  handler->draining();
  if (answering_ == 0) return close_all();
  for (Connection* connection : connections_) {
    if (connection->reading()) connection->close_now();
  }
  drain_timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(options.drain_seconds)));
  drain_timer_.async_wait([this](const error_code& error) {
    if (!error) close_all();
  });
}

void Server::close_all() {
  error_code ignored;
  acceptor.close(ignored);
  accept_pause_.cancel();
  for (Connection* connection : connections_) connection->close_now();
  if (connections_.empty()) connection_ended(nullptr);
}

void Server::wait_for_signal() {
  signals.async_wait([this](const error_code& error, int /*signal*/) {
    if (error) return;
    begin_stop();
    if (acceptor.is_open()) wait_for_signal();
  });
}

}  // namespace

struct HttpServer::State final : Server {
  using Server::Server;
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler& handler)
    : state_(std::make_shared<State>(options, handler)) {
  raise_descriptor_limit();
  state_->listen();
}

HttpServer::~HttpServer() { state_->pool.join(); }

std::uint16_t HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }

std::string HttpServer::url() const {
  const std::string& host = state_->options.host;
  return fmt::format("http://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", port());
}

void HttpServer::run() {
  Server& server = *state_;
  if (server.options.stop_on_signals) {
    server.signals.add(SIGINT);
    server.signals.add(SIGTERM);
    server.wait_for_signal();
  }
  asio::co_spawn(server.io, server.accept_all(), asio::detached);
  server.io.run();
  server.pool.join();
}

void HttpServer::stop() {
  asio::post(state_->io, [server = std::weak_ptr<State>(state_)] {
    if (const auto alive = server.lock()) alive->begin_stop();
  });
}

bool HttpServer::stopping() const { return state_->stopping; }
std::size_t HttpServer::connections() const { return state_->connection_count; }

}  // namespace tessera::serve
