#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace tessera::engine {
namespace {

constexpr std::size_t kFewestSlots = 256;

}  // namespace

std::size_t PromptLookup::slot(std::span<const TokenId> ngram, std::size_t slots) {
  std::uint64_t hash = 0;
  for (const TokenId token : ngram) {
    hash = std::rotl(hash ^ static_cast<std::uint32_t>(token), 23) * 0x9e3779b97f4a7c15U;
  }
  return static_cast<std::size_t>(hash >> 32) & (slots - 1);
}

void PromptLookup::extend(std::span<const TokenId> tokens) {
  if (tokens.size() * 2 > tables_.front().next.size()) grow(tokens);
  // An n-gram is entered once it is known what follows, so that find() never meets the end of the text
  // itself.
  for (; known_ < tokens.size(); ++known_) insert(tokens, known_);
}

void PromptLookup::grow(std::span<const TokenId> tokens) {
  const std::size_t slots = std::max(kFewestSlots, std::bit_ceil(tokens.size() * 4));
  for (Table& table : tables_) table.next.assign(slots, 0);
  for (std::size_t next = 0; next < known_; ++next) insert(tokens, next);
}

void PromptLookup::insert(std::span<const TokenId> tokens, std::size_t next) {
  for (std::size_t i = 0; i < kLengths.size(); ++i) {
    const auto length = static_cast<std::size_t>(kLengths[i]);
    if (next < length) continue;
    std::vector<std::int32_t>& table = tables_[i].next;
    table[slot(tokens.subspan(next - length, length), table.size())] = static_cast<std::int32_t>(next);
  }
}

PromptLookup::Match PromptLookup::find(std::span<const TokenId> tokens) const {
  const std::size_t end = tokens.size();
  for (std::size_t i = 0; i < kLengths.size(); ++i) {
    const auto length = static_cast<std::size_t>(kLengths[i]);
    const std::vector<std::int32_t>& table = tables_[i].next;
    if (end < length || table.empty()) continue;
    const auto next = static_cast<std::size_t>(table[slot(tokens.last(length), table.size())]);
    std::size_t same = 0;  // also tells a true match from two n-grams with one slot
    while (same < next && same < static_cast<std::size_t>(kLongestMatch) &&
           tokens[next - 1 - same] == tokens[end - 1 - same]) {
      ++same;
    }
    if (same >= length) return {static_cast<std::int64_t>(next), static_cast<std::int64_t>(same)};
  }
  return {};
}

}  // namespace tessera::engine
