// A client that sends exactly the bytes it is told, for tests of a server.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tessera::testing {

struct WireAnswer {
  int status = 0;                              // 0: the connection ended, or nothing came in time
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks put together
  bool complete = false;                       // its length or last chunk was reached
};

class SocketClient {
 public:
  // Connects to 127.0.0.1; std::runtime_error when nobody listens.
  explicit SocketClient(std::uint16_t port);
  ~SocketClient() { close(); }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;

  // False: the other side has closed.
  bool send(std::string_view bytes);
  // Reads one answer; waits at most so long for more bytes.
  WireAnswer receive(double seconds = 120);
  // Bytes until `text` has come; what came, in any case.
  std::string receive_until(std::string_view text, double seconds = 120);
  // True when the other side closes within the time.
  bool closed_within(double seconds);
  void close();

 private:
  bool fill(double seconds);

  int socket_ = -1;
  std::string buffer_;
};

// The text of a request; a body brings its length and the type application/json.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view more_headers = {});
// Connects, asks, closes.
WireAnswer ask(std::uint16_t port, std::string_view method, std::string_view path, std::string_view body = {},
               std::string_view more_headers = {});

}  // namespace tessera::testing
