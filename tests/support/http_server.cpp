#include "support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <stdexcept>

namespace tessera::testing {
namespace {

bool send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

HttpRequest parse(const std::string& head) {
  HttpRequest request;
  const std::size_t first = head.find(' ');
  request.path = head.substr(first + 1, head.find(' ', first + 1) - first - 1);
  std::size_t line = head.find("\r\n");
  while (line != std::string::npos && line + 2 < head.size()) {
    const std::size_t end = head.find("\r\n", line + 2);
    const std::string text = head.substr(line + 2, end == std::string::npos ? end : end - line - 2);
    const std::size_t colon = text.find(": ");
    if (colon != std::string::npos) {
      std::string name = text.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
      request.headers[name] = text.substr(colon + 2);
    }
    line = end;
  }
  return request;
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (listener_ < 0 || ::bind(listener_, generic, length) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    throw std::runtime_error("cannot listen on the loopback interface");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::accept_all() {
  while (!stopping_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) connections_.emplace_back([this, connection] { serve(connection); });
  }
}

void HttpServer::serve(int connection) {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n") && head.size() < 65536 && ::recv(connection, &byte, 1, 0) == 1)
    head += byte;
  if (head.ends_with("\r\n\r\n")) {
    const HttpRequest request = parse(head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const HttpAnswer answer = handler_(request);
    std::string start = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\nConnection: close\r\n";
    for (const auto& [name, value] : answer.headers) start += name + ": " + value + "\r\n";
    start += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n";
    const std::string_view body = std::string_view(answer.body).substr(0, answer.cut_after);
    bool open = send_all(connection, start);
    const std::size_t piece = answer.bytes_per_millisecond == 0 ? 65536 : answer.bytes_per_millisecond * 10;
    for (std::size_t at = 0; open && at < body.size() && !stopping_; at += piece) {
      open = send_all(connection, body.substr(at, piece));
      if (answer.bytes_per_millisecond != 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  ::shutdown(connection, SHUT_RDWR);
  ::close(connection);
}

}  // namespace tessera::testing
