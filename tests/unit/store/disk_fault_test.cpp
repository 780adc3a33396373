// Disks that fill up, fail to sync, or fail to read: each call in turn. The error is clear, what was stored
// before stays, and what was acknowledged is there. TESSERA_ALL_FAULTS=1 for every call instead of some.
#include <gmock/gmock.h>

#include <cstdlib>

#include "fault_vfs.h"
#include "store_test_support.h"
#include "support/error_of.h"

namespace tessera::store {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Fault {
  const char* name;
  FaultVfs::Plan plan;
  int stride;  // not every call in a normal run
};

class DiskFaultTest : public StoreTest, public ::testing::WithParamInterface<Fault> {
 protected:
  void SetUp() override {
    SessionStore store((folder_.path() / "before.db").string());
    session_ = store.create(store.user(kLocalUser), {.title = "before"});
    std::optional<MessageId> last;
    for (int i = 0; i < 20; ++i) {
      last = store.append(session_, last, {.role = "user", .content = "old " + std::to_string(i)});
      old_.push_back("old " + std::to_string(i));
    }
  }

  // Opens the store and changes it; remembers what was acknowledged. False when an Error came.
  bool work() {
    StoreOptions options;
    options.database.vfs = FaultVfs::kName;
    options.database.pages_between_checkpoints = 10;
    options.database.patience = std::chrono::milliseconds(50);
    try {
      SessionStore store(path(), options);
      std::optional<MessageId> last = store.path(session_).back().id;
      for (int i = 0; i < 4; ++i) {
        const std::string content = "new " + std::string(static_cast<std::size_t>(i) * 5000, 'x');
        last = store.append(session_, last, {.role = "user", .content = content});
        acknowledged_.emplace_back(*last, content);
      }
      store.rename(session_, "renamed");
      renamed_ = true;
      EXPECT_EQ(store.search(UserId{1}, "old").hits.size(), 20U);
      return true;
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::io || error.kind() == ErrorKind::bad_input) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(path()));
      if (GetParam().plan.code == SQLITE_FULL) {
        EXPECT_THAT(error.what(), HasSubstr("the disk is full"));
      }
      return false;
    }
  }

  void verify() {
    SessionStore store(path());
    EXPECT_THAT(store.integrity_errors(), IsEmpty());
    std::vector<std::string> texts = contents(store.messages(session_));
    ASSERT_GE(texts.size(), old_.size() + acknowledged_.size());
    texts.resize(old_.size());
    EXPECT_EQ(texts, old_);
    for (const auto& [id, content] : acknowledged_) EXPECT_EQ(store.message(session_, id).content, content);
    EXPECT_TRUE(!renamed_ || store.session(session_).title == "renamed");
  }

  SessionId session_{};
  std::vector<std::string> old_;
  std::vector<std::pair<MessageId, std::string>> acknowledged_;
  bool renamed_ = false;
};

TEST_P(DiskFaultTest, LosesNothingAtAnyCall) {
  const int stride = std::getenv("TESSERA_ALL_FAULTS") == nullptr ? GetParam().stride : 1;
  int faults = 0;
  int errors = 0;
  for (int skip = 0;; skip += stride) {
    for (const char* suffix : {"", "-wal", "-shm", "-lock"}) fs::remove(path() + suffix);
    fs::copy_file(folder_.path() / "before.db", path());
    acknowledged_.clear();
    renamed_ = false;
    FaultVfs::Plan plan = GetParam().plan;
    plan.skip = skip;
    FaultVfs::arm(plan);
    const bool well = work();
    const int hits = FaultVfs::hits();
    FaultVfs::arm({});
    ASSERT_NO_FATAL_FAILURE(verify()) << "after " << skip << " calls";
    ASSERT_FALSE(HasFailure()) << "after " << skip << " calls";
    faults += hits;
    errors += well ? 0 : 1;
    if (hits == 0) break;
  }
  EXPECT_GT(faults, 1);
  EXPECT_GT(errors, 0);
}

// The making of a file, too, can be cut short at each call; what is left is taken up later.
TEST_P(DiskFaultTest, ANewFileIsWholeOrBegunAgain) {
  int errors = 0;
  for (int skip = 0;; skip += GetParam().stride) {
    for (const char* suffix : {"", "-wal", "-shm", "-lock"}) fs::remove(path() + suffix);
    FaultVfs::Plan plan = GetParam().plan;
    plan.skip = skip;
    FaultVfs::arm(plan);
    StoreOptions options;
    options.database.vfs = FaultVfs::kName;
    options.database.patience = std::chrono::milliseconds(50);
    try {
      SessionStore store(path(), options);
    } catch (const Error& error) {
      ++errors;
      EXPECT_THAT(error.what(), HasSubstr(path()));
    }
    const int hits = FaultVfs::hits();
    FaultVfs::arm({});
    {
      SessionStore store(path());
      store.create(store.user(kLocalUser), {.title = "t"});
      EXPECT_THAT(store.integrity_errors(), IsEmpty());
    }
    ASSERT_FALSE(HasFailure()) << "after " << skip << " calls";
    if (hits == 0) break;
  }
  EXPECT_GT(errors, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, DiskFaultTest,
    ::testing::Values(Fault{"FullOnce", {FaultVfs::Call::write, SQLITE_FULL}, 5},
                      Fault{"FullFromThenOn", {FaultVfs::Call::write, SQLITE_FULL, 0, true}, 5},
                      Fault{"WriteOnce", {FaultVfs::Call::write, SQLITE_IOERR_WRITE}, 5},
                      Fault{"WriteFromThenOn", {FaultVfs::Call::write, SQLITE_IOERR_WRITE, 0, true}, 5},
                      Fault{"ReadOnce", {FaultVfs::Call::read}, 5},
                      Fault{"ReadFromThenOn", {FaultVfs::Call::read, SQLITE_IOERR, 0, true}, 5},
                      Fault{"SyncOnce", {FaultVfs::Call::sync}, 1},
                      Fault{"SyncFromThenOn", {FaultVfs::Call::sync, SQLITE_IOERR, 0, true}, 1},
                      Fault{"OpenOnce", {FaultVfs::Call::open}, 1}),
    [](const auto& fault) { return fault.param.name; });

}  // namespace
}  // namespace tessera::store
