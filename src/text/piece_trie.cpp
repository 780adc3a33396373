#include "text/piece_trie.h"

#include <utility>

namespace tessera::text {

void PieceTrie::place(const Slot& slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash(slot.parent, static_cast<char>(slot.byte)) & mask;
  while (slots_[at].child != 0) at = (at + 1) & mask;
  slots_[at] = slot;
}

std::uint32_t PieceTrie::child_of(std::uint32_t node, char byte) {
  if (const Slot* known = find(node, byte)) return known->child;
  if (ids_.size() * 2 > slots_.size()) {  // at most half full, so that searches stay short
    const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    for (const Slot& slot : before) {
      if (slot.child != 0) place(slot);
    }
  }
  const auto child = static_cast<std::uint32_t>(ids_.size());
  ids_.push_back(-1);
  place({node, child, static_cast<unsigned char>(byte)});
  return child;
}

void PieceTrie::insert(std::string_view piece, TokenId id) {
  std::uint32_t node = 0;
  for (const char byte : piece) node = child_of(node, byte);
  ids_[node] = id;
}

}  // namespace tessera::text
