// A whole file mapped read-only; whoever points into it holds the shared_ptr.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

class MappedFile {
 public:
  // Maps `path`. Error io: missing, a directory, unreadable. An empty file gives an empty span.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  // A file that lives in memory (tests, fuzzing); `name` stands for the path in errors.
  static std::shared_ptr<const MappedFile> from_bytes(std::string name, std::string content);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  // Error io when the file has become shorter since it was opened: touching the pages that are gone would end
  // the process (SIGBUS). Whoever hands out a window asks first; a file that another program cuts short while
  // its pages are in use cannot be guarded against, so files are replaced by rename, never written in place.
  void check_not_shrunk() const;
  // Tells the kernel that this range will be read soon.
  void will_need(std::size_t offset, std::size_t length) const;
  // Lets this process forget the pages that lie wholly in this range; reading them again fetches them again.
  void forget(std::size_t offset, std::size_t length) const;

 private:
  MappedFile() = default;
  std::string path_;
  std::string owned_;
  std::span<const std::byte> bytes_;
  bool mapped_ = false;
  int fd_ = -1;  // of a mapped file, kept open to ask for its size
};

// The whole content of a small file (configuration, template, prompt). Error io when missing, limit when
// above `limit` bytes.
std::string read_file(const std::string& path, std::size_t limit = std::size_t{1} << 30);

}  // namespace tessera
