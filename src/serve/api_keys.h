// Who may ask: API keys, kept as hashes and compared in constant time.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http_message.h"

namespace tessera::serve {

class ApiKeys {
 public:
  // No keys: everybody may ask.
  ApiKeys() = default;

  // Error bad_usage: a key of fewer than 8 characters or with blanks; `where` names its place. The text
  // "sha256:" and 64 hexadecimal digits is the hash of a key.
  void add(std::string_view key, const std::string& where);
  // One key a line; empty lines and lines that begin with '#' are skipped. Error io; bad_usage: a file
  // without keys, or as add() with the line.
  void add_file(const std::string& path);

  bool empty() const { return digests_.empty(); }
  std::size_t size() const { return digests_.size(); }

  // Whose request it is, from "Authorization: Bearer KEY" or "x-api-key: KEY": the same short name for the
  // same key, which says nothing about it. Empty when there are no keys; nullopt: denied.
  std::optional<std::string> client_of(const HttpRequest& request) const;

 private:
  using Digest = std::array<std::uint8_t, 32>;
  std::vector<Digest> digests_;  // SHA-256 (FIPS 180-4); keys are random, so that they need no salt
};

}  // namespace tessera::serve
