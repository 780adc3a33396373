// A server that is killed at random moments while clients write (RELIABILITY D1), and one whose disk fails
// (D4), through the HTTP API: what was acknowledged is there, and the file is whole. 30 moments, 2,000 with
// TESSERA_SLOW_TESTS.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>

#include "running_server.h"
#include "serve/json_fields.h"
#include "support/socket_client.h"
#include "support/test_paths.h"
#include "toy_service.h"
#include "unit/store/fault_vfs.h"

namespace tessera::serve {
namespace {

using tessera::testing::ask;
using tessera::testing::WireAnswer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kServePath = "TESSERA_TEST_SERVE_PATH";

// Not a test: what the processes run that the test below starts and kills.
TEST(KilledServer, DISABLED_ServesUntilItIsKilled) {
  const char* path = std::getenv(kServePath);
  if (path == nullptr)
    GTEST_SKIP() << "run by KilledServer.NothingAcknowledgedIsLost as a process of its own";
  const auto backend = testing::toy_backend();
  ServiceOptions options;
  options.sessions.path = path;
  options.sessions.store.database.pages_between_checkpoints = 20;
  Service service(testing::served_by(*backend), options);
  testing::RunningServer server(service);
  const std::string port = std::to_string(server.port()) + "\n";
  ASSERT_EQ(::write(STDOUT_FILENO, port.data(), port.size()), static_cast<ssize_t>(port.size()));
  ::pause();
}

class ServerProcess {
 public:
  explicit ServerProcess(const std::string& path) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::setenv(kServePath, path.c_str(), 1);
      ::execl("/proc/self/exe", "serve_test", "--gtest_filter=KilledServer.DISABLED_ServesUntilItIsKilled",
              "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    // gtest says a few lines first.
    std::string line;
    for (char byte = 0; ::read(ends[0], &byte, 1) == 1;) {
      line = byte == '\n' ? "" : line + byte;
      if (byte == '\n' && !last_.empty() && last_.find_first_not_of("0123456789") == std::string::npos) break;
      last_ = line;
    }
    output_ = ends[0];
    port_ = static_cast<std::uint16_t>(std::stoi(last_));
  }
  ~ServerProcess() {
    kill();
    int status = 0;
    ::waitpid(child_, &status, 0);
    ::close(output_);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  void kill() const { ::kill(child_, SIGKILL); }
  std::uint16_t port() const { return port_; }

 private:
  pid_t child_ = -1;
  int output_ = -1;
  std::string last_;
  std::uint16_t port_ = 0;
};

// A client that remembers what it was told.
class Witness {
 public:
  explicit Witness(std::uint16_t port, unsigned seed) : port_(port), random_(seed) {}
  // So many steps have been answered.
  void wait_for_steps(int count) {
    for (int now = steps_; now < count; now = steps_) steps_.wait(now);
  }

  void write_until_the_end() {
    while (step()) {
      ++steps_;
      steps_.notify_all();
    }
  }
  std::size_t acknowledged() const { return messages_.size() + deleted_.size() + titles_.size(); }

  void verify(const std::string& path) const {
    store::SessionStore store(path);
    EXPECT_THAT(store.integrity_errors(), IsEmpty());
    for (const auto& [id, content] : messages_) {
      EXPECT_EQ(store.message(store::SessionId{id.first}, store::MessageId{id.second}).content, content);
    }
    for (const auto& id : deleted_) {
      EXPECT_THROW(store.message(store::SessionId{id.first}, store::MessageId{id.second}), Error);
    }
    for (const auto& [session, title] : titles_) {
      const std::string stored = store.session(store::SessionId{session}).title;
      EXPECT_TRUE(stored == title || stored == asked_title_) << stored;
    }
  }

 private:
  using Id = std::pair<std::int64_t, std::int64_t>;  // session, message

  // False: the server is gone.
  bool step() {
    if (session_ == 0 || random_() % 15 == 0) {
      const WireAnswer made = ask(port_, "POST", "/api/sessions", "{}");
      if (made.status != 201) return false;
      session_ = Json::parse(made.body)["id"];
      leaf_ = nullptr;
      return true;
    }
    switch (random_() % 6) {
      case 0:
        return rename();
      case 1:
        return erase();
      case 2:
        return reply();
      default:
        return append();
    }
  }
  bool append() {
    const std::string content = "message " + std::string(random_() % 3000, 'x') + std::to_string(random_());
    const Json body = {{"parent", leaf_}, {"role", "user"}, {"content", content}};
    const WireAnswer stored =
        ask(port_, "POST", fmt::format("/api/sessions/{}/messages", session_), body.dump());
    if (stored.status != 201 || !stored.complete) return false;
    remember(Json::parse(stored.body));
    return true;
  }
  bool reply() {
    const Json body = {{"parent", leaf_},
                       {"content", "Hi " + std::to_string(random_())},
                       {"parameters", {{"max_tokens", 5}}}};
    const WireAnswer answer =
        ask(port_, "POST", fmt::format("/api/sessions/{}/reply", session_), body.dump());
    if (answer.status == 400) {  // the context is full
      session_ = 0;
      return true;
    }
    for (const char* name : {"message", "done"}) {
      const std::string head = fmt::format("event: {}\ndata: ", name);
      const std::size_t begin = answer.body.find(head);
      const std::size_t end = begin == std::string::npos ? begin : answer.body.find("\n\n", begin);
      if (end == std::string::npos) return false;
      remember(Json::parse(answer.body.substr(begin + head.size(), end - begin - head.size()))["message"]);
    }
    return answer.complete;
  }
  bool rename() {
    asked_title_ = "title " + std::to_string(random_());
    const WireAnswer changed =
        ask(port_, "PATCH", fmt::format("/api/sessions/{}", session_), Json{{"title", asked_title_}}.dump());
    if (changed.status != 200) return false;
    titles_[session_] = asked_title_;
    return true;
  }
  bool erase() {
    if (leaf_.is_null()) return true;
    const Id id{session_, leaf_.get<std::int64_t>()};
    messages_.erase(id);  // asked for: it may be gone from now on
    const WireAnswer erased =
        ask(port_, "DELETE", fmt::format("/api/sessions/{}/messages/{}", id.first, id.second));
    if (erased.status != 200) return false;
    deleted_.push_back(id);
    leaf_ = parents_[id];
    return true;
  }
  void remember(const Json& message) {
    const Id id{session_, message["id"].get<std::int64_t>()};
    messages_[id] = message["content"];
    parents_[id] = message["parent"];
    leaf_ = message["id"];
  }

  std::uint16_t port_;
  std::atomic<int> steps_{0};
  std::mt19937 random_;
  std::int64_t session_ = 0;
  Json leaf_;
  std::string asked_title_;
  std::map<Id, std::string> messages_;
  std::map<Id, Json> parents_;
  std::map<std::int64_t, std::string> titles_;
  std::vector<Id> deleted_;
};

TEST(KilledServer, NothingAcknowledgedIsLost) {
  const int points = std::getenv("TESSERA_SLOW_TESTS") == nullptr ? 30 : 2000;
  const tessera::testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "sessions.db").string();
  std::mt19937 random(20262);
  std::size_t acknowledged = 0;
  for (int point = 0; point < points; ++point) {
    const ServerProcess server(path);
    Witness witness(server.port(), static_cast<unsigned>(random()));
    // After so many answers and a moment more, so that it is hit within one, on a slow machine too.
    std::thread killer([&, steps = static_cast<int>(random() % 12), microseconds = random() % 6'000] {
      witness.wait_for_steps(steps);
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      server.kill();
    });
    try {
      witness.write_until_the_end();
    } catch (const std::runtime_error&) {  // nobody listens any more
    }
    killer.join();
    witness.verify(path);
    acknowledged += witness.acknowledged();
    ASSERT_FALSE(HasFailure()) << "point " << point;
  }
  EXPECT_GT(acknowledged, static_cast<std::size_t>(points));
}

// One service on a file system that fails on request; it goes on when the disk does.
struct Fault {
  const char* name;
  store::FaultVfs::Plan plan;
};

class FailingDiskTest : public ::testing::TestWithParam<Fault> {
 protected:
  static ServiceOptions options(const std::string& path) {
    ServiceOptions options;
    options.sessions.path = path;
    options.sessions.threads = 1;  // the plan of the faults is for one thread at a time
    options.sessions.store.database.vfs = store::FaultVfs::kName;
    options.sessions.store.database.pages_between_checkpoints = 10;
    options.sessions.store.database.patience = std::chrono::milliseconds(50);
    return options;
  }
};

TEST_P(FailingDiskTest, SaysSoAndLosesNothing) {
  const tessera::testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "sessions.db").string();
  store::FaultVfs::arm({});
  const auto backend = testing::toy_backend();
  Service service(testing::served_by(*backend), options(path));
  const auto send = [&](const std::string& method, const std::string& target, const Json& body) {
    HttpRequest request = testing::post(target, body.is_null() ? "" : body.dump());
    request.method = method;
    return testing::answer_of(service, std::move(request));
  };
  const std::string session =
      "/api/sessions/" + Json::parse(send("POST", "/api/sessions", Json::object()).head->body)["id"].dump();
  std::vector<std::string> acknowledged;
  int failures = 0;
  for (int skip = 0; skip < 24; ++skip) {
    store::FaultVfs::Plan plan = GetParam().plan;
    plan.skip = skip;
    store::FaultVfs::arm(plan);
    const std::string content = "message " + std::to_string(skip);
    const auto stored = send("POST", session + "/messages", {{"role", "user"}, {"content", content}});
    if (stored.head->status == 201) acknowledged.push_back(content);
    const auto answer =
        send("POST", session + "/reply", {{"content", "Hi"}, {"parameters", {{"max_tokens", 2}}}});
    for (const std::string& body : {stored.head->body, answer.head->body}) {
      if (body.find("\"error\"") == std::string::npos) continue;
      ++failures;
      EXPECT_EQ(Json::parse(body)["error"]["code"], "storage_failed") << body;
      EXPECT_THAT(body, HasSubstr("sessions.db"));
    }
    if (answer.streams) {
      const bool done = answer.bytes.find("event: done") != std::string::npos;
      EXPECT_NE(done, answer.bytes.find("event: error") != std::string::npos) << answer.bytes;
      failures += done ? 0 : 1;
    }
    store::FaultVfs::arm({});
    const auto now = send("GET", session, nullptr);
    EXPECT_EQ(now.head->status, 200) << now.head->body;
    for (const std::string& text : acknowledged) EXPECT_THAT(now.head->body, HasSubstr("\"" + text + "\""));
  }
  EXPECT_GT(failures, 0);
  EXPECT_EQ(send("POST", session + "/messages", {{"role", "user"}, {"content", "well again"}}).head->status,
            201);
  EXPECT_THAT(store::SessionStore(path).integrity_errors(), IsEmpty());
  backend->stop();
}

using store::FaultVfs;
INSTANTIATE_TEST_SUITE_P(Faults, FailingDiskTest,
                         ::testing::Values(Fault{"DiskFull", {FaultVfs::Call::write, SQLITE_FULL, 0, true}},
                                           Fault{"WriteFails", {FaultVfs::Call::write, SQLITE_IOERR_WRITE}},
                                           Fault{"ReadFails", {FaultVfs::Call::read, SQLITE_IOERR}},
                                           Fault{"SyncFails", {FaultVfs::Call::sync, SQLITE_IOERR, 0, true}}),
                         [](const auto& fault) { return fault.param.name; });

}  // namespace
}  // namespace tessera::serve
