// One request on its way to an answer: whoever answers writes from any thread, the connection sends what
// there is, and each learns when the other has gone.
#pragma once
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "serve/http_message.h"

namespace tessera::serve {

class Exchange {
 public:
  explicit Exchange(HttpRequest request) : request_(std::move(request)) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const HttpRequest& request() const { return request_; }

  // Go with the answer's head, whoever writes it. Before the answer.
  void add_headers(const HttpHeaders& headers);

  // The answering side. Exactly one of respond() and begin_stream(); what comes after the end is ignored.
  void respond(HttpResponse response);
  // The body follows by write() until end(); sent in HTTP chunks.
  void begin_stream(HttpResponse head);
  void write(std::string_view bytes);
  void end();
  // Whenever nothing has been written for so long, `bytes` are sent, so that neither the client nor a proxy
  // gives up; a stream that has not begun then begins with `head`.
  void keep_alive(double seconds, HttpResponse head, std::string bytes);
  // `call` runs once, in any thread, when the client has gone away before the end; now, if it has already.
  void on_abandoned(std::function<void()> call);
  bool abandoned() const;

  // The sending side.
  struct Output {
    std::optional<HttpResponse> head = {};  // once
    bool streams = false;
    std::string bytes = {};
    bool ended = false;
  };
  // What came since the last call.
  Output take();
  // Runs, in any thread, after anything came.
  void on_output(std::function<void()> call);
  // After so many seconds without output send_keep_alive() is due; 0: never.
  double keep_alive_seconds() const;
  void send_keep_alive();
  // Nobody reads any more.
  void abandon();

  // For keep_alive(): soon enough for proxies, which wait for 30 s or a minute.
  static constexpr double kKeepAliveSeconds = 10;

  // A client that reads more slowly than the text is made may fall back so far; then it is given up.
  static constexpr std::size_t kMostWaitingBytes = std::size_t{32} << 20;

 private:
  void begin(HttpResponse head);
  void notify();

  const HttpRequest request_;
  mutable std::mutex mutex_;
  Output output_;
  HttpHeaders headers_;
  bool begun_ = false;
  bool ended_ = false;
  bool abandoned_ = false;
  double keep_alive_seconds_ = 0;
  HttpResponse keep_alive_head_;
  std::string keep_alive_bytes_;
  std::function<void()> on_abandoned_;
  std::function<void()> on_output_;
};

}  // namespace tessera::serve
