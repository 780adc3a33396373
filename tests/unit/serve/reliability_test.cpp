// The reliability list, B and C: overload, disconnects, a pool that is too small, strangers' words. At sizes
// for every build; ./run-tests --slow takes the full ones.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <random>
#include <thread>

#include "copying_model.h"
#include "running_server.h"
#include "serve/json_fields.h"
#include "support/socket_client.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using tessera::testing::ask;
using tessera::testing::http_request;
using tessera::testing::SocketClient;
using testing::canary;
using testing::canary_answer;
using testing::RunningServer;

constexpr std::int64_t kContext = 256;

bool slow() { return std::getenv("TESSERA_SLOW_TESTS") != nullptr; }

void wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(condition());
}

// A server on the copying model, whose pool holds `pool` contexts.
class CopyingServer {
 public:
  explicit CopyingServer(std::int64_t pool, std::int64_t queue = 256, std::int64_t parallel = 16,
                         HttpServerOptions http = {}, ServiceOptions access = {})
      : backend(testing::copying_model(kContext), options(pool, queue, parallel)),
        service(testing::served_by(backend), access),
        server(service, http) {}
  ~CopyingServer() {
    server.stop_now();
    backend.stop();
  }

  std::uint16_t port() const { return server.port(); }
  void expect_nothing_held() {
    wait_for([&] {
      const BackendStatistics now = backend.statistics();
      return now.running == 0 && now.waiting == 0 && now.cache_used_tokens == 0;
    });
  }

  EngineBackend backend;
  Service service;
  RunningServer server;

 private:
  static EngineBackendOptions options(std::int64_t pool, std::int64_t queue, std::int64_t parallel) {
    EngineBackendOptions options = testing::toy_options(kContext, queue, parallel);
    options.engine.cache_tokens = pool * kContext;
    return options;
  }
};

const std::string kSystem = "Everybody's prompt begins with these very words, block for block. ";

std::string completion_body(int session, std::int64_t tokens, bool stream = false, int n = 1) {
  return Json{{"prompt", kSystem + canary(session)},
              {"max_tokens", tokens},
              {"stream", stream},
              {"n", n},
              {"ignore_eos", true}}
      .dump();
}

// B1. The full size takes a minute; the small one is HttpServer.SlowClientsNeitherBlockOthersNorStay.
TEST(Reliability, B1TwoThousandSlowConnectionsForAMinute) {
  if (!slow()) GTEST_SKIP() << "slow: ./run-tests --slow runs it";
  CopyingServer server(4, 256, 16, {.header_seconds = 5, .body_seconds = 5});
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::vector<std::unique_ptr<SocketClient>> slow_ones(2000);
  std::vector<double> seconds;
  for (std::size_t next = 0; std::chrono::steady_clock::now() < end; ++next) {
    for (int i = 0; i < 100; ++i) {
      auto& client = slow_ones[(next * 100 + static_cast<std::size_t>(i)) % slow_ones.size()];
      client = std::make_unique<SocketClient>(server.port());
      const char* part[] = {"", "GET / HT",
                            "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"};
      client->send(part[i % 3]);
    }
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(ask(server.port(), "GET", "/health").status, 200);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", completion_body(1, 5)).status, 200);
  }
  ASSERT_GT(seconds.size(), 100U);
  std::ranges::sort(seconds);
  EXPECT_LT(seconds[seconds.size() * 99 / 100], 0.1);
}

double resident_megabytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// B2: more ask than can be served. Each gets an answer or a 429 that says when to come again; the queue stays
// as long as it may. The full size takes ten minutes, in which memory must stay what it was.
TEST(Reliability, B2OverloadIsRefusedAndNothingElseSuffers) {
  constexpr std::int64_t kQueue = 4;
  constexpr std::int64_t kParallel = 2;
  CopyingServer server(2, kQueue, kParallel);
  const auto begin = std::chrono::steady_clock::now();
  const auto minutes = slow() ? std::chrono::minutes(10) : std::chrono::minutes(0);
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::atomic<int> refused{0};
  std::mutex mutex;
  std::vector<double> refusal_seconds;
  double warm_megabytes = 0;
  std::atomic<bool> over{false};
  std::int64_t longest = 0;
  std::thread watch([&] {
    while (!over) {
      longest = std::max(longest, server.backend.statistics().waiting);
      const bool is_warm = std::chrono::steady_clock::now() - begin > minutes / 10;
      if (is_warm && warm_megabytes == 0) warm_megabytes = resident_megabytes();
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  std::vector<std::thread> clients;
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, c] {
      for (int round = 0; round < 12 || std::chrono::steady_clock::now() - begin < minutes; ++round) {
        ++asked;
        const auto sent = std::chrono::steady_clock::now();
        const auto answer = ask(server.port(), "POST", "/v1/completions", completion_body(c, 60));
        if (answer.status == 200) {
          ++answered;
          EXPECT_EQ(Json::parse(answer.body)["choices"][0]["text"], canary_answer(c, 60));
        } else {
          ++refused;
          EXPECT_EQ(answer.status, 429) << answer.body;
          const double seconds =
              std::chrono::duration<double>(std::chrono::steady_clock::now() - sent).count();
          const std::lock_guard lock(mutex);
          if (slow()) refusal_seconds.push_back(seconds);
          EXPECT_GE(std::stoi(answer.headers.at("retry-after")), 1);
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  over = true;
  watch.join();
  EXPECT_EQ(answered + refused, asked);
  EXPECT_GT(answered, 0);
  EXPECT_GT(refused, 0);
  // An answer that has a slot in the next pass counts as waiting until then.
  EXPECT_LE(longest, kQueue + kParallel);
  if (slow()) {
    std::ranges::sort(refusal_seconds);
    const double megabytes = resident_megabytes();
    const double kept = static_cast<double>(refusal_seconds.capacity() * sizeof(double)) / (1 << 20);
    fmt::print("{} answers, {} refusals (half within {:.4f} s, 99 % within {:.4f} s), {:.1f} -> {:.1f} MB\n",
               answered.load(), refused.load(), refusal_seconds[refusal_seconds.size() / 2],
               refusal_seconds[refusal_seconds.size() * 99 / 100], warm_megabytes, megabytes);
    EXPECT_LT(refusal_seconds[refusal_seconds.size() / 2], 0.05);
    EXPECT_LT(megabytes, warm_megabytes + kept + 16);
  }
  server.expect_nothing_held();
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", completion_body(1, 5)).status, 200);
}

// C1: clients that go away in every state leave nothing behind.
TEST(Reliability, C1DisconnectsInEveryStateGiveEverythingBack) {
  CopyingServer server(4, 64, 8);
  std::mt19937 random(17);
  const int disconnects = slow() ? 10'000 : 400;
  for (int i = 0; i < disconnects; ++i) {
    SocketClient client(server.port());
    const int session = static_cast<int>(random() % 50);
    const bool stream = random() % 2 == 0;
    const std::string request =
        http_request("POST", "/v1/completions", completion_body(session, 100, stream, 1 + i % 3));
    switch (random() % 7) {
      case 0:  // connected, and gone
        break;
      case 1:  // part of the head
        client.send(request.substr(0, 20));
        break;
      case 2:  // part of the body
        client.send(request.substr(0, request.size() - 10));
        break;
      case 3:  // asked, and gone at once: waiting, or in its prompt
        client.send(request);
        break;
      case 4:  // the same with a pause
        client.send(request);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        break;
      case 5:  // in the middle of a stream
        client.send(http_request("POST", "/v1/completions", completion_body(session, 100, true)));
        client.receive_until("data: {");
        break;
      default:  // after the answer
        client.send(http_request("POST", "/v1/completions", completion_body(session, 10)));
        client.receive();
        break;
    }
    client.close();
    if (i % 100 == 99) server.expect_nothing_held();
  }
  server.expect_nothing_held();
  wait_for([&] { return server.server.server().connections() == 0; });
  EXPECT_EQ(server.backend.statistics().failed, 0);
  const auto answer = ask(server.port(), "POST", "/v1/completions", completion_body(3, 50));
  EXPECT_EQ(Json::parse(answer.body)["choices"][0]["text"], canary_answer(3, 50));
}

// C2: a pool a quarter of what is asked for at a time: everybody gets the text that the request gives alone.
TEST(Reliability, C2APoolOfAQuarterOfTheDemandServesEverybody) {
  const int clients = slow() ? 256 : 32;
  CopyingServer server(4, 1024, 32);
  std::vector<std::unique_ptr<SocketClient>> open;
  for (int c = 0; c < clients; ++c) {
    open.push_back(std::make_unique<SocketClient>(server.port()));
    open.back()->send(http_request("POST", "/v1/completions", completion_body(c, 130)));
  }
  for (int c = 0; c < clients; ++c) {
    const auto answer = open[static_cast<std::size_t>(c)]->receive(120);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(Json::parse(answer.body)["choices"][0]["text"], canary_answer(c, 130));
  }
  EXPECT_GT(server.backend.statistics().preemptions, 0);
  server.expect_nothing_held();
}

// C3: 64 sessions of 8 keys with aborts, preemption and shared prefixes: nobody reads a stranger's words.
TEST(Reliability, C3NoSessionSeesAnothersCanary) {
  CopyingServer server(4);
  std::mt19937 random(5);
  std::mutex mutex;
  struct Session {
    std::string text;
    std::int64_t tokens = 0;
    JobId job = 0;
    bool ended = false;
    bool aborted = false;
  };
  constexpr int kSessions = 64;
  const int rounds = slow() ? 60 : 4;
  std::int64_t aborts = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Session> sessions(kSessions);
    for (int s = 0; s < kSessions; ++s) {
      GenerationJob job;
      job.request.prompt = engine::testing::bytes_of(kSystem + canary(s));
      job.request.sampling.temperature = 0;
      job.request.ignore_end_of_generation = true;
      job.request.speculative.prompt_lookup = random() % 2 == 0;
      job.client = "key-" + std::to_string(s % 8);
      job.priority = static_cast<std::int32_t>(random() % 2);
      Session& session = sessions[static_cast<std::size_t>(s)];
      session.tokens = job.request.max_new_tokens = 20 + static_cast<std::int64_t>(random() % 120);
      session.job = server.backend.submit(job, [&](const GenerationEvent& event) {
        const std::lock_guard lock(mutex);
        for (const auto& piece : event.pieces) session.text += piece.text;
        session.ended = event.result != nullptr;
        session.aborted = session.ended && event.result->finish_reason == engine::FinishReason::cancelled;
        EXPECT_EQ(event.error, "");
      });
      if (random() % 4 == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
        server.backend.cancel(sessions[random() % static_cast<unsigned int>(s + 1)].job);
      }
    }
    wait_for([&] {
      const std::lock_guard lock(mutex);
      return std::ranges::all_of(sessions, &Session::ended);
    });
    for (int s = 0; s < kSessions; ++s) {
      const Session& session = sessions[static_cast<std::size_t>(s)];
      const std::string expected = canary_answer(s, session.tokens);
      if (session.aborted) {
        ++aborts;
        EXPECT_TRUE(expected.starts_with(session.text)) << session.text;
      } else {
        EXPECT_EQ(session.text, expected);
      }
    }
    server.expect_nothing_held();
  }
  const BackendStatistics now = server.backend.statistics();
  EXPECT_GT(now.preemptions, 0);
  EXPECT_GT(now.cached_tokens, 0);
  EXPECT_GT(aborts, 0);
}

// C4: what one key's prompts left in the cache is no other key's to find, nor to guess from the time.
TEST(Reliability, C4PrefixesAreOfOneKeyOnly) {
  ServiceOptions access;
  access.keys.add("the-key-of-ada", "test");
  access.keys.add("the-key-of-bob", "test");
  CopyingServer server(4, 64, 8, {}, access);
  const auto cached = [&](const std::string& key) {
    const auto answer = ask(server.port(), "POST", "/v1/completions", completion_body(1, 2),
                            "Authorization: Bearer the-key-of-" + key + "\r\n");
    return Json::parse(answer.body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<std::int64_t>();
  };
  EXPECT_EQ(cached("ada"), 0);
  EXPECT_GT(cached("ada"), std::ssize(kSystem));
  EXPECT_EQ(cached("bob"), 0);
  EXPECT_GT(cached("bob"), std::ssize(kSystem));
}

}  // namespace
}  // namespace tessera::serve
