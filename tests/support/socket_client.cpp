#include "support/socket_client.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace tessera::testing {
namespace {

void read_head(const std::string& head, WireAnswer& answer) {
  answer.status = std::stoi(head.substr(head.find(' ') + 1));
  std::size_t line = head.find("\r\n");
  while (line != std::string::npos && line + 2 < head.size()) {
    const std::size_t end = head.find("\r\n", line + 2);
    const std::string text = head.substr(line + 2, end == std::string::npos ? end : end - line - 2);
    const std::size_t colon = text.find(": ");
    if (colon != std::string::npos) {
      std::string name = text.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      });
      answer.headers[name] = text.substr(colon + 2);
    }
    line = end;
  }
}

}  // namespace

SocketClient::SocketClient(std::uint16_t port) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ < 0 || ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close();
    throw std::runtime_error("cannot connect to the server");
  }
}

void SocketClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

bool SocketClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool SocketClient::fill(double seconds) {
  pollfd waiting{socket_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(seconds * 1000)) <= 0) return false;
  char bytes[16384];
  const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

WireAnswer SocketClient::receive(double seconds) {
  WireAnswer answer;
  while (buffer_.find("\r\n\r\n") == std::string::npos) {
    if (!fill(seconds)) return answer;
  }
  const std::size_t end = buffer_.find("\r\n\r\n");
  read_head(buffer_.substr(0, end), answer);
  buffer_.erase(0, end + 4);
  if (answer.headers.contains("content-length")) {
    const std::size_t length = std::stoul(answer.headers["content-length"]);
    while (buffer_.size() < length && fill(seconds)) {
    }
    answer.body = buffer_.substr(0, length);
    answer.complete = buffer_.size() >= length;
    buffer_.erase(0, length);
    return answer;
  }
  if (!answer.headers.contains("transfer-encoding")) {
    answer.complete = true;
    return answer;
  }
  while (true) {
    while (buffer_.find("\r\n") == std::string::npos) {
      if (!fill(seconds)) return answer;
    }
    const std::size_t line = buffer_.find("\r\n");
    const std::size_t length = std::stoul(buffer_.substr(0, line), nullptr, 16);
    while (buffer_.size() < line + 4 + length) {
      if (!fill(seconds)) return answer;
    }
    answer.body += buffer_.substr(line + 2, length);
    buffer_.erase(0, line + 4 + length);
    if (length == 0) break;
  }
  answer.complete = true;
  return answer;
}

std::string SocketClient::receive_until(std::string_view text, double seconds) {
  while (buffer_.find(text) == std::string::npos && fill(seconds)) {
  }
  return buffer_;
}

bool SocketClient::closed_within(double seconds) {
  pollfd waiting{socket_, POLLIN, 0};
  while (::poll(&waiting, 1, static_cast<int>(seconds * 1000)) > 0) {
    char bytes[4096];
    if (::recv(socket_, bytes, sizeof bytes, 0) <= 0) return true;
  }
  return false;
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view more_headers) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}", method, path, more_headers);
  if (!body.empty())
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  return text + "\r\n" + std::string(body);
}

WireAnswer ask(std::uint16_t port, std::string_view method, std::string_view path, std::string_view body,
               std::string_view more_headers) {
  SocketClient client(port);
  client.send(http_request(method, path, body, more_headers));
  return client.receive();
}

}  // namespace tessera::testing
