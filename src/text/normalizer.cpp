#include "text/normalizer.h"

#include <algorithm>

#include "text/byte_level.h"

namespace tessera::text {
namespace {

template <typename Function>
std::string map_characters(std::string_view text, Function&& function) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const DecodedCharacter character = decode_character(text, position);
    function(character.code_point, result);
    position += character.length;
  }
  return result;
}

std::string without_marks(std::string_view text, bool nonspacing_only) {
  return map_characters(text, [&](CodePoint c, std::string& out) {
    if (nonspacing_only ? is_nonspacing_accent(c) : is_accent(c)) return;
    append_utf8(out, c);
  });
}

// The blocks that BERT pads with spaces (Devlin et al. 2018, tokenization.py; one border as the reference has
// it).
bool is_chinese(CodePoint c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

std::string apply_bert(std::string text, const BertNormalizer& step) {
  if (step.clean_text) {
    text = map_characters(text, [](CodePoint c, std::string& out) {
      const bool newline = c == '\t' || c == '\n' || c == '\r';
      if (c == 0 || c == kReplacementCharacter || (!newline && is_other(c))) return;
      append_utf8(out, is_white_space(c) ? ' ' : c);
    });
  }
  if (step.handle_chinese_chars) {
    text = map_characters(text, [](CodePoint c, std::string& out) {
      const bool chinese = is_chinese(c);
      if (chinese) out += ' ';
      append_utf8(out, c);
      if (chinese) out += ' ';
    });
  }
  if (step.strip_accents) text = without_marks(normalize(text, NormalForm::nfd), true);
  if (step.lowercase)
    text = map_characters(text, [](CodePoint c, std::string& out) { append_lowercase(out, c); });
  return text;
}

std::string strip(std::string_view text, const Strip& step, Normalizer::Position position) {
  while (step.left && position.at_start && !text.empty()) {
    const DecodedCharacter first = decode_character(text, 0);
    if (!is_white_space(first.code_point)) break;
    text.remove_prefix(first.length);
  }
  while (step.right && position.at_end && !text.empty()) {
    const DecodedCharacter last = decode_character_before(text, text.size());
    if (!is_white_space(last.code_point)) break;
    text.remove_suffix(last.length);
  }
  return std::string(text);
}

std::string apply_nmt(std::string_view text) {
  return map_characters(text, [](CodePoint c, std::string& out) {
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
      return;
    const bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                       (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xfeff || c == kReplacementCharacter;
    append_utf8(out, space ? ' ' : c);
  });
}

std::string collapse_spaces(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c != ' ' || (!result.empty() && result.back() != ' ')) result += c;
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

struct Apply {
  std::string text;
  Normalizer::Position position;

  std::string operator()(const UnicodeForm& step) { return normalize(text, step.form); }
  std::string operator()(const Lowercase&) {
    return map_characters(text, [](CodePoint c, std::string& out) { append_lowercase(out, c); });
  }
  std::string operator()(const Strip& step) { return strip(text, step, position); }
  std::string operator()(const StripAccents&) { return without_marks(text, false); }
  std::string operator()(const Nmt&) { return apply_nmt(text); }
  std::string operator()(const Prepend& step) {
    return text.empty() || !position.at_start ? std::move(text) : step.text + text;
  }
  std::string operator()(const Replace& step) { return replace_all(text, step); }
  std::string operator()(const BertNormalizer& step) { return apply_bert(std::move(text), step); }
  std::string operator()(const ByteLevelNormalizer&) { return to_byte_characters(text); }
  std::string operator()(const CollapseSpaces&) { return collapse_spaces(text); }
};

}  // namespace

void Normalizer::add(NormalizerStep step) { steps_.push_back(std::move(step)); }

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  std::size_t position = 0;
  while (!from.empty()) {
    const std::size_t found = text.find(from, position);
    if (found == std::string_view::npos) break;
    result.append(text.substr(position, found - position)).append(to);
    position = found + from.size();
  }
  return result.append(text.substr(position));
}

std::string replace_all(std::string_view text, const Replace& replace) {
  if (!replace.regex) return replace_all(text, replace.literal, replace.content);
  std::string known_storage;
  const std::string_view known = Regex::with_known_characters(text, known_storage);
  std::string result;
  std::size_t copied = 0;
  std::size_t last_end = std::string_view::npos;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = replace.regex->find(known, from);
    if (!match) break;
    const bool empty = match->begin == match->end;
    if (!(empty && match->end == last_end)) {
      result.append(text.substr(copied, match->begin - copied)).append(replace.content);
      copied = match->end;
      last_end = match->end;
    }
    from = match->end;
    if (empty) from += from < text.size() ? character_length(text[from]) : 1;
  }
  return result.append(text.substr(copied));
}

bool Normalizer::maps_to_byte_characters() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const NormalizerStep& step) {
    return std::holds_alternative<ByteLevelNormalizer>(step);
  });
}

std::string Normalizer::apply(std::string_view text, Position position) const {
  std::string result(text);
  for (const NormalizerStep& step : steps_) {
    Apply apply{std::move(result), position};
    result = std::visit(apply, step);
  }
  return result;
}

}  // namespace tessera::text
