#include "serve/api_keys.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/near_names.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kShortestKey = 8;
constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;
constexpr std::string_view kHashPrefix = "sha256:";

std::array<std::uint8_t, 32> sha256(std::string_view text) {
  std::array<std::uint8_t, 32> digest{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    fail(ErrorKind::internal, "SHA-256 is not available");
  }
  return digest;
}

std::optional<std::array<std::uint8_t, 32>> digest_from_hex(std::string_view hex) {
  std::array<std::uint8_t, 32> digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const std::size_t value = kDigits.find(hex[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest.at(i / 2) = static_cast<std::uint8_t>(digest.at(i / 2) << 4 | value);
  }
  return digest;
}

std::string_view key_in(const HttpRequest& request) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view authorization = request.header("authorization");
  if (to_lower_ascii(authorization.substr(0, kScheme.size())) == kScheme) {
    std::string_view key = authorization.substr(kScheme.size());
    key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
    return key;
  }
  return request.header("x-api-key");
}

}  // namespace

void ApiKeys::add(std::string_view key, const std::string& where) {
  if (key.starts_with(kHashPrefix)) {
    const auto digest = digest_from_hex(to_lower_ascii(key.substr(kHashPrefix.size())));
    if (!digest) fail(ErrorKind::bad_usage, "{}: expected 64 hexadecimal digits after 'sha256:'", where);
    digests_.push_back(*digest);
    return;
  }
  const bool plain = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; });
  if (key.size() < kShortestKey || !plain) {
    fail(ErrorKind::bad_usage, "{}: expected a key of at least {} printable ASCII characters without blanks",
         where, kShortestKey);
  }
  digests_.push_back(sha256(key));
}

void ApiKeys::add_file(const std::string& path) {
  const std::string text = read_file(path, kMostFileBytes);
  const std::size_t before = digests_.size();
  int line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++line_number;
    if (!line.empty() && line.front() != '#') add(line, fmt::format("{}: line {}", path, line_number));
    begin = end + 1;
  }
  if (digests_.size() == before)
    fail(ErrorKind::bad_usage, "{}: expected one API key a line, found none", path);
}

std::optional<std::string> ApiKeys::client_of(const HttpRequest& request) const {
  if (digests_.empty()) return "";
  const Digest given = sha256(key_in(request));
  // Every key is compared, and all of it, whatever was given: time tells nothing.
  std::size_t found = digests_.size();
  for (std::size_t i = 0; i < digests_.size(); ++i) {
    if (CRYPTO_memcmp(given.data(), digests_[i].data(), given.size()) == 0) found = i;
  }
  if (found == digests_.size()) return std::nullopt;
  // A hash of the hash, so that a name in a log cannot be put into a file of hashes.
  const Digest name = sha256({reinterpret_cast<const char*>(given.data()), given.size()});
  return fmt::format("{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}", name[0], name[1], name[2], name[3], name[4],
                     name[5]);
}

}  // namespace tessera::serve
