// The sockets: framing, limits, deadlines, disconnects and stopping, with a handler that only echoes.
#include "serve/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "running_server.h"
#include "support/error_of.h"
#include "support/socket_client.h"

namespace tessera::serve {
namespace {

using tessera::testing::ask;
using tessera::testing::http_request;
using tessera::testing::SocketClient;
using ::testing::HasSubstr;
using testing::RunningServer;

class EchoHandler final : public HttpHandler {
 public:
  std::optional<HttpResponse> refuse(HttpRequest& request) override {
    if (request.path == "/refused") return HttpResponse{.status = 403, .body = "no"};
    return std::nullopt;
  }
  bool is_light(const HttpRequest& request) const override { return request.path == "/light"; }
  void handle(std::shared_ptr<Exchange> exchange) override {
    const HttpRequest& request = exchange->request();
    if (request.path == "/nothing") return exchange->respond({.status = 204, .content_type = "", .body = ""});
    if (request.path == "/throw") throw std::runtime_error("a secret");
    if (request.path == "/stream") {
      exchange->begin_stream({.content_type = "text/plain"});
      for (const char* part : {"one ", "two ", "three"}) exchange->write(part);
      return exchange->end();
    }
    if (request.path == "/hang") {
      exchange->on_abandoned([this] { ++abandoned; });
      held.set_value(exchange);
      return;
    }
    exchange->respond(
        {.body = request.method + " " + request.path + "?" + request.query + " " + request.body});
  }
  void answered(const HttpRequest& /*request*/, int status, double /*seconds*/) override {
    last_status = status;
  }

  void draining() override { drains = true; }

  std::atomic<bool> drains{false};
  std::atomic<int> abandoned{0};
  std::atomic<int> last_status{-1};
  std::promise<std::shared_ptr<Exchange>> held;
};

void wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(condition());
}

// RFC 9110 8.6: a 204 must not have one; and the connection goes on behind it.
TEST(HttpServer, AnAnswerWithoutContentHasNoLength) {
  EchoHandler handler;
  RunningServer server(handler);
  SocketClient client(server.port());
  client.send(http_request("DELETE", "/nothing") + http_request("GET", "/a"));
  const auto nothing = client.receive();
  EXPECT_EQ(nothing.status, 204);
  EXPECT_FALSE(nothing.headers.contains("content-length"));
  EXPECT_EQ(client.receive().body, "GET /a? ");
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  EchoHandler handler;
  RunningServer server(handler);
  SocketClient client(server.port());
  client.send(http_request("GET", "/a?x=1") + http_request("POST", "/b", "{}"));  // pipelined
  EXPECT_EQ(client.receive().body, "GET /a?x=1 ");
  EXPECT_EQ(client.receive().body, "POST /b? {}");
  client.send("HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive_until("\r\n\r\n"), HasSubstr("200 OK"));
}

TEST(HttpServer, StreamsInChunksAndClosesForOldClients) {
  EchoHandler handler;
  RunningServer server(handler);
  const auto answer = ask(server.port(), "GET", "/stream");
  EXPECT_EQ(answer.headers.at("transfer-encoding"), "chunked");
  EXPECT_EQ(answer.body, "one two three");
  EXPECT_TRUE(answer.complete);
  SocketClient old(server.port());
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  const std::string text = old.receive_until("three");
  EXPECT_THAT(text, HasSubstr("\r\n\r\none two three"));
  EXPECT_TRUE(old.closed_within(60));
}

TEST(HttpServer, RequestBodiesMayComeInChunksAndAfter100Continue) {
  EchoHandler handler;
  RunningServer server(handler);
  SocketClient client(server.port());
  client.send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.receive_until("\r\n\r\n"), HasSubstr("100 Continue"));
  EXPECT_EQ(client.receive().status, 100);
  client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.receive().body, "POST /c? abcde");
}

TEST(HttpServer, LimitsHeadsAndBodies) {
  EchoHandler handler;
  RunningServer server(handler, {.max_header_bytes = 1024, .max_body_bytes = 1000});
  EXPECT_EQ(ask(server.port(), "GET", "/", "", "X-Long: " + std::string(5000, 'x') + "\r\n").status, 431);
  EXPECT_EQ(ask(server.port(), "POST", "/", std::string(1001, 'x')).status, 413);
  EXPECT_EQ(ask(server.port(), "POST", "/", std::string(1000, 'x')).status, 200);
  SocketClient chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
               std::string(1001, 'x') + "\r\n0\r\n\r\n");
  const auto answer = chunked.receive();
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("\"error\""));
}

TEST(HttpServer, BodiesTogetherAreBounded) {
  EchoHandler handler;
  RunningServer server(handler, {.max_body_bytes_together = 500});
  const auto answer = ask(server.port(), "POST", "/", std::string(600, 'x'));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(ask(server.port(), "POST", "/", std::string(400, 'x')).status, 200);  // given back
}

TEST(HttpServer, MalformedRequestsGet400) {
  EchoHandler handler;
  RunningServer server(handler);
  for (const char* text :
       {"nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    SocketClient client(server.port());
    client.send(text);
    EXPECT_EQ(client.receive().status, 400) << text;
    EXPECT_TRUE(client.closed_within(60)) << text;
  }
  SocketClient client(server.port());  // well-formed, but wrong: the connection can go on
  for (const char* text : {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                           "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    client.send(text);
    EXPECT_EQ(client.receive().status, 400) << text;
  }
}

TEST(HttpServer, ARefusalComesBeforeTheBodyIsRead) {
  EchoHandler handler;
  RunningServer server(handler);
  SocketClient client(server.port());
  client.send("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(client.receive().status, 403);
  EXPECT_TRUE(client.closed_within(60));
}

TEST(HttpServer, AnExceptionIs500AndTellsNothing) {
  EchoHandler handler;
  RunningServer server(handler);
  const auto answer = ask(server.port(), "GET", "/throw");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, ::testing::Not(HasSubstr("secret")));
}

TEST(HttpServer, ADisconnectIsToldToWhoeverAnswers) {
  EchoHandler handler;
  RunningServer server(handler);
  auto held = handler.held.get_future();
  SocketClient client(server.port());
  client.send(http_request("GET", "/hang"));
  const auto exchange = held.get();
  EXPECT_EQ(handler.abandoned, 0);
  client.close();
  wait_for([&] { return handler.abandoned == 1 && handler.last_status == 0; });
  exchange->respond({.body = "too late"});
  EXPECT_EQ(ask(server.port(), "GET", "/").status, 200);
}

// B1 of the reliability list, at a size for every build: the slow ones are many more than the threads.
TEST(HttpServer, SlowClientsNeitherBlockOthersNorStay) {
  EchoHandler handler;
  RunningServer server(handler, {.header_seconds = 2.0, .body_seconds = 2.0});
  std::vector<std::unique_ptr<SocketClient>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<SocketClient>(server.port()));
    const char* part[] = {"", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"};
    slow.back()->send(part[i % 3]);
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ask(server.port(), "GET", "/light").status, 200);
    EXPECT_EQ(ask(server.port(), "POST", "/b", "{}").status, 200);
  }
  // A byte now and then does not help: the deadline is for the whole.
  for (const auto& client : slow) EXPECT_TRUE(client->closed_within(60));
  EXPECT_EQ(ask(server.port(), "GET", "/light").status, 200);
  wait_for([&] { return server.server().connections() <= 1; });
}

TEST(HttpServer, WhenAllPlacesAreTakenTheSlowestGoes) {
  EchoHandler handler;
  RunningServer server(handler, {.max_connections = 3, .header_seconds = 60});
  SocketClient first(server.port());
  wait_for([&] { return server.server().connections() == 1; });
  SocketClient second(server.port());
  SocketClient third(server.port());
  wait_for([&] { return server.server().connections() == 3; });
  EXPECT_EQ(ask(server.port(), "GET", "/light").status, 200);
  EXPECT_TRUE(first.closed_within(60));
  second.send(http_request("GET", "/light"));
  EXPECT_EQ(second.receive().status, 200);
}

TEST(HttpServer, StoppingFinishesWhatIsUnderWay) {
  EchoHandler handler;
  RunningServer server(handler);
  auto held = handler.held.get_future();
  SocketClient busy(server.port());
  busy.send(http_request("GET", "/hang"));
  SocketClient idle(server.port());
  const auto exchange = held.get();
  wait_for([&] { return server.server().connections() == 2; });
  server.server().stop();
  EXPECT_TRUE(idle.closed_within(60));
  EXPECT_TRUE(handler.drains);
  SocketClient watching(server.port());  // a load balancer still gets its answers, one a connection
  watching.send(http_request("GET", "/light"));
  EXPECT_EQ(watching.receive().headers.at("connection"), "close");
  EXPECT_TRUE(watching.closed_within(60));
  exchange->respond({.body = "done"});
  EXPECT_EQ(busy.receive().body, "done");
  const std::uint16_t port = server.port();
  server.wait();
  EXPECT_THROW(SocketClient{port}, std::runtime_error);
}

TEST(HttpServer, ASilentAnswerIsKeptAlive) {
  EchoHandler handler;
  RunningServer server(handler);
  auto held = handler.held.get_future();
  SocketClient client(server.port());
  client.send(http_request("GET", "/hang"));
  const auto exchange = held.get();
  exchange->keep_alive(0.02, {.content_type = "text/event-stream"}, ": still here\n\n");
  const std::string begin = client.receive_until(": still here\n\n\r\n");
  EXPECT_THAT(begin, HasSubstr("200 OK"));
  EXPECT_THAT(begin, HasSubstr("text/event-stream"));
  EXPECT_THAT(client.receive_until(": still here"), HasSubstr(": still here"));  // again and again
  exchange->write("data: x\n\n");
  exchange->end();
  EXPECT_THAT(client.receive_until("0\r\n\r\n"), HasSubstr("data: x"));
}

TEST(HttpServer, ASecondStopGivesUpAtOnce) {
  EchoHandler handler;
  RunningServer server(handler);
  auto held = handler.held.get_future();
  SocketClient busy(server.port());
  busy.send(http_request("GET", "/hang"));
  held.get();
  server.stop_now();
  EXPECT_EQ(handler.abandoned, 1);
}

TEST(HttpServer, ATakenPortAndAHostThatIsNoneAreErrors) {
  EchoHandler handler;
  RunningServer server(handler);
  EXPECT_THAT(tessera::testing::error_of([&] { HttpServer({.port = server.port()}, handler); }),
              HasSubstr("--port chooses another"));
  EXPECT_THAT(tessera::testing::error_of([&] { HttpServer({.host = "no such host"}, handler); }),
              HasSubstr("expected an address"));
}

}  // namespace
}  // namespace tessera::serve
