// The only file that includes Boost.Asio and Beast: they compile slowly.
#include "serve/http_server.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/near_names.h"
#include "serve/api_error.h"

namespace tessera::serve {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Parser = http::request_parser<http::string_body>;

constexpr std::size_t kReadBytes = 16384;
constexpr double kLingerSeconds = 2;
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

Clock::duration as_duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Thousands of connections need as many file descriptors; many systems give 1024 unless asked.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string date_header() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

// How the body is marked off, and what follows it on the connection.
struct Framing {
  bool keep_alive = false;
  bool chunked = false;  // of a stream; else its end is the end of the connection
  bool without_body = false;
};

std::string head_text(const HttpResponse& response, const Framing& framing, bool streams) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 reason_phrase(response.status), date_header());
  if (!response.content_type.empty()) text += fmt::format("Content-Type: {}\r\n", response.content_type);
  if (!streams) {
    text += fmt::format("Content-Length: {}\r\n", response.body.size());
  } else if (framing.chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  }
  text += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  for (const auto& [name, value] : response.headers) text += fmt::format("{}: {}\r\n", name, value);
  text += framing.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return text;
}

// What is to be sent now of an answer.
std::string wire_text(const Exchange::Output& output, const Framing& framing) {
  std::string text;
  if (output.head) text = head_text(*output.head, framing, output.streams);
  if (framing.without_body) return text;
  if (!output.streams) return output.head ? text + output.head->body : text;
  if (!framing.chunked) return text + output.bytes;
  if (!output.bytes.empty()) text += fmt::format("{:x}\r\n{}\r\n", output.bytes.size(), output.bytes);
  if (output.ended) text += "0\r\n\r\n";
  return text;
}

HttpRequest head_of(const Parser& parser) {
  const auto& message = parser.get();
  const std::string target(message.target());
  HttpRequest request{
      .method = std::string(message.method_string()),
      .path = target.substr(0, target.find('?')),
      .query = target.find('?') == std::string::npos ? "" : target.substr(target.find('?') + 1)};
  for (const auto& field : message) {
    request.headers.emplace_back(to_lower_ascii(std::string_view(field.name_string())),
                                 std::string(field.value()));
  }
  request.content_length = parser.content_length().value_or(0);
  request.has_body = !parser.is_done();
  return request;
}

std::optional<HttpResponse> refuse_malformed(const HttpRequest& request, int version) {
  const auto hosts =
      std::ranges::count_if(request.headers, [](const auto& header) { return header.first == "host"; });
  if (hosts > 1 || (hosts == 0 && version >= 11)) {
    return error_response({400, fmt::format("expected one Host header, found {}", hosts), "", "bad_request"});
  }
  if (!request.path.starts_with('/')) {
    return error_response(
        {400, "the request target: expected a path that begins with '/'", "", "bad_request"});
  }
  return std::nullopt;
}

// What kept a head or body from being read, as an answer.
HttpResponse unreadable(const error_code& error, const HttpServerOptions& options) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return error_response(
        {431, fmt::format("the request's head is longer than {} bytes", options.max_header_bytes), "",
         "header_too_large"});
  }
  if (error == http::error::body_limit) {
    return error_response({413,
                           fmt::format("the request's body is longer than {} bytes", options.max_body_bytes),
                           "", "body_too_large"});
  }
  return error_response({400, "not an HTTP request: " + error.message(), "", "bad_request"});
}

void handle_safely(HttpHandler& handler, const std::shared_ptr<Exchange>& exchange) {
  if (exchange->abandoned()) return;
  try {
    handler.handle(exchange);
    return;
  } catch (const ApiError& error) {
    exchange->respond(error_response(error));
  } catch (const Error& error) {
    exchange->respond(error_response(as_api_error(error)));
  } catch (const std::exception& error) {
    log_line(LogLevel::warning, fmt::format("{} {}: {}", exchange->request().method,
                                            printable(exchange->request().path), error.what()));
    exchange->respond(error_response({500, "internal error", "", "internal"}));
  }
  exchange->end();
}

class Connection;

// What connections share. All of it belongs to the thread of run(), but for the atomics.
struct Server : std::enable_shared_from_this<Server> {
  Server(const HttpServerOptions& wanted, HttpHandler& answering)
      : options(wanted), handler(&answering), pool(static_cast<std::size_t>(wanted.handler_threads)) {}

  void listen();
  asio::awaitable<void> accept_all();
  void admit(tcp::socket socket);
  bool make_room();
  void remove(Connection* connection);
  void begin_stop();
  void close_all();
  void wait_for_signal();

  HttpServerOptions options;
  HttpHandler* handler;
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_pause{io};
  asio::steady_timer drain_timer{io};
  asio::signal_set signals{io};
  asio::thread_pool pool;
  std::unordered_set<Connection*> connections;
  std::size_t body_bytes = 0;  // of requests being read
  std::atomic<std::size_t> connection_count{0};
  std::atomic<bool> stopping{false};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server& server, tcp::socket socket)
      : server_(&server),
        socket_(std::move(socket)),
        deadline_(server.io),
        wake_(server.io),
        buffer_(server.options.max_header_bytes + kReadBytes) {}

  asio::awaitable<void> run();
  // Ends it from outside, whatever it does.
  void close_now();
  bool reading() const { return !exchange_; }
  Clock::time_point since() const { return since_; }

 private:
  asio::awaitable<bool> serve_one();
  asio::awaitable<bool> read_head(Parser& parser, error_code& error);
  asio::awaitable<std::optional<HttpResponse>> read_body(Parser& parser, HttpRequest& request, bool& lost);
  asio::awaitable<int> send_answer(const std::shared_ptr<Exchange>& exchange, Framing framing);
  asio::awaitable<bool> write(const std::string& text);
  asio::awaitable<void> linger();
  void start(const std::shared_ptr<Exchange>& exchange);
  void watch(const std::shared_ptr<Exchange>& exchange);
  void arm(double seconds);

  Server* server_;
  tcp::socket socket_;
  asio::steady_timer deadline_;
  asio::steady_timer wake_;  // cancelled when there is something to send
  boost::beast::flat_buffer buffer_;
  std::shared_ptr<Exchange> exchange_;  // while an answer is under way
  Clock::time_point since_ = Clock::now();
  bool first_ = true;
  bool unread_ = false;  // part of the last request
  bool gone_ = false;    // the client, or our patience
};

// Cancels what the socket does when the time is over; until the next arm().
void Connection::arm(double seconds) {
  deadline_.expires_after(as_duration(seconds));
  deadline_.async_wait([self = weak_from_this()](const error_code& error) {
    const auto connection = self.lock();
    if (error || !connection || connection->deadline_.expiry() > Clock::now()) return;
    error_code ignored;
    connection->socket_.cancel(ignored);
  });
}

void Connection::close_now() {
  gone_ = true;
  if (exchange_) exchange_->abandon();
  error_code ignored;
  socket_.close(ignored);
  wake_.cancel();
}

asio::awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  bool open = true;
  while (open && !gone_ && !server_->stopping) {
    since_ = Clock::now();
    open = co_await serve_one();
    first_ = false;
  }
  if (unread_ && !gone_ && socket_.is_open()) co_await linger();
  deadline_.cancel();
  error_code ignored;
  socket_.close(ignored);
  server_->remove(this);
}

// Closing with unread bytes would reset the connection, and the client might lose our answer.
asio::awaitable<void> Connection::linger() {
  error_code error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  arm(kLingerSeconds);
  const auto end = Clock::now() + as_duration(kLingerSeconds);
  char waste[4096];
  while (!error && Clock::now() < end) {
    co_await socket_.async_read_some(asio::buffer(waste), asio::redirect_error(asio::use_awaitable, error));
  }
}

// Waits for the first byte, then for the rest of the head. False: nobody to answer.
asio::awaitable<bool> Connection::read_head(Parser& parser, error_code& error) {
  if (buffer_.size() == 0) {
    arm(first_ ? server_->options.header_seconds : server_->options.idle_seconds);
    const std::size_t got = co_await socket_.async_read_some(
        buffer_.prepare(std::min<std::size_t>(kReadBytes, buffer_.max_size())),
        asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    buffer_.commit(got);
  }
  arm(server_->options.header_seconds);
  co_await http::async_read_header(socket_, buffer_, parser,
                                   asio::redirect_error(asio::use_awaitable, error));
  const bool answerable = !error || error.category() == make_error_code(http::error::header_limit).category();
  co_return answerable&& error != http::error::end_of_stream&& error != http::error::partial_message;
}

// Piece by piece, so that slow clients hold only what they have sent. `lost`: nobody to answer.
asio::awaitable<std::optional<HttpResponse>> Connection::read_body(Parser& parser, HttpRequest& request,
                                                                   bool& lost) {
  error_code error;
  std::size_t counted = 0;
  std::optional<HttpResponse> refusal;
  arm(server_->options.body_seconds);
  while (!error && !refusal && !parser.is_done()) {
    co_await http::async_read_some(socket_, buffer_, parser,
                                   asio::redirect_error(asio::use_awaitable, error));
    const std::size_t size = parser.get().body().size();
    server_->body_bytes += size - counted;
    counted = size;
    if (server_->body_bytes > server_->options.max_body_bytes_together) {
      ApiError busy(503, "too many requests are being read at once", "", "overloaded");
      busy.retry_after_seconds = 1;
      refusal = error_response(busy);
    }
  }
  server_->body_bytes -= counted;
  if (error == asio::error::operation_aborted && !gone_) {
    refusal = error_response(
        {408,
         fmt::format("the request's body did not arrive within {} seconds", server_->options.body_seconds),
         "", "timeout"});
  } else if (error) {
    lost = gone_ || error.category() != make_error_code(http::error::body_limit).category();
    refusal = unreadable(error, server_->options);
  }
  request.body = std::move(parser.get().body());
  co_return refusal;
}

asio::awaitable<bool> Connection::write(const std::string& text) {
  error_code error;
  arm(server_->options.write_seconds);
  co_await asio::async_write(socket_, asio::buffer(text), asio::redirect_error(asio::use_awaitable, error));
  deadline_.cancel();
  co_return !error && !gone_;
}

// True: the connection may carry another request.
asio::awaitable<bool> Connection::serve_one() {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(server_->options.max_header_bytes));
  parser.body_limit(server_->options.max_body_bytes);
  error_code error;
  const bool answerable = co_await read_head(parser, error);
  if (!answerable) co_return false;
  const Clock::time_point begin = Clock::now();
  HttpRequest request;
  std::optional<HttpResponse> refusal;
  if (error) {
    refusal = unreadable(error, server_->options);
  } else {
    request = head_of(parser);
    refusal = refuse_malformed(request, static_cast<int>(parser.get().version()));
    if (!refusal) refusal = server_->handler->refuse(request);
  }
  if (!refusal && !parser.is_done()) {
    if (to_lower_ascii(request.header("expect")) == "100-continue") {
      const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      const bool sent = co_await write(go_on);
      if (!sent) co_return false;
    }
    bool lost = false;
    refusal = co_await read_body(parser, request, lost);
    if (lost) co_return false;
  }
  deadline_.cancel();
  unread_ = error || !parser.is_done();
  Framing framing{.keep_alive = !error && parser.is_done() && parser.keep_alive() && !server_->stopping,
                  .chunked = !error && parser.get().version() >= 11,
                  .without_body = request.method == "HEAD"};
  const auto exchange = std::make_shared<Exchange>(std::move(request));
  exchange_ = exchange;
  if (refusal) {
    exchange->respond(*std::move(refusal));
  } else {
    start(exchange);
  }
  const int status = co_await send_answer(exchange, framing);
  exchange_ = nullptr;
  server_->handler->answered(exchange->request(), status, seconds_since(begin));
  co_return status != 0 && framing.keep_alive;
}

void Connection::start(const std::shared_ptr<Exchange>& exchange) {
  // The server is held, not the connection: what makes the text may outlive both.
  exchange->on_output([server = server_->shared_from_this(), self = weak_from_this()] {
    asio::post(server->io, [self] {
      if (const auto connection = self.lock()) connection->wake_.cancel();
    });
  });
  watch(exchange);
  HttpHandler& handler = *server_->handler;
  if (handler.is_light(exchange->request())) return handle_safely(handler, exchange);
  asio::post(server_->pool, [&handler, exchange] { handle_safely(handler, exchange); });
}

// A client that closes the connection while it waits is gone: what it asked for need not be made. Bytes of a
// next request end the watch; then writing will tell.
void Connection::watch(const std::shared_ptr<Exchange>& exchange) {
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this(), exchange](const error_code& error) {
    if (error || self->exchange_ != exchange) return;
    char byte = 0;
    const ssize_t got = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EAGAIN)) return;
    self->gone_ = true;
    exchange->abandon();
    self->wake_.cancel();
  });
}

// Sends what there is until the end. Returns the status; 0 when the client went away.
asio::awaitable<int> Connection::send_answer(const std::shared_ptr<Exchange>& exchange, Framing framing) {
  int status = 0;
  bool ended = false;
  while (!ended) {
    const Exchange::Output output = exchange->take();
    ended = output.ended;
    if (output.head) {
      status = output.head->status;
      if (output.streams && !framing.chunked) framing.keep_alive = false;
    }
    const std::string text = gone_ || exchange->abandoned() ? std::string() : wire_text(output, framing);
    if (!text.empty()) {
      const bool sent = co_await write(text);
      gone_ = gone_ || !sent;
    } else if (!ended && !gone_ && !exchange->abandoned()) {
      error_code ignored;
      wake_.expires_at(Clock::time_point::max());
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (gone_ || exchange->abandoned()) {
      gone_ = true;
      exchange->abandon();
      status = 0;
      break;
    }
  }
  exchange->on_output(nullptr);
  error_code ignored;
  socket_.cancel(ignored);  // the watch
  co_return status;
}

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
    accept_pause.expires_after(kAcceptPause);
    co_await accept_pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
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
  connections.insert(connection.get());
  connection_count = connections.size();
  asio::co_spawn(io, [connection] { return connection->run(); }, asio::detached);
}

// When all places are taken, the connection that has been sending its request (or nothing) for longest goes:
// slow clients cannot lock the others out. False when every one of them is being answered.
bool Server::make_room() {
  if (connections.size() < options.max_connections) return true;
  Connection* oldest = nullptr;
  for (Connection* connection : connections) {
    if (connection->reading() && (oldest == nullptr || connection->since() < oldest->since())) {
      oldest = connection;
    }
  }
  if (oldest == nullptr) return false;
  oldest->close_now();
  remove(oldest);
  return true;
}

void Server::remove(Connection* connection) {
  connections.erase(connection);
  connection_count = connections.size();
  if (!stopping || !connections.empty()) return;
  drain_timer.cancel();
  error_code ignored;
  signals.cancel(ignored);
}

void Server::begin_stop() {
  if (stopping.exchange(true)) return close_all();
  error_code ignored;
  acceptor.close(ignored);
  accept_pause.cancel();
  for (Connection* connection : connections) {
    if (connection->reading()) connection->close_now();
  }
  drain_timer.expires_after(as_duration(options.drain_seconds));
  drain_timer.async_wait([this](const error_code& error) {
    if (!error) close_all();
  });
  if (connections.empty()) remove(nullptr);
}

void Server::close_all() {
  for (Connection* connection : connections) connection->close_now();
}

void Server::wait_for_signal() {
  signals.async_wait([this](const error_code& error, int /*signal*/) {
    if (error) return;
    begin_stop();
    if (!connections.empty()) wait_for_signal();
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
