#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace tessera {
namespace {

// Closes the descriptor when the scope ends, unless it is handed on.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::size_t regular_file_size(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) {
    fail(ErrorKind::io, "{}: cannot read the file's size: {}", path, std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) fail(ErrorKind::io, "{}: expected a file, found a directory", path);
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::io, "{}: expected a regular file", path);
  return static_cast<std::size_t>(status.st_size);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) fail(ErrorKind::io, "{}: cannot open: {}", path, std::strerror(errno));
  const std::size_t size = regular_file_size(fd.get(), path);
  std::shared_ptr<MappedFile> file(new MappedFile());  // NOLINT: the constructor is private
  file->path_ = path;
  if (size == 0) return file;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) {
    fail(ErrorKind::io, "{}: cannot map {} bytes: {}", path, size, std::strerror(errno));
  }
  file->bytes_ = {static_cast<const std::byte*>(address), size};
  file->mapped_ = true;
  file->fd_ = fd.release();
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::string name, std::string content) {
  std::shared_ptr<MappedFile> file(new MappedFile());  // NOLINT: the constructor is private
  file->path_ = std::move(name);
  file->owned_ = std::move(content);
  file->bytes_ = std::as_bytes(std::span(file->owned_));
  return file;
}

MappedFile::~MappedFile() {
  if (mapped_) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::check_not_shrunk() const {
  if (fd_ < 0) return;
  const std::size_t size = regular_file_size(fd_, path_);
  if (size < bytes_.size()) {
    fail(ErrorKind::io,
         "{}: expected {} bytes as when it was opened, found {}: another program made the file shorter",
         path_, bytes_.size(), size);
  }
}

void MappedFile::will_need(std::size_t offset, std::size_t length) const {
  if (!mapped_ || offset >= bytes_.size()) return;
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  const std::size_t end = std::min(bytes_.size(), offset + std::min(length, bytes_.size() - offset));
  ::madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::forget(std::size_t offset, std::size_t length) const {
  if (!mapped_ || offset >= bytes_.size()) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + std::min(length, bytes_.size() - offset)) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

std::string read_file(const std::string& path, std::size_t limit) {
  const auto file = MappedFile::open(path);
  if (file->bytes().size() > limit) {
    fail(ErrorKind::limit, "{}: expected at most {} bytes, found {}", path, limit, file->bytes().size());
  }
  return std::string(file->text());
}

}  // namespace tessera
