// Who may ask: API keys, kept as hashes and compared in constant time.
#pragma once
#include <array>
#include <cstdint>
#include <map>
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

  // "KEY", or "KEY name=NAME priority=N" (N from -100 to 100; 0 when left out). KEY may be "sha256:" and the
  // 64 hexadecimal digits of its hash. Keys of one name are one client. Error bad_usage: a key of fewer than
  // 8 characters, or something else behind it; `where` names its place.
  void add(std::string_view line, const std::string& where);
  // One key a line; empty lines and lines that begin with '#' are skipped. Error io; bad_usage: a file
  // without keys, or as add() with the line.
  void add_file(const std::string& path);

  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }

  // Whose request it is, from "Authorization: Bearer KEY" or "x-api-key: KEY": the key's name, or for a key
  // without one the same short text for the same key, which says nothing about it. Empty when there are no
  // keys; nullopt: denied.
  std::optional<std::string> client_of(const HttpRequest& request) const;
  // Of every client whose keys have one other than 0: the highest.
  std::map<std::string, std::int32_t> priorities() const;

 private:
  using Digest = std::array<std::uint8_t, 32>;
  struct Key {
    Digest digest = {};  // SHA-256 (FIPS 180-4); keys are random, so that they need no salt
    std::string client;
    std::int32_t priority = 0;
  };
  std::vector<Key> keys_;
};

}  // namespace tessera::serve
