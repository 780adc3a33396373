#include "serve/api_keys.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/near_names.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kShortestKey = 8;
constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;
constexpr std::size_t kLongestWord = 128;
constexpr std::int32_t kMostPriority = 100;
constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::string_view kNamePrefix = "name=";
constexpr std::string_view kPriorityPrefix = "priority=";

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

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// A hash of the hash, so that a name in a log cannot be put into a file of hashes.
std::string anonymous_name(const std::array<std::uint8_t, 32>& digest) {
  const auto name = sha256({reinterpret_cast<const char*>(digest.data()), digest.size()});
  return fmt::format("{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}", name[0], name[1], name[2], name[3], name[4],
                     name[5]);
}

// Of "priority=N".
std::optional<std::int32_t> priority_in(std::string_view word) {
  if (!word.starts_with(kPriorityPrefix)) return std::nullopt;
  word.remove_prefix(kPriorityPrefix.size());
  std::int32_t value = 0;
  const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = problem == std::errc() && end == word.data() + word.size();
  return whole && value >= -kMostPriority && value <= kMostPriority ? std::optional(value) : std::nullopt;
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

void ApiKeys::add(std::string_view line, const std::string& where) {
  Key added;
  const std::string_view key = line.substr(0, line.find(' '));
  if (key.starts_with(kHashPrefix)) {
    const auto digest = digest_from_hex(to_lower_ascii(key.substr(kHashPrefix.size())));
    if (!digest) fail(ErrorKind::bad_usage, "{}: expected 64 hexadecimal digits after 'sha256:'", where);
    added.digest = *digest;
  } else {
    if (key.size() < kShortestKey || !is_plain(key)) {
      fail(ErrorKind::bad_usage,
           "{}: expected a key of at least {} printable ASCII characters without blanks", where,
           kShortestKey);
    }
    added.digest = sha256(key);
  }
  added.client = anonymous_name(added.digest);
  for (std::string_view rest = line.substr(key.size()); !rest.empty();) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    if (word.starts_with(kNamePrefix) && word.size() > kNamePrefix.size() && word.size() <= kLongestWord &&
        is_plain(word)) {
      added.client = word.substr(kNamePrefix.size());
    } else if (const auto priority = priority_in(word)) {
      added.priority = *priority;
    } else if (!word.empty()) {
      fail(ErrorKind::bad_usage, "{}: expected name=NAME or priority=-100 to 100 after the key, found '{}'",
           where, printable(word));
    }
  }
  keys_.push_back(std::move(added));
}

void ApiKeys::add_file(const std::string& path) {
  const std::string text = read_file(path, kMostFileBytes);
  const std::size_t before = keys_.size();
  int line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++line_number;
    if (!line.empty() && line.front() != '#') add(line, fmt::format("{}: line {}", path, line_number));
    begin = end + 1;
  }
  if (keys_.size() == before) fail(ErrorKind::bad_usage, "{}: expected one API key a line, found none", path);
}

std::optional<std::string> ApiKeys::client_of(const HttpRequest& request) const {
  if (keys_.empty()) return "";
  const Digest given = sha256(key_in(request));
  // Every key is compared, and all of it, whatever was given: time tells nothing.
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (CRYPTO_memcmp(given.data(), key.digest.data(), given.size()) == 0) found = &key;
  }
  return found == nullptr ? std::nullopt : std::optional(found->client);
}

std::map<std::string, std::int32_t> ApiKeys::priorities() const {
  std::map<std::string, std::int32_t> all;
  for (const Key& key : keys_) {
    if (key.priority == 0) continue;
    const auto [entry, is_new] = all.try_emplace(key.client, key.priority);
    if (!is_new) entry->second = std::max(entry->second, key.priority);
  }
  return all;
}

}  // namespace tessera::serve
