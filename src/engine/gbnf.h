// Grammars as text: GBNF, the notation of llama.cpp, read into rules over bytes.
#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::engine {

using ByteSet = std::bitset<256>;

// A byte out of a set, or another rule.
struct GrammarSymbol {
  bool is_rule = false;
  std::int32_t index = 0;  // of `rules` or `byte_sets`
  friend bool operator==(const GrammarSymbol&, const GrammarSymbol&) = default;
};
using GrammarSequence = std::vector<GrammarSymbol>;

struct GrammarRules {
  std::vector<std::vector<GrammarSequence>> rules;  // rule → its alternatives
  std::vector<std::string> names;                   // of each rule; empty for those made for repetitions
  std::vector<ByteSet> byte_sets;
  std::int32_t root = 0;
};

// Rules `name ::= alternative | alternative`, from which the one called root is the text. A sequence is made
// of "literals", [classes], [^classes], `.` for any character, names, and (groups), each repeated by *, +, ?,
// {n}, {n,} or {n,m}; # begins a comment. Characters are Unicode, so no text outside UTF-8 can follow from a
// grammar. Error bad_input with line and column: what was expected; a name without a rule; a rule that begins
// with itself. Error limit: nesting beyond 100, repetition beyond 10,000, more than 500,000 symbols.
GrammarRules parse_gbnf(std::string_view text);

}  // namespace tessera::engine
