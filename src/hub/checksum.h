// The two checksums the hub gives: SHA-256 of LFS files, and git's SHA-1 (of "blob SIZE\0" and the content)
// of others.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tessera::hub {

enum class ChecksumKind { none, sha256, git_sha1 };

struct ExpectedChecksum {
  ChecksumKind kind = ChecksumKind::none;
  std::string hex;           // lower case
  std::string text() const;  // "sha256:..."
};

// Fed with the content in order. libcrypto does the arithmetic: it uses the CPU's SHA instructions, and
// libcurl brings it along anyway.
class Checksum {
 public:
  // `size`: of the whole content; git's hash begins with it.
  Checksum(ChecksumKind kind, std::uint64_t size);
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;

  void update(std::string_view bytes);
  // Lower-case hexadecimal; empty for none. Once.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::hub
