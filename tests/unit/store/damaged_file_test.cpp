// Files that are no store, or no longer one, or one of tomorrow: an error that names the file, and not a byte
// of it is changed. And a newer program's way with older files.
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/mapped_file.h"
#include "store/schema.h"
#include "store_test_support.h"
#include "support/error_of.h"

namespace tessera::store {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using testing::error_of;
using ::testing::HasSubstr;

constexpr std::size_t kLargest = std::size_t{64} << 20U;

class DamagedFileTest : public StoreTest {
 protected:
  std::string content() const { return read_file(path(), kLargest); }
  void write(const std::string& bytes) const { std::ofstream(path(), std::ios::binary) << bytes; }
  // The error of opening it, after which it must be as it was.
  std::string error_of_opening() const {
    const std::string before = content();
    std::string error = error_of([&] { SessionStore store(path()); });
    EXPECT_EQ(content(), before);
    EXPECT_THAT(error, HasSubstr(path()));
    return error;
  }
  std::string good_file() const {
    {
      SessionStore store(path());
      const SessionId id = store.create(store.user(kLocalUser), {.title = "a title"});
      std::optional<MessageId> last;
      for (int i = 0; i < 60; ++i) {
        last = store.append(
            id, last, {.role = "user", .content = "message " + std::string(200, 'x') + std::to_string(i)});
      }
    }
    for (const char* suffix : {"-wal", "-shm"}) fs::remove(path() + suffix);
    return content();
  }
};

TEST_F(DamagedFileTest, WhatIsNoDatabaseIsLeftAlone) {
  for (const std::string& bytes : {std::string("a letter to somebody\n"), std::string(5000, '\0'),
                                   std::string("SQLite format 3\0", 16) + std::string(4096, '\x55')}) {
    write(bytes);
    EXPECT_THAT(error_of_opening(), AllOf(HasSubstr("damaged file"), HasSubstr("it was left as it is")));
  }
}

TEST_F(DamagedFileTest, ATruncatedFileIsLeftAlone) {
  const std::string whole = good_file();
  for (std::size_t size = 100; size < whole.size(); size += 1701) {
    write(whole.substr(0, size));
    EXPECT_THAT(error_of_opening(), HasSubstr("damaged file")) << size;
  }
}

TEST_F(DamagedFileTest, AnotherProgramsDatabaseIsLeftAlone) {
  {
    Database database(path());
    database.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);");
  }
  EXPECT_THAT(error_of_opening(), HasSubstr("found a database of another program"));
}

TEST_F(DamagedFileTest, ANewerSchemaIsLeftAlone) {
  {
    SessionStore store(path());
  }
  {
    Database database(path());
    database.execute("PRAGMA user_version = 99");
  }
  EXPECT_THAT(error_of_opening(), AllOf(HasSubstr("found 99"), HasSubstr("a newer Tessera has written it")));
}

TEST_F(DamagedFileTest, RandomDamageIsAnErrorOrHarmlessNeverACrash) {
  const std::string whole = good_file();
  std::mt19937 random(7);
  int errors = 0;
  for (int round = 0; round < 100; ++round) {
    for (const char* suffix : {"-wal", "-shm", "-lock"}) fs::remove(path() + suffix);
    std::string bytes = whole;
    const std::size_t count = 1 + random() % 20;
    for (std::size_t i = 0; i < count; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (round % 3 == 0) {  // a page of another place
      bytes.replace(4096 * (random() % (bytes.size() / 4096)), 4096, whole,
                    4096 * (random() % (whole.size() / 4096)), 4096);
    }
    write(bytes);
    try {
      SessionStore store(path());
      const UserId user = store.user(kLocalUser);
      store.search(user, "message");
      for (const Session& session : store.list(user).sessions) {
        store.path(session.id);
        store.tree(session.id);
        store.append(session.id, session.leaf, {.role = "user", .content = "more"});
        store.erase(session.id);
      }
    } catch (const Error& error) {
      ++errors;
      EXPECT_NE(std::string(error.what()), "");
    }
  }
  EXPECT_GT(errors, 10);
}

TEST_F(DamagedFileTest, APlaceWhereNoFileCanBeIsNamed) {
  const fs::path file = folder_.path() / "file";
  std::ofstream(file) << "x";
  EXPECT_THAT(error_of([&] { SessionStore store((file / "sessions.db").string()); }),
              HasSubstr(file.string()));
  EXPECT_THAT(error_of([&] { SessionStore store(folder_.path().string()); }),
              AnyOf(HasSubstr("cannot be opened"), HasSubstr("cannot be read")));
  const std::string deep = (folder_.path() / "a" / "b" / "sessions.db").string();
  {
    SessionStore store(deep);
  }
  EXPECT_TRUE(fs::exists(deep));
}

TEST_F(DamagedFileTest, AFileThatMayOnlyBeReadCanBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "for root every file can be written";
  good_file();
  fs::permissions(path(), fs::perms::owner_read);
  SessionStore store(path());
  EXPECT_EQ(store.path(SessionId{1}).size(), 60U);
  EXPECT_THAT(error_of([&] { store.rename(SessionId{1}, "x"); }), HasSubstr("check the rights"));
}

TEST_F(DamagedFileTest, AnotherHolderOfTheLockIsWaitedForAndThenNamed) {
  SessionStore holder(path());
  holder.create(holder.user(kLocalUser), {.title = "t"});
  WriteLock lock(path() + "-lock");
  ASSERT_TRUE(lock.acquire(std::chrono::milliseconds(0)));
  StoreOptions options;
  options.database.patience = std::chrono::milliseconds(100);
  SessionStore store(path(), options);  // reading needs no lock
  EXPECT_EQ(store.session(SessionId{1}).title, "t");
  EXPECT_THAT(error_of([&] { store.rename(SessionId{1}, "x"); }),
              HasSubstr("another program has kept it locked for 0.1 s"));
  lock.release();
  store.rename(SessionId{1}, "x");
  EXPECT_EQ(holder.session(SessionId{1}).title, "x");
}

TEST_F(DamagedFileTest, OlderFilesAreMigratedAllAtOnceOrNotAtAll) {
  const char* good[] = {"CREATE TABLE one (x INT) STRICT; INSERT INTO one VALUES (1);",
                        "ALTER TABLE one ADD COLUMN y INT; UPDATE one SET y = x + 1;",
                        "CREATE TABLE two (z INT) STRICT; INSERT INTO two SELECT y + 1 FROM one;"};
  Database database(path());
  migrate(database, std::span(good).first(1));
  EXPECT_EQ(database.integer("PRAGMA user_version"), 1);
  const char* broken[] = {good[0], good[1], "CREATE TABLE one (x INT);"};  // there is one already
  EXPECT_THAT(error_of([&] { migrate(database, broken); }), HasSubstr("already exists"));
  EXPECT_EQ(database.integer("PRAGMA user_version"), 1);
  EXPECT_THAT(error_of([&] { database.integer("SELECT y FROM one"); }), HasSubstr("no such column"));
  migrate(database, good);
  EXPECT_EQ(database.integer("PRAGMA user_version"), 3);
  EXPECT_EQ(database.integer("SELECT z FROM two"), 3);
  migrate(database, good);  // nothing to do
  EXPECT_EQ(database.integer("SELECT count(*) FROM two"), 1);
}

// A file as the first version wrote it: all is there, and owners by key are told from the terminal's.
TEST_F(DamagedFileTest, AFileOfTheFirstVersionIsReadAndWritten) {
  {
    Database database(path());
    migrate(database, session_migrations().first(1));
    database.execute(
        "INSERT INTO users (name, created_at) VALUES ('local', 1), ('ada', 2);"
        "INSERT INTO sessions (user_id, title, model, parameters, created_at, updated_at, archived) "
        "VALUES (1, 'mine', '', '{}', 1, 1, 0), (2, 'hers', '', '{}', 2, 2, 0);"
        "INSERT INTO messages (session_id, role, content, model, finish_reason, created_at) "
        "VALUES (1, 'user', 'Hello', '', '', 1);");
  }
  SessionStore store(path());
  EXPECT_EQ(store.user(kLocalUser), UserId{1});
  EXPECT_EQ(store.user(key_user("ada")), UserId{2});
  EXPECT_EQ(store.list(UserId{2}).sessions.front().title, "hers");
  const Message old = store.messages(SessionId{1}).front();
  EXPECT_EQ(old.content, "Hello");
  EXPECT_FALSE(old.has_tokens);
  EXPECT_EQ(store.token_record(SessionId{1}, old.id), "");
  const std::string record("\x01\x00\xff", 3);
  const MessageId answer = store.append(SessionId{1}, old.id, {.role = "assistant", .content = "Hi"}, record);
  EXPECT_TRUE(store.message(SessionId{1}, answer).has_tokens);
  EXPECT_EQ(store.token_record(SessionId{1}, answer), record);
  EXPECT_EQ(store.erase_branch(SessionId{1}, old.id), 2);
  Database database(path());
  EXPECT_EQ(database.integer("SELECT count(*) FROM message_tokens"), 0);
  EXPECT_TRUE(store.integrity_errors().empty());
}

}  // namespace
}  // namespace tessera::store
