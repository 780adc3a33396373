#include "store/write_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"

namespace tessera::store {

WriteLock::WriteLock(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  // Whoever may only read the folder may read the sessions, too; a shared lock needs no right to write.
  if (fd_ < 0 && (errno == EACCES || errno == EROFS)) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) {
    fail(ErrorKind::io, "{}: cannot be opened: {}; check the rights of its folder and the free space", path_,
         std::strerror(errno));
  }
}

WriteLock::~WriteLock() { ::close(fd_); }

bool WriteLock::acquire(std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + patience;
  auto pause = std::chrono::microseconds(100);
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      fail(ErrorKind::io, "{}: cannot be locked: {}; expected a file system with locks", path_,
           std::strerror(errno));
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min<std::chrono::microseconds>(pause * 2, std::chrono::milliseconds(10));
  }
  return true;
}

void WriteLock::release() noexcept { ::flock(fd_, LOCK_UN); }

}  // namespace tessera::store
