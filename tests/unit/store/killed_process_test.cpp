// Processes that write at the same time, and processes that are killed while they write: what they were told
// is stored is there, and the file is whole. TESSERA_KILL_POINTS=2000 for the full size.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>

#include "base/error.h"
#include "store_test_support.h"

namespace tessera::store {
namespace {

using ::testing::IsEmpty;

StoreOptions frequent_checkpoints() {
  StoreOptions options;
  options.database.pages_between_checkpoints = 30;
  options.database.patience = std::chrono::seconds(60);
  return options;
}

// What a child tells of its work, through a pipe that outlives it.
struct Record {
  enum class Kind : std::int64_t { stored, erasing, erased } kind{};
  SessionId session{};
  MessageId message{};
  std::int64_t seed = 0;  // of the content
};

std::string content_of(std::int64_t seed) {
  const auto repeat = static_cast<std::size_t>(seed % 7 == 0 ? 3000 : seed % 40);
  std::string text = "message " + std::to_string(seed);
  for (std::size_t i = 0; i < repeat; ++i)
    text += static_cast<char>('a' + (static_cast<std::size_t>(seed) + i * i) % 26);
  return text;
}

// Runs work(write end of a pipe) in a process of its own.
class Child {
 public:
  explicit Child(const std::function<void(int)>& work) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    process_ = ::fork();
    if (process_ == 0) {
      ::close(ends[0]);
      int status = 0;
      try {
        work(ends[1]);
      } catch (const std::exception& error) {
        ::write(STDERR_FILENO, error.what(), std::string_view(error.what()).size());
        status = 1;
      }
      ::_exit(status);
    }
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  ~Child() { ::close(pipe_); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() const { ::kill(process_, SIGKILL); }
  bool ended_well() const {
    int status = 0;
    return ::waitpid(process_, &status, 0) == process_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  // The next `most` records, or all until the child ends.
  std::vector<Record> records(std::size_t most = SIZE_MAX) const {
    std::vector<Record> all;
    for (Record record;
         all.size() < most && ::read(pipe_, &record, sizeof record) == static_cast<ssize_t>(sizeof record);) {
      all.push_back(record);
    }
    return all;
  }

 private:
  pid_t process_ = -1;
  int pipe_ = -1;
};

void tell(int pipe, const Record& record) {
  if (::write(pipe, &record, sizeof record) != static_cast<ssize_t>(sizeof record)) ::_exit(2);
}

// Grows, branches and prunes sessions until it is killed.
void write_without_end(const std::string& path, int pipe, unsigned seed) {
  std::mt19937 random(seed);
  SessionStore store(path, frequent_checkpoints());
  const UserId user = store.user(kLocalUser);
  for (;;) {
    const SessionId session = store.create(user, {.title = "t" + std::to_string(random())});
    std::vector<MessageId> ids;
    for (int i = 0; i < 30; ++i) {
      const std::int64_t content = random();
      const std::optional<MessageId> parent =
          ids.empty() ? std::nullopt : std::optional(ids[random() % ids.size()]);
      const MessageId id = store.append(session, parent, {.role = "user", .content = content_of(content)});
      tell(pipe, {Record::Kind::stored, session, id, content});
      ids.push_back(id);
      if (random() % 10 == 0) {  // a message without children yet
        tell(pipe, {Record::Kind::erasing, session, id, 0});
        store.erase_branch(session, id);
        tell(pipe, {Record::Kind::erased, session, id, 0});
        ids.pop_back();
      }
      if (random() % 20 == 0) store.rename(session, "renamed " + std::to_string(random()));
    }
  }
}

class KilledProcessTest : public StoreTest {
 protected:
  void learn(const std::vector<Record>& records) {
    for (const Record& record : records) {
      if (record.kind == Record::Kind::stored) {
        told_[record.message] = record;
      } else {
        told_[record.message].kind = record.kind;
      }
    }
  }
  void verify() {
    SessionStore store(path());
    EXPECT_THAT(store.integrity_errors(), IsEmpty());
    for (const auto& [id, record] : told_) {
      std::optional<Message> message;
      try {
        message = store.message(record.session, id);
      } catch (const Error&) {
      }
      if (record.kind == Record::Kind::stored) {
        ASSERT_TRUE(message) << "message " << static_cast<std::int64_t>(id) << " is lost";
        EXPECT_EQ(message->content, content_of(record.seed));
      }
      EXPECT_FALSE(record.kind == Record::Kind::erased && message);
    }
  }
  std::map<MessageId, Record> told_;
};

TEST_F(KilledProcessTest, NothingAcknowledgedIsLost) {
  const char* wanted = std::getenv("TESSERA_KILL_POINTS");
  const int points = wanted == nullptr ? 60 : std::atoi(wanted);
  std::mt19937 random(20260);
  std::size_t acknowledged = 0;
  for (int point = 0; point < points; ++point) {
    if (point % 20 == 0) {  // so that the making of a new file is hit, too
      told_.clear();
      for (const char* suffix : {"", "-wal", "-shm", "-lock"}) std::filesystem::remove(path() + suffix);
    }
    const auto seed = static_cast<unsigned>(random());
    const Child child([&](int pipe) { write_without_end(path(), pipe, seed); });
    const std::vector<Record> first = child.records(point % 20 == 0 ? 0 : random() % 12);
    ::usleep(static_cast<useconds_t>(random() % 8'000));
    child.kill();
    const std::vector<Record> rest = child.records();
    EXPECT_FALSE(child.ended_well());
    acknowledged += first.size() + rest.size();
    learn(first);
    learn(rest);
    ASSERT_NO_FATAL_FAILURE(verify()) << "point " << point;
    ASSERT_FALSE(HasFailure()) << "point " << point;
  }
  EXPECT_GT(acknowledged, static_cast<std::size_t>(points));
}

TEST_F(KilledProcessTest, TwoProcessesAndAReaderShareAFile) {
  constexpr int kMessages = 60;
  SessionStore reader(path(), frequent_checkpoints());
  const UserId user = reader.user(kLocalUser);
  const SessionId shared = reader.create(user, {.title = "shared"});
  const auto work = [&](const std::string& name) {
    return [this, name, shared](int pipe) {
      SessionStore store(path(), frequent_checkpoints());
      std::optional<MessageId> last;
      for (int i = 0; i < kMessages; ++i) {
        last = store.append(shared, last, {.role = "user", .content = name + std::to_string(i)});
        tell(pipe, {Record::Kind::stored, shared, *last, 0});
      }
    };
  };
  const Child first(work("first "));
  const Child second(work("second "));
  // A path is always the whole of one process's messages so far.
  for (std::size_t longest = 0; longest < kMessages;) {
    const std::vector<Message> path = reader.path(shared);
    for (std::size_t i = 1; i < path.size(); ++i) {
      ASSERT_EQ(path[i].content,
                path[0].content.substr(0, path[0].content.find(' ') + 1) + std::to_string(i));
    }
    longest = std::max(longest, path.size());
  }
  EXPECT_EQ(first.records().size(), static_cast<std::size_t>(kMessages));
  EXPECT_EQ(second.records().size(), static_cast<std::size_t>(kMessages));
  EXPECT_TRUE(first.ended_well());
  EXPECT_TRUE(second.ended_well());
  EXPECT_EQ(reader.session(shared).message_count, 2 * kMessages);
  EXPECT_EQ(reader.leaves(shared).size(), 2U);
  EXPECT_THAT(reader.integrity_errors(), IsEmpty());
}

TEST_F(KilledProcessTest, ProcessesThatOpenANewFileAtOnceAgree) {
  for (int round = 0; round < 10; ++round) {
    for (const char* suffix : {"", "-wal", "-shm", "-lock"}) std::filesystem::remove(path() + suffix);
    const auto work = [this](int) { SessionStore(path(), frequent_checkpoints()).user(kLocalUser); };
    const Child first(work), second(work), third(work);
    EXPECT_TRUE(first.ended_well());
    EXPECT_TRUE(second.ended_well());
    EXPECT_TRUE(third.ended_well());
    SessionStore store(path());
    EXPECT_EQ(store.user(kLocalUser), UserId{1});
  }
}

}  // namespace
}  // namespace tessera::store
