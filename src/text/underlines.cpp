#include "text/underlines.h"

namespace tessera::text {
namespace {

// The next U+2581 at or after `from` behind another character than itself and than `first`, the text's start.
std::size_t find_border(std::string_view text, std::size_t from, std::size_t first) {
  for (std::size_t found = text.find(kUnderline, from); found != std::string_view::npos;
       found = text.find(kUnderline, found + kUnderline.size())) {
    const std::string_view before = text.substr(first, found - first);
    if (!before.empty() && !before.ends_with(kUnderline)) return found;
  }
  return std::string_view::npos;
}

}  // namespace

bool crosses_underlines(const Vocabulary& vocabulary) {
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!vocabulary.contains(id)) continue;
    const TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::control || kind == TokenKind::unknown) continue;
    if (find_border(vocabulary.text(id), 0, 0) != std::string_view::npos) return true;
  }
  return false;
}

void cut_at_underlines(std::string_view text, const TextRange& range, std::vector<TextRange>& words) {
  const std::string_view until = text.substr(0, range.end);
  for (std::size_t begin = range.begin; begin < range.end;) {
    const std::size_t end = std::min(find_border(until, begin, begin), range.end);
    words.push_back({begin, end});
    begin = end;
  }
}

}  // namespace tessera::text
