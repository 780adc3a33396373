// Both kinds of BPE against merging done the plain way, one pair at a time, on random vocabularies and words;
// and what an encoder remembers changes nothing.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "text/byte_level.h"
#include "text/sentencepiece_bpe.h"
#include "text/underlines.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

using Random = std::mt19937;

// Merges the best pair, of equal ones the leftmost, until `rank_of(left + right)` knows none.
template <typename RankOf>
std::vector<std::string> merged(std::vector<std::string> symbols, RankOf&& rank_of) {
  for (;;) {
    std::size_t best = symbols.size();
    std::optional<double> best_rank;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::optional<double> rank = rank_of(symbols[i], symbols[i + 1]);
      if (!rank || (best_rank && *best_rank <= *rank)) continue;
      best = i;
      best_rank = rank;
    }
    if (!best_rank) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::string random_word(Random& random, const std::vector<std::string>& letters, std::size_t longest) {
  std::string word;
  for (std::size_t count = 1 + random() % longest; count > 0; --count)
    word += letters[random() % letters.size()];
  return word;
}

struct Words {
  std::string text;
  std::vector<TextRange> ranges;
};

Words random_words(Random& random, const std::vector<std::string>& letters) {
  Words words;
  for (int i = 0; i < 300; ++i) {
    const std::size_t begin = words.text.size();
    words.text += random_word(random, letters, random() % 10 == 0 ? 90 : 9);
    words.ranges.push_back({begin, words.text.size()});
  }
  return words;
}

// All words by one encoder, and each by one of its own, in turn against `expected(word)`.
template <typename Expected>
void expect_ids(const TokenModel& model, const Words& words, Expected&& expected) {
  std::vector<TokenId> all;
  const auto encoder = model.make_encoder(words.text.size());
  encoder->append_tokens(words.text, words.ranges, all);
  std::vector<TokenId> one_by_one;
  for (const TextRange& range : words.ranges) {
    std::vector<TokenId> ids;
    model.make_encoder(range.end - range.begin)->append_tokens(words.text, {&range, 1}, ids);
    const std::string word = words.text.substr(range.begin, range.end - range.begin);
    ASSERT_EQ(ids, expected(word)) << word;
    one_by_one.insert(one_by_one.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(all, one_by_one);
}

TEST(Bpe, MergesAsOnePairAtATimeWould) {
  Random random(3);
  const std::vector<std::string> letters = {"a", "b", "c", "\xc3\xa9"};
  for (int round = 0; round < 60; ++round) {
    Vocabulary vocabulary;
    const bool all_bytes = round % 2 == 0;  // without, no table of byte pairs is made
    for (int byte = 0; byte < 256; ++byte) {
      if (all_bytes || byte != 0)
        vocabulary.add(byte, to_byte_characters(std::string(1, static_cast<char>(byte))));
    }
    std::vector<BpeMerge> merges;
    std::vector<std::string> known = {"a", "b", "c", "\xc3", "\xa9"};
    std::map<std::pair<std::string, std::string>, double> ranks;
    TokenId next = 256;
    for (int i = 0; i < 40; ++i) {
      const std::string left = known[random() % known.size()];
      const std::string right = known[random() % known.size()];
      const std::string joined = to_byte_characters(left + right);
      if (!vocabulary.find(joined)) vocabulary.add(next++, joined);
      merges.push_back({*vocabulary.find(to_byte_characters(left)),
                        *vocabulary.find(to_byte_characters(right)), *vocabulary.find(joined)});
      ranks.try_emplace({left, right}, i);
      known.push_back(left + right);
    }
    BpeOptions options;
    options.byte_level = true;
    const auto model = make_bpe(vocabulary, options, merges, false);
    expect_ids(*model, random_words(random, letters), [&](const std::string& word) {
      std::vector<std::string> bytes;
      for (const char c : word) bytes.emplace_back(1, c);
      std::vector<TokenId> ids;
      const auto rank_of = [&](const std::string& left, const std::string& right) -> std::optional<double> {
        const auto found = ranks.find({left, right});
        return found == ranks.end() ? std::nullopt : std::optional(found->second);
      };
      for (const std::string& symbol : merged(bytes, rank_of))
        ids.push_back(*vocabulary.find(to_byte_characters(symbol)));
      return ids;
    });
  }
}

// With a token that crosses U+2581 a text must not be cut there; without one it is, and nobody can tell.
TEST(SentencePieceBpe, MergesAsOnePairAtATimeWould) {
  Random random(4);
  const std::string space(kUnderline);
  const std::vector<std::string> letters = {"a", "b", "c", space, space + space, "\xc3\xa9"};
  for (int round = 0; round < 60; ++round) {
    Vocabulary vocabulary;
    std::vector<float> scores;
    const auto add = [&](const std::string& text, TokenKind kind, float score) {
      if (vocabulary.find(text)) return;
      vocabulary.add(static_cast<TokenId>(scores.size()), text, kind);
      scores.push_back(score);
    };
    add("<unk>", TokenKind::unknown, 0);
    for (int byte = 0; byte < 256; ++byte)
      add(byte_token_text(static_cast<unsigned char>(byte)), TokenKind::byte, 0);
    for (const char* letter : {"a", "b", "c"}) add(letter, TokenKind::normal, -100);
    add(space, TokenKind::normal, -100);
    std::vector<std::string> known = {"a", "b", "c", space};
    while (known.size() < 40) {
      const std::string joined = known[random() % known.size()] + known[random() % known.size()];
      const bool crosses = joined.find(space, joined.find_first_of("abc")) != std::string::npos;
      if (round % 3 != 0 && crosses) continue;
      add(joined, TokenKind::normal, -static_cast<float>(random() % 20));
      known.push_back(joined);
    }
    EXPECT_TRUE(round % 3 == 0 || !crosses_underlines(vocabulary));
    const auto model = make_sentencepiece_bpe(vocabulary, scores, 0);
    expect_ids(*model, random_words(random, letters), [&](const std::string& word) {
      std::vector<std::string> characters;
      for (std::size_t begin = 0; begin < word.size(); begin += character_length(word[begin]))
        characters.push_back(word.substr(begin, character_length(word[begin])));
      const auto rank_of = [&](const std::string& left, const std::string& right) -> std::optional<double> {
        const auto id = vocabulary.find(left + right);
        if (!id || vocabulary.kind(*id) != TokenKind::normal) return std::nullopt;
        return -scores[static_cast<std::size_t>(*id)];
      };
      std::vector<TokenId> ids;
      for (const std::string& symbol : merged(characters, rank_of)) {
        if (const auto id = vocabulary.find(symbol)) {
          ids.push_back(*id);
        } else {
          for (const char c : symbol)
            ids.push_back(*vocabulary.find(byte_token_text(static_cast<unsigned char>(c))));
        }
      }
      return ids;
    });
  }
}

// The short way of NFC: what is decomposed first goes the long way.
TEST(Normalize, NfcOfATextAndOfItsDecompositionAreTheSame) {
  Random random(5);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) {
      const CodePoint blocks[] = {0x20,   0xc0,   0x300,  0x340,  0x900,  0x9b0,  0x1100, 0x1160, 0x11a8,
                                  0x1e00, 0x1f00, 0x2100, 0x3040, 0x4e00, 0xac00, 0xf900, 0x1d150};
      append_utf8(text, static_cast<CodePoint>(blocks[random() % std::size(blocks)] + random() % 0x60));
    }
    EXPECT_EQ(normalize(text, NormalForm::nfc), normalize(normalize(text, NormalForm::nfd), NormalForm::nfc))
        << text;
  }
}

}  // namespace
}  // namespace tessera::text
