#include "base/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/error.h"

namespace tessera {

PartialFile::PartialFile(std::string path) : path_(std::move(path)), part_path_(path_ + ".part") {
  fd_ = ::open(part_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd_ < 0) broken("cannot be opened");
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd_);
    fail(ErrorKind::io, "{}: another process is writing it; wait for it to end", part_path_);
  }
  struct stat status{};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    fail(ErrorKind::io, "{}: expected a regular file", part_path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

PartialFile::~PartialFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartialFile::broken(const char* what) const {
  fail(ErrorKind::io, "{}: {}: {}", part_path_, what, std::strerror(errno));
}

void PartialFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) broken("cannot be written");
    size_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void PartialFile::clear() {
  if (::ftruncate(fd_, 0) != 0) broken("cannot be emptied");
  size_ = 0;
}

void PartialFile::read_all(const std::function<void(std::string_view)>& take) {
  std::vector<char> buffer(std::size_t{1} << 20);
  std::uint64_t at = 0;
  while (at < size_) {
    const ssize_t got = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) broken("cannot be read back");
    take(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    at += static_cast<std::uint64_t>(got);
  }
}

void PartialFile::commit() {
  if (::fsync(fd_) != 0) broken("cannot be flushed to disk");
  if (std::rename(part_path_.c_str(), path_.c_str()) != 0) broken("cannot be renamed");
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const int folder_fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {  // so that the new name survives a crash too; not every file system can
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
}

void PartialFile::discard() { ::unlink(part_path_.c_str()); }

}  // namespace tessera
