#include "serve/http_connection.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
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
using Clock = Connection::Clock;
using Parser = http::request_parser<http::string_body>;

constexpr std::size_t kReadBytes = 16384;
constexpr double kLingerSeconds = 2;

Clock::duration as_duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
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

}  // namespace

// The request being read, and what is wrong with it.
class Connection::RequestReader {
 public:
  explicit RequestReader(const HttpServerOptions& options) {
    parser.header_limit(static_cast<std::uint32_t>(options.max_header_bytes));
    parser.body_limit(options.max_body_bytes);
  }
  int version() const { return static_cast<int>(parser.get().version()); }

  Parser parser;
  HttpRequest request;
  error_code error;                          // of the head
  std::optional<HttpResponse> refusal = {};  // instead of an answer
};

Connection::Connection(ConnectionHost& host, Socket socket)
    : host_(&host),
      socket_(std::move(socket)),
      deadline_(host.io),
      wake_(host.io),
      buffer_(host.options.max_header_bytes + kReadBytes) {}

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
  while (open && !gone_) {  // while the server stops, no answer keeps its connection
    since_ = Clock::now();
    open = co_await serve_one();
    first_ = false;
  }
  if (unread_ && !gone_ && socket_.is_open()) co_await linger();
  deadline_.cancel();
  error_code ignored;
  socket_.close(ignored);
  host_->connection_ended(this);
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
asio::awaitable<bool> Connection::read_head(RequestReader& reader) {
  error_code& error = reader.error;
  if (buffer_.size() == 0) {
    arm(first_ ? host_->options.header_seconds : host_->options.idle_seconds);
    const std::size_t got = co_await socket_.async_read_some(
        buffer_.prepare(std::min<std::size_t>(kReadBytes, buffer_.max_size())),
        asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    buffer_.commit(got);
  }
  arm(host_->options.header_seconds);
  co_await http::async_read_header(socket_, buffer_, reader.parser,
                                   asio::redirect_error(asio::use_awaitable, error));
  const bool answerable = !error || error.category() == make_error_code(http::error::header_limit).category();
  if (!answerable || error == http::error::end_of_stream || error == http::error::partial_message) {
    co_return false;
  }
  if (error) {
    reader.refusal = unreadable(error, host_->options);
    co_return true;
  }
  reader.request = head_of(reader.parser);
  reader.refusal = refuse_malformed(reader.request, reader.version());
  if (!reader.refusal) reader.refusal = host_->handler->refuse(reader.request);
  co_return true;
}

// Piece by piece, so that slow clients hold only what they have sent. False: nobody to answer.
asio::awaitable<bool> Connection::read_body(RequestReader& reader) {
  if (to_lower_ascii(reader.request.header("expect")) == "100-continue") {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool sent = co_await write(go_on);
    if (!sent) co_return false;
  }
  const HttpServerOptions& options = host_->options;
  error_code error;
  std::size_t counted = 0;
  arm(options.body_seconds);
  while (!error && !reader.refusal && !reader.parser.is_done()) {
    co_await http::async_read_some(socket_, buffer_, reader.parser,
                                   asio::redirect_error(asio::use_awaitable, error));
    const std::size_t size = reader.parser.get().body().size();
    host_->body_bytes += size - counted;
    counted = size;
    if (host_->body_bytes > options.max_body_bytes_together) {
      ApiError busy(503, "too many requests are being read at once", "", "overloaded");
      busy.retry_after_seconds = 1;
      reader.refusal = error_response(busy);
    }
  }
  host_->body_bytes -= counted;
  if (error == asio::error::operation_aborted && !gone_) {
    reader.refusal = error_response(
        {408, fmt::format("the request's body did not arrive within {} seconds", options.body_seconds), "",
         "timeout"});
  } else if (error) {
    if (gone_ || error.category() != make_error_code(http::error::body_limit).category()) co_return false;
    reader.refusal = unreadable(error, options);
  }
  reader.request.body = std::move(reader.parser.get().body());
  co_return true;
}

asio::awaitable<bool> Connection::write(const std::string& text) {
  error_code error;
  arm(host_->options.write_seconds);
  co_await asio::async_write(socket_, asio::buffer(text), asio::redirect_error(asio::use_awaitable, error));
  deadline_.cancel();
  co_return !error && !gone_;
}

// True: the connection may carry another request.
asio::awaitable<bool> Connection::serve_one() {
  RequestReader reader(host_->options);
  const bool answerable = co_await read_head(reader);
  if (!answerable) co_return false;
  const Clock::time_point begin = Clock::now();
  if (!reader.refusal && !reader.parser.is_done()) {
    const bool arrived = co_await read_body(reader);
    if (!arrived) co_return false;
  }
  deadline_.cancel();
  unread_ = reader.error || !reader.parser.is_done();
  const Framing framing{.keep_alive = !unread_ && reader.parser.keep_alive() && !host_->stopping,
                        .chunked = !reader.error && reader.version() >= 11,
                        .without_body = reader.request.method == "HEAD"};
  const auto exchange = std::make_shared<Exchange>(std::move(reader.request));
  exchange_ = exchange;
  host_->answer_begins();
  if (reader.refusal) {
    exchange->respond(*std::move(reader.refusal));
  } else {
    start(exchange);
  }
  const int status = co_await send_answer(exchange, framing);
  exchange_ = nullptr;
  host_->handler->answered(exchange->request(), status, seconds_since(begin));
  host_->answer_ended();
  co_return status != 0 && framing.keep_alive;
}

void Connection::start(const std::shared_ptr<Exchange>& exchange) {
  // The server is held, not the connection: what makes the text may outlive both.
  exchange->on_output([server = host_->shared_from_this(), self = weak_from_this()] {
    asio::post(server->io, [self] {
      if (const auto connection = self.lock()) connection->wake_.cancel();
    });
  });
  watch(exchange);
  HttpHandler& handler = *host_->handler;
  if (handler.is_light(exchange->request())) return handle_safely(handler, exchange);
  asio::post(host_->pool, [&handler, exchange] { handle_safely(handler, exchange); });
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

// True: the client is there, and there may be something to send.
asio::awaitable<bool> Connection::wait_for_output(Exchange& exchange) {
  const double patience = exchange.keep_alive_seconds();
  error_code interrupted;
  wake_.expires_at(patience > 0 ? Clock::now() + as_duration(patience) : Clock::time_point::max());
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, interrupted));
  if (!interrupted) exchange.send_keep_alive();
  co_return !gone_;
}

// Sends what there is until the end. Returns the status; 0 when the client went away.
asio::awaitable<int> Connection::send_answer(std::shared_ptr<Exchange> exchange, Framing framing) {
  int status = 0;
  for (bool ended = false; !ended && !gone_;) {
    const Exchange::Output output = exchange->take();
    ended = output.ended;
    if (output.head) {
      status = output.head->status;
      if (output.streams && !framing.chunked) framing.keep_alive = false;
    }
    const std::string text = exchange->abandoned() ? std::string() : wire_text(output, framing);
    bool there = !exchange->abandoned();
    if (there && !text.empty()) {
      there = co_await write(text);
    } else if (there && !ended) {
      there = co_await wait_for_output(*exchange);
    }
    gone_ = gone_ || !there || exchange->abandoned();
  }
  if (gone_) {
    exchange->abandon();
    status = 0;
  }
  exchange->on_output(nullptr);
  error_code ignored;
  socket_.cancel(ignored);  // the watch
  co_return status;
}

}  // namespace tessera::serve
