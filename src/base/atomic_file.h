// Whole-file writes that are either there completely or not at all: temporary file, fsync, rename.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

class AtomicFileWriter {
 public:
  // Opens a temporary file beside `path`. Error io.
  explicit AtomicFileWriter(std::string path);
  ~AtomicFileWriter();  // without commit() the temporary file is removed and `path` stays as it was
  AtomicFileWriter(const AtomicFileWriter&) = delete;
  AtomicFileWriter& operator=(const AtomicFileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // Replaces bytes that write() has written: a header whose counts are known at the end.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Flushes to disk and renames over `path`.
  void commit();

 private:
  std::string path_;
  std::string temporary_path_;
  int fd_ = -1;
};

void write_file_atomically(const std::string& path, std::string_view text);

}  // namespace tessera
