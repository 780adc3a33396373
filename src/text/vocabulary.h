// The tokens of one model: spelling, kind and id, both ways.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

// Strings to ids: open addressing over one block of text, so that a vocabulary of 250,000 tokens is three
// allocations.
class StringMap {
 public:
  // False when `key` is there already (its value stays).
  bool insert(std::string_view key, TokenId value);
  std::optional<TokenId> find(std::string_view key) const;
  std::size_t size() const { return count_; }
  void reserve(std::size_t keys, std::size_t bytes);

 private:
  struct Slot {
    std::uint64_t begin = 0;
    std::uint32_t length = 0;
    TokenId value = -1;  // -1: empty
    std::uint32_t hash = 0;
  };
  static std::uint32_t hash_of(std::string_view key);
  void rehash(std::size_t slots);

  std::string bytes_;
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

class Vocabulary {
 public:
  // Gives `id` its spelling. Ids may come in any order and leave holes. False when `id` is taken.
  bool add(TokenId id, std::string_view text, TokenKind kind = TokenKind::normal);
  void set_kind(TokenId id, TokenKind kind) { entries_[static_cast<std::size_t>(id)].kind = kind; }
  void reserve(std::size_t tokens, std::size_t bytes);

  bool contains(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < entries_.size() &&
           entries_[static_cast<std::size_t>(id)].used;
  }
  // One past the highest id.
  std::size_t size() const { return entries_.size(); }
  std::string_view text(TokenId id) const;
  TokenKind kind(TokenId id) const { return entries_[static_cast<std::size_t>(id)].kind; }
  std::optional<TokenId> find(std::string_view text) const { return ids_.find(text); }

 private:
  struct Entry {
    std::uint64_t begin = 0;
    std::uint32_t length = 0;
    TokenKind kind = TokenKind::normal;
    bool used = false;
  };
  std::string bytes_;
  std::vector<Entry> entries_;
  StringMap ids_;
};

// Value of a byte token's spelling "<0x0A>"; nullopt for any other text.
std::optional<unsigned char> parse_byte_token(std::string_view text);
std::string byte_token_text(unsigned char byte);

}  // namespace tessera::text
