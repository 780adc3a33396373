#include "engine/block_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr std::array<char, 8> kMagic = {'T', 'S', 'K', 'V', '0', '0', '0', '1'};
constexpr std::uint32_t kMostTokens = 4096;  // of a block; more is no file of ours

// Little-endian on every machine that this program runs on; after it the tokens, the bytes, the checksum.
struct FixedHead {
  std::array<char, 8> magic = kMagic;
  BlockKey parent{};
  std::uint32_t tokens = 0;
  std::uint32_t reserved = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(FixedHead) == 56);

class File {
 public:
  File(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }

  bool read(std::span<std::byte> bytes) const {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t got = ::read(fd_, bytes.data() + done, bytes.size() - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      done += static_cast<std::size_t>(got);
    }
    return true;
  }
  bool write(std::span<const std::byte> bytes) const {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t put = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return false;
      done += static_cast<std::size_t>(put);
    }
    return true;
  }
  bool at_end() const {
    char byte = 0;
    return ::read(fd_, &byte, 1) == 0;
  }

 private:
  int fd_;
};

BlockKey checksum(const BlockHeader& header, std::span<const std::byte> bytes) {
  const BlockKey key = header.key();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  BlockKey sum{};
  unsigned int size = 0;
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), key.data(), key.size()) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), sum.data(), &size) != 1) {
    fail(ErrorKind::internal, "SHA-256 is not available");
  }
  return sum;
}

std::optional<BlockHeader> read_header(const File& file) {
  FixedHead head;
  if (!file.is_open() || !file.read(std::as_writable_bytes(std::span(&head, 1)))) return std::nullopt;
  if (head.magic != kMagic || head.tokens < 1 || head.tokens > kMostTokens || head.reserved != 0)
    return std::nullopt;
  BlockHeader header{.parent = head.parent, .tokens = {}, .bytes = head.bytes};
  header.tokens.resize(head.tokens);
  if (!file.read(std::as_writable_bytes(std::span(header.tokens)))) return std::nullopt;
  return header;
}

}  // namespace

void write_block_file(const std::filesystem::path& path, const BlockHeader& header,
                      std::span<const std::byte> bytes) {
  static std::atomic<std::uint64_t> count{0};
  const std::filesystem::path temporary =
      fmt::format("{}.{}-{}.tmp", path.string(), ::getpid(), count.fetch_add(1));
  const FixedHead head{.parent = header.parent,
                       .tokens = static_cast<std::uint32_t>(header.tokens.size()),
                       .bytes = bytes.size()};
  const BlockKey sum = checksum(header, bytes);
  bool written = false;
  int problem = 0;
  {
    const File file(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    written = file.is_open() && file.write(std::as_bytes(std::span(&head, 1))) &&
              file.write(std::as_bytes(std::span(header.tokens))) && file.write(bytes) &&
              file.write(std::as_bytes(std::span(sum)));
    problem = errno;
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return;
  if (written) problem = errno;
  ::unlink(temporary.c_str());
  fail(ErrorKind::io, "{}: cannot be written: {}", path.string(), std::strerror(problem));
}

std::optional<BlockHeader> read_block_header(const std::filesystem::path& path) {
  return read_header(File(path, O_RDONLY | O_NOFOLLOW));
}

std::optional<std::vector<std::byte>> read_block_file(const std::filesystem::path& path,
                                                      const BlockHeader& header) {
  const File file(path, O_RDONLY | O_NOFOLLOW);
  const auto found = read_header(file);
  if (!found || found->parent != header.parent || found->tokens != header.tokens ||
      found->bytes != header.bytes) {
    return std::nullopt;
  }
  std::vector<std::byte> bytes(header.bytes);
  BlockKey sum{};
  if (!file.read(bytes) || !file.read(std::as_writable_bytes(std::span(sum))) || !file.at_end() ||
      sum != checksum(header, bytes)) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace tessera::engine
