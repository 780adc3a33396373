// One connection of the server: reads requests, has them answered, sends the answers, and keeps the
// deadlines. Includes Boost.Asio, which compiles slowly: for http_connection.cpp and http_server.cpp only.
#pragma once
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "serve/http_framing.h"
#include "serve/http_server.h"

namespace tessera::serve {

class Connection;

// What connections share. All of it belongs to the thread of HttpServer::run(), but for the atomics.
class ConnectionHost : public std::enable_shared_from_this<ConnectionHost> {
 public:
  ConnectionHost(const HttpServerOptions& wanted, HttpHandler& answering)
      : options(wanted), handler(&answering), pool(static_cast<std::size_t>(wanted.handler_threads)) {}
  virtual ~ConnectionHost() = default;
  ConnectionHost(const ConnectionHost&) = delete;
  ConnectionHost& operator=(const ConnectionHost&) = delete;

  virtual void answer_begins() = 0;
  virtual void answer_ended() = 0;
  virtual void connection_ended(Connection* connection) = 0;

  HttpServerOptions options;
  HttpHandler* handler;
  boost::asio::io_context io{1};
  boost::asio::thread_pool pool;
  std::size_t body_bytes = 0;  // of requests being read
  std::atomic<bool> stopping{false};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  using Socket = boost::asio::ip::tcp::socket;

  // `host` must outlive the connection.
  Connection(ConnectionHost& host, Socket socket);

  // Serves requests until the client, a deadline or the server ends it.
  boost::asio::awaitable<void> run();
  // Ends it from outside, whatever it does.
  void close_now();
  // No answer is under way.
  bool reading() const { return !exchange_; }
  // Since when the request at hand is being read or answered.
  Clock::time_point since() const { return since_; }

 private:
  class RequestReader;
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<bool> read_head(RequestReader& reader);
  boost::asio::awaitable<bool> read_body(RequestReader& reader);
  boost::asio::awaitable<int> send_answer(std::shared_ptr<Exchange> exchange, Framing framing);
  boost::asio::awaitable<bool> wait_for_output(Exchange& exchange);
  boost::asio::awaitable<bool> write(const std::string& text);
  boost::asio::awaitable<void> linger();
  void start(const std::shared_ptr<Exchange>& exchange);
  void watch(const std::shared_ptr<Exchange>& exchange);
  void arm(double seconds);

  ConnectionHost* host_;
  Socket socket_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer wake_;  // cancelled when there is something to send
  boost::beast::flat_buffer buffer_;
  std::shared_ptr<Exchange> exchange_;  // while an answer is under way
  Clock::time_point since_ = Clock::now();
  bool first_ = true;
  bool unread_ = false;  // part of the last request
  bool gone_ = false;    // the client, or our patience
};

}  // namespace tessera::serve
