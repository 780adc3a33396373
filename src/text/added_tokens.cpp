#include "text/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

bool is_single_word(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0 && is_word_character(decode_character_before(text, begin).code_point)) return false;
  return end == text.size() || !is_word_character(decode_character(text, end).code_point);
}

// Not before `first`: what another token has taken is not looked at again.
std::size_t skip_spaces_before(std::string_view text, std::size_t position, std::size_t first) {
  while (position > first) {
    const DecodedCharacter before = decode_character_before(text, position);
    if (!is_white_space(before.code_point)) break;
    position -= before.length;
  }
  return position;
}

std::size_t skip_spaces_after(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    const DecodedCharacter after = decode_character(text, position);
    if (!is_white_space(after.code_point)) break;
    position += after.length;
  }
  return position;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  token_at_.push_back(-1);
  for (std::size_t index = 0; index < tokens_.size(); ++index) {
    const AddedToken& token = tokens_[index];
    if (token.content.size() > kMaximumAddedTokenBytes) {
      fail(ErrorKind::limit, "added token {}: expected at most {} bytes, found {}", token.id,
           kMaximumAddedTokenBytes, token.content.size());
    }
    std::uint32_t node = 0;
    for (const char c : token.content) {
      const auto [edge, is_new] = edges_.try_emplace(std::uint64_t{node} << 8 | static_cast<unsigned char>(c),
                                                     static_cast<std::uint32_t>(token_at_.size()));
      if (is_new) token_at_.push_back(-1);
      node = edge->second;
    }
    token_at_[node] = static_cast<std::int32_t>(index);
    bool& is_first = first_bytes_[static_cast<unsigned char>(token.content[0])];
    if (!is_first) different_first_bytes_ += token.content[0];
    is_first = true;
    has_special_ = has_special_ || token.special;
  }
}

std::uint32_t AddedTokenMatcher::child(std::uint32_t node, unsigned char byte) const {
  const auto edge = edges_.find(std::uint64_t{node} << 8 | byte);
  return edge == edges_.end() ? 0 : edge->second;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_match(std::string_view text, std::size_t begin) const {
  Match longest;
  std::uint32_t node = 0;
  for (std::size_t position = begin; position < text.size(); ++position) {
    node = child(node, static_cast<unsigned char>(text[position]));
    if (node == 0) break;
    if (token_at_[node] >= 0) longest = {position + 1, token_at_[node]};
  }
  return longest;
}

std::size_t AddedTokenMatcher::Candidates::next(std::size_t position) {
  const std::string& bytes = matcher_.different_first_bytes_;
  if (bytes.size() > kMaximumSearchedBytes) {
    while (position < text_.size() && !matcher_.first_bytes_[static_cast<unsigned char>(text_[position])])
      ++position;
    return position;
  }
  std::size_t first = text_.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (!searched_[i] || found_[i] < position) {
      found_[i] = std::min(text_.find(bytes[i], position), text_.size());
      searched_[i] = true;
    }
    first = std::min(first, found_[i]);
  }
  return first;
}

void AddedTokenMatcher::split(std::string_view text, bool parse_special,
                              std::span<const TextRange> literal_ranges,
                              std::vector<TextPiece>& pieces) const {
  std::size_t text_begin = 0;  // what is not cut yet
  auto literal = literal_ranges.begin();
  const auto is_literal = [&](std::size_t begin, std::size_t end) {
    while (literal != literal_ranges.end() && literal->end <= begin) ++literal;
    return literal != literal_ranges.end() && literal->begin < end && literal->begin < literal->end;
  };
  Candidates candidates(*this, text);
  for (std::size_t position = 0; (position = candidates.next(position)) < text.size();) {
    const Match match = longest_match(text, position);
    if (match.token < 0) {
      ++position;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.token)];
    std::size_t begin = position;
    std::size_t end = match.end;
    if (token.special && parse_special && is_literal(begin, end)) {
      ++position;  // the template's own token may begin inside what a user typed
      continue;
    }
    position = end;
    if ((token.special && !parse_special) || (token.single_word && !is_single_word(text, begin, end)))
      continue;
    if (token.lstrip) begin = skip_spaces_before(text, begin, text_begin);
    if (token.rstrip) end = skip_spaces_after(text, end);
    if (text_begin < begin) pieces.push_back({{text_begin, begin}, -1});
    pieces.push_back({{begin, end}, token.id});
    text_begin = end;
  }
  if (text_begin < text.size()) pieces.push_back({{text_begin, text.size()}, -1});
}

}  // namespace tessera::text
