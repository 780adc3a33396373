// SentencePiece writes a space as U+2581 at the front of a word. Where no token holds one behind another
// character, nothing merges across it, and a text can be cut there.
#pragma once
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace tessera::text {

inline constexpr std::string_view kUnderline = "\xe2\x96\x81";

// True when a token of text has U+2581 behind another character: a merge may cross it.
bool crosses_underlines(const Vocabulary& vocabulary);

// Appends `range` of `text`, cut before each U+2581 that stands behind another character.
void cut_at_underlines(std::string_view text, const TextRange& range, std::vector<TextRange>& words);

}  // namespace tessera::text
