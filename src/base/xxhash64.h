// XXH64: a 64-bit checksum against damage, at the speed of memory. No protection against intent: that is
// hub/checksum's SHA-256.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tessera {

// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, section XXH64. Bytes may come in any
// pieces.
class XxHash64 {
 public:
  explicit XxHash64(std::uint64_t seed = 0);

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  // The checksum of everything so far; more may follow.
  std::uint64_t digest() const;

 private:
  static constexpr std::size_t kStripe = 32;

  void consume(const std::byte* stripe);

  std::uint64_t seed_;
  std::array<std::uint64_t, 4> lanes_;
  std::array<std::byte, kStripe> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t length_ = 0;
};

std::uint64_t xxhash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace tessera
