// The lock under which one process at a time writes to or checkpoints a database: a file beside it, locked as
// a whole, which the kernel gives back however its holder ends.
#pragma once
#include <chrono>
#include <string>

namespace tessera::store {

// SQLite orders writers by itself, but up to 3.51.2 a checkpoint that runs beside a commit may lose pages of
// the write-ahead log (https://www.sqlite.org/wal.html, "The WAL-Reset Bug"). No two hold this lock, and
// nobody writes or checkpoints without it, so that it cannot happen with any version.
class WriteLock {
 public:
  // Opens or creates `path`, readable by its owner alone. Error io.
  explicit WriteLock(std::string path);
  ~WriteLock();
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

  // False when another holder keeps it for longer than `patience`. Not recursive. Error io.
  bool acquire(std::chrono::milliseconds patience);
  void release() noexcept;

 private:
  std::string path_;
  int fd_ = -1;
};

// Releases a lock that was acquired before.
class HeldLock {
 public:
  explicit HeldLock(WriteLock& lock) : lock_(&lock) {}
  ~HeldLock() { lock_->release(); }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  WriteLock* lock_;
};

}  // namespace tessera::store
