// What happens to a text before it is cut into words: Unicode normal forms, case, spaces, replacements.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.h"
#include "text/unicode.h"

namespace tessera::text {

// The steps, named as in tokenizer.json.
struct UnicodeForm {
  NormalForm form = NormalForm::nfc;
};
struct Lowercase {};
struct Strip {
  bool left = true;
  bool right = true;
};
struct StripAccents {};
struct Nmt {};  // control characters away, odd spaces to a space
struct Prepend {
  std::string text;
};
struct Replace {
  std::string literal;                 // what is replaced; or
  std::shared_ptr<const Regex> regex;  // every match, when not null
  std::string content;
};
struct BertNormalizer {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};
struct ByteLevelNormalizer {};  // every byte becomes its byte character
struct CollapseSpaces {};       // SentencePiece's remove_extra_whitespaces

using NormalizerStep = std::variant<UnicodeForm, Lowercase, Strip, StripAccents, Nmt, Prepend, Replace,
                                    BertNormalizer, ByteLevelNormalizer, CollapseSpaces>;

class Normalizer {
 public:
  void add(NormalizerStep step);
  bool empty() const { return steps_.empty(); }
  bool maps_to_byte_characters() const;

  // Where in a text the part to normalize lies: what is done to a text's ends is not done to inner borders.
  struct Position {
    bool at_start = true;
    bool at_end = true;
  };
  // `text` is valid UTF-8; so is the result. Linear time (n log n where marks need ordering).
  std::string apply(std::string_view text, Position position) const;
  std::string apply(std::string_view text) const { return apply(text, Position{}); }

 private:
  std::vector<NormalizerStep> steps_;
};

// Every `from` in `text` becomes `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
std::string replace_all(std::string_view text, const Replace& replace);

}  // namespace tessera::text
