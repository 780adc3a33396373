// Reads little-endian values from the bytes of a file; every read is checked against the file's end, and an
// error says which file, what was read and at which byte.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace tessera::formats {

class ByteReader {
 public:
  // `file` names the source in errors; both arguments must outlive the reader.
  ByteReader(const std::string& file, std::span<const std::byte> bytes) : file_(&file), bytes_(bytes) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return bytes_.size() - offset_; }
  // What is being read ("key 'general.name'", "tensor 3"): the start of error lines until the next call.
  void set_subject(std::string subject) { subject_ = std::move(subject); }

  // One number, stored little-endian. `what` names it in errors. Error bad_input at the end of the file.
  template <typename Number>
  Number read(std::string_view what) {
    static_assert(std::is_arithmetic_v<Number>);
    Number value{};
    std::memcpy(&value, take(sizeof(Number), what).data(), sizeof(Number));
    return value;
  }
  // The next `length` bytes, in place. Error bad_input when the file is shorter.
  std::span<const std::byte> take(std::uint64_t length, std::string_view what);
  // A 64-bit length and that many bytes, in place. Error bad_input above `limit` or the file's end.
  std::string_view read_string(std::string_view what, std::uint64_t limit = UINT64_MAX);
  // A 64-bit count of things that each take at least `bytes_each`: Error bad_input when the file cannot hold
  // them, so that memory may be reserved for them.
  std::uint64_t read_count(std::string_view what, std::uint64_t bytes_each);

  // compute(), whose errors bad_input (a size that wraps, a shape too large) get file, subject and `offset`
  // in front.
  template <typename Function>
  auto located(std::uint64_t offset, const Function& compute) const {
    try {
      return compute();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bad_input) reject(offset, error.what());
      throw;
    }
  }

  // Error bad_input: "FILE: SUBJECT at byte N: MESSAGE".
  [[noreturn]] void reject(std::uint64_t offset, std::string_view message) const;

 private:
  const std::string* file_;
  std::span<const std::byte> bytes_;
  std::uint64_t offset_ = 0;
  std::string subject_ = "header";
};

}  // namespace tessera::formats
