#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace tessera::text {

// Eight bytes at a time, multiplied and folded.
std::uint32_t StringMap::hash_of(std::string_view key) {
  constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15U;
  std::uint64_t hash = key.size() * kFactor;
  for (std::size_t begin = 0; begin < key.size(); begin += sizeof(std::uint64_t)) {
    std::uint64_t part = 0;
    std::memcpy(&part, key.data() + begin, std::min(sizeof(part), key.size() - begin));
    hash = (hash ^ part) * kFactor;
    hash ^= hash >> 32;
  }
  return static_cast<std::uint32_t>(hash);
}

void StringMap::reserve(std::size_t keys, std::size_t bytes) {
  bytes_.reserve(bytes);
  if (keys * 2 > slots_.size()) rehash(std::bit_ceil(keys * 2));
}

void StringMap::rehash(std::size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.value < 0) continue;
    std::size_t index = slot.hash & (slots - 1);
    while (slots_[index].value >= 0) index = (index + 1) & (slots - 1);
    slots_[index] = slot;
  }
}

bool StringMap::insert(std::string_view key, TokenId value) {
  if ((count_ + 1) * 2 > slots_.size()) rehash(std::max<std::size_t>(16, slots_.size() * 2));
  const std::uint32_t hash = hash_of(key);
  std::size_t index = hash & (slots_.size() - 1);
  for (; slots_[index].value >= 0; index = (index + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[index];
    if (slot.hash == hash && std::string_view(bytes_).substr(slot.begin, slot.length) == key) return false;
  }
  slots_[index] = {bytes_.size(), static_cast<std::uint32_t>(key.size()), value, hash};
  bytes_.append(key);
  ++count_;
  return true;
}

std::optional<TokenId> StringMap::find(std::string_view key) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint32_t hash = hash_of(key);
  for (std::size_t index = hash & (slots_.size() - 1); slots_[index].value >= 0;
       index = (index + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[index];
    if (slot.hash == hash && std::string_view(bytes_).substr(slot.begin, slot.length) == key)
      return slot.value;
  }
  return std::nullopt;
}

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  entries_.reserve(tokens);
  bytes_.reserve(bytes);
  ids_.reserve(tokens, bytes);
}

bool Vocabulary::add(TokenId id, std::string_view text, TokenKind kind) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  if (entries_[index].used) return false;
  entries_[index] = {bytes_.size(), static_cast<std::uint32_t>(text.size()), kind, true};
  bytes_.append(text);
  ids_.insert(text, id);
  return true;
}

std::string_view Vocabulary::text(TokenId id) const {
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  return std::string_view(bytes_).substr(entry.begin, entry.length);
}

std::optional<unsigned char> parse_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    value *= 16;
    if (c >= '0' && c <= '9') {
      value += c - '0';
    } else if (c >= 'A' && c <= 'F') {
      value += c - 'A' + 10;
    } else if (c >= 'a' && c <= 'f') {
      value += c - 'a' + 10;
    } else {
      return std::nullopt;
    }
  }
  return static_cast<unsigned char>(value);
}

std::string byte_token_text(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace tessera::text
