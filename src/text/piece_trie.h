// Finds which pieces of a vocabulary a text begins with, all lengths in one walk.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/token_id.h"

namespace tessera::text {

class PieceTrie {
 public:
  PieceTrie() : slots_(kFirstSlots) {}

  // `piece` is not empty; a later one with the same bytes takes its place.
  void insert(std::string_view piece, TokenId id);

  // take(length, id) for each piece that `text` begins with, shortest first.
  template <typename Take>
  void for_each_prefix(std::string_view text, const Take& take) const {
    std::uint32_t node = 0;
    for (std::size_t length = 1; length <= text.size(); ++length) {
      const Slot* slot = find(node, text[length - 1]);
      if (slot == nullptr) return;
      node = slot->child;
      if (ids_[node] >= 0) take(length, ids_[node]);
    }
  }

 private:
  static constexpr std::size_t kFirstSlots = 1024;

  // The edge of byte `byte` from node `parent`, in one table with open addressing.
  struct Slot {
    std::uint32_t parent = 0;
    std::uint32_t child = 0;  // 0: free; the root is nobody's child
    unsigned char byte = 0;
  };
  static std::size_t hash(std::uint32_t node, char byte) {
    return (std::uint64_t{node} * 256 + static_cast<unsigned char>(byte)) * 0x9E3779B97F4A7C15ULL >> 20U;
  }
  const Slot* find(std::uint32_t node, char byte) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash(node, byte) & mask; slots_[at].child != 0; at = (at + 1) & mask) {
      if (slots_[at].parent == node && slots_[at].byte == static_cast<unsigned char>(byte))
        return &slots_[at];
    }
    return nullptr;
  }
  void place(const Slot& slot);
  std::uint32_t child_of(std::uint32_t node, char byte);

  std::vector<Slot> slots_;
  std::vector<TokenId> ids_ = {-1};  // of the piece that ends at a node; -1: none
};

}  // namespace tessera::text
