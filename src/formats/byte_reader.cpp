#include "formats/byte_reader.h"

#include <bit>

namespace tessera::formats {

static_assert(std::endian::native == std::endian::little,
              "model files are read in place: little-endian only");

std::span<const std::byte> ByteReader::take(std::uint64_t length, std::string_view what) {
  if (length > remaining()) {
    reject(offset_, fmt::format("expected {} bytes of {}, found {} before the end of the file", length, what,
                                remaining()));
  }
  const auto result = bytes_.subspan(offset_, length);
  offset_ += length;
  return result;
}

std::string_view ByteReader::read_string(std::string_view what, std::uint64_t limit) {
  const std::uint64_t start = offset_;
  const auto length = read<std::uint64_t>(what);
  if (length > limit)
    reject(start, fmt::format("expected {} of at most {} bytes, found {}", what, limit, length));
  const auto bytes = take(length, what);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t ByteReader::read_count(std::string_view what, std::uint64_t bytes_each) {
  const std::uint64_t start = offset_;
  const auto count = read<std::uint64_t>(what);
  if (count > remaining() / bytes_each) {
    reject(start, fmt::format("expected at most {} {} ({} bytes are left, {} or more each), found {}",
                              remaining() / bytes_each, what, remaining(), bytes_each, count));
  }
  return count;
}

void ByteReader::reject(std::uint64_t offset, std::string_view message) const {
  fail(ErrorKind::bad_input, "{}: {} at byte {}: {}", *file_, subject_, offset, message);
}

}  // namespace tessera::formats
