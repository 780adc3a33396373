// A file that is written over several attempts: NAME.part until it is complete, then renamed. Unlike
// AtomicFileWriter it stays when the process ends, to be continued.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

class PartialFile {
 public:
  // Opens or makes `path`.part and locks it. Error io, also when another process is writing it.
  explicit PartialFile(std::string path);
  ~PartialFile();  // leaves the .part file for the next attempt
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const std::string& part_path() const { return part_path_; }
  std::uint64_t size() const { return size_; }

  void append(std::string_view bytes);
  void clear();  // back to zero bytes
  // Hands out what is there, in order, in pieces of at most a megabyte.
  void read_all(const std::function<void(std::string_view)>& take);
  // Flushes to disk and renames over `path`.
  void commit();
  // Removes the .part file.
  void discard();

 private:
  [[noreturn]] void broken(const char* what) const;

  std::string path_;
  std::string part_path_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

}  // namespace tessera
