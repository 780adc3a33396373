#include "text/unicode.h"

#include <simdjson.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"

namespace tessera::text {
namespace {

constexpr std::uint32_t kCategoryRuns[] = {
#include "text/unicode_categories.inc"
};

constexpr unsigned kCodePointShift = 11;
constexpr std::uint32_t kCategoryMask = 0x1f;
// Flags of a run: where other parts of the reference disagree with the category its regular expressions have.
constexpr std::uint32_t kPunctuationDiffers = 0x20;
constexpr std::uint32_t kMarkDiffers = 0x40;
constexpr std::uint32_t kNewerBit = 0x80;
constexpr std::uint32_t kNonspacingDiffers = 0x100;
constexpr std::uint32_t kOtherDiffers = 0x200;
constexpr std::uint32_t kNumberDiffers = 0x400;

struct LowercasePair {
  CodePoint from = 0;
  CodePoint to = 0;
};
constexpr LowercasePair kLowercasePairs[] = {
#include "text/unicode_lowercase.inc"
};

std::uint32_t category_run(CodePoint code_point) {
  const std::uint32_t key = code_point << kCodePointShift | ((1U << kCodePointShift) - 1);
  const std::uint32_t* after = std::upper_bound(std::begin(kCategoryRuns), std::end(kCategoryRuns), key);
  return *(after - 1);
}

constexpr std::uint8_t bits_of(Category category) {
  switch (category) {
    case Category::Lu:
    case Category::Lt:
      return character::kUpper;
    case Category::Ll:
      return character::kLower;
    case Category::Lm:
    case Category::Lo:
      return character::kOtherLetter;
    case Category::Mn:
    case Category::Mc:
    case Category::Me:
      return character::kMark;
    case Category::Nd:
    case Category::Nl:
    case Category::No:
      return character::kNumber;
    case Category::Zs:
    case Category::Zl:
    case Category::Zp:
      return character::kWhiteSpace;
    default:
      return 0;
  }
}

// One byte a code point up to the last letter (U+323AF); what lies above is looked up in the runs.
constexpr CodePoint kTableSize = 0x32400;

struct CharacterTable {
  std::array<std::uint8_t, kTableSize> bits{};

  CharacterTable() {
    for (std::size_t run = 0; run < std::size(kCategoryRuns); ++run) {
      const CodePoint first = kCategoryRuns[run] >> kCodePointShift;
      if (first >= kTableSize) break;
      const CodePoint end =
          run + 1 < std::size(kCategoryRuns) ? kCategoryRuns[run + 1] >> kCodePointShift : kTableSize;
      std::uint8_t value = bits_of(static_cast<Category>(kCategoryRuns[run] & kCategoryMask));
      if ((kCategoryRuns[run] & kNewerBit) != 0) value |= character::kNewer;
      std::fill(bits.begin() + first, bits.begin() + std::min(end, kTableSize), value);
    }
    for (const CodePoint control : {0x9U, 0xaU, 0xbU, 0xcU, 0xdU, 0x85U})
      bits[control] = character::kWhiteSpace;
  }
};

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80; }

}  // namespace

std::uint8_t character_bits(CodePoint code_point) {
  static const auto table = std::make_unique<const CharacterTable>();
  if (code_point < kTableSize) return table->bits[code_point];
  const std::uint32_t run = category_run(code_point);
  const std::uint8_t bits = bits_of(static_cast<Category>(run & kCategoryMask));
  return (run & kNewerBit) != 0 ? static_cast<std::uint8_t>(bits | character::kNewer) : bits;
}

Category category(CodePoint code_point) {
  return static_cast<Category>(category_run(code_point) & kCategoryMask);
}

namespace {

// What the category says, turned around where the flag stands.
bool with_flag(CodePoint code_point, std::uint32_t flag, bool (*expected)(Category)) {
  const std::uint32_t run = category_run(code_point);
  return expected(static_cast<Category>(run & kCategoryMask)) != ((run & flag) != 0);
}

}  // namespace

bool is_punctuation(CodePoint c) {
  if (c < 0x80)
    return (c >= 0x21 && c <= 0x2f) || (c >= 0x3a && c <= 0x40) || (c >= 0x5b && c <= 0x60) ||
           (c >= 0x7b && c <= 0x7e);
  return with_flag(c, kPunctuationDiffers,
                   [](Category found) { return found >= Category::Pc && found <= Category::Po; });
}

bool is_numeric(CodePoint c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return with_flag(c, kNumberDiffers,
                   [](Category found) { return found >= Category::Nd && found <= Category::No; });
}

bool is_accent(CodePoint c) {
  return with_flag(c, kMarkDiffers,
                   [](Category found) { return found >= Category::Mn && found <= Category::Me; });
}

bool is_nonspacing_accent(CodePoint c) {
  return with_flag(c, kNonspacingDiffers, [](Category found) { return found == Category::Mn; });
}

bool is_other(CodePoint c) {
  return with_flag(c, kOtherDiffers,
                   [](Category found) { return found >= Category::Cc && found <= Category::Co; });
}

bool is_word_character(CodePoint c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  if ((character_bits(c) & (character::kLetter | character::kMark)) != 0) return true;
  const Category found = category(c);
  if (found == Category::Nd || found == Category::Nl || found == Category::Pc) return true;
  // Join_Control, and Other_Alphabetic outside L, M and Nl: the circled and squared letters.
  return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
         (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

DecodedCharacter decode_character_before(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while (start > 0 && is_continuation(text[start])) --start;
  return decode_character(text, start);
}

void append_utf8(std::string& output, CodePoint c) {
  const auto byte = [](CodePoint value) { return static_cast<char>(value); };
  if (c < 0x80) {
    output += byte(c);
  } else if (c < 0x800) {
    output += byte(0xc0U | c >> 6);
    output += byte(0x80U | (c & 0x3fU));
  } else if (c < 0x10000) {
    output += byte(0xe0U | c >> 12);
    output += byte(0x80U | (c >> 6 & 0x3fU));
    output += byte(0x80U | (c & 0x3fU));
  } else {
    output += byte(0xf0U | c >> 18);
    output += byte(0x80U | (c >> 12 & 0x3fU));
    output += byte(0x80U | (c >> 6 & 0x3fU));
    output += byte(0x80U | (c & 0x3fU));
  }
}

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::size_t ill_formed_length(std::string_view text, bool& needs_more) {
  needs_more = false;
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0xc2 || first > 0xf4) return first < 0x80 ? 0 : 1;
  const std::size_t length = character_length(text[0]);
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size()) {
      needs_more = true;
      return i;
    }
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < low || byte > high) return i;
    low = 0x80;
    high = 0xbf;
  }
  return 0;  // well-formed
}

std::size_t valid_utf8_prefix(std::string_view text) {
  if (is_valid_utf8(text)) return text.size();
  std::size_t position = 0;
  bool needs_more = false;
  while (position < text.size() && ill_formed_length(text.substr(position), needs_more) == 0) {
    position += character_length(text[position]);
  }
  return position;
}

std::string replace_ill_formed(std::string_view text, std::vector<TextRange>* ranges) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  // Borders of the ranges in rising order, so that one pass moves them all.
  std::vector<std::size_t*> borders;
  if (ranges != nullptr) {
    for (TextRange& range : *ranges) {
      borders.push_back(&range.begin);
      borders.push_back(&range.end);
    }
    std::sort(borders.begin(), borders.end(), [](const auto* a, const auto* b) { return *a < *b; });
  }
  std::size_t next_border = 0;
  for (std::size_t position = 0; position < text.size();) {
    while (next_border < borders.size() && *borders[next_border] <= position)
      *borders[next_border++] = result.size();
    bool needs_more = false;
    const std::size_t bad = ill_formed_length(text.substr(position), needs_more);
    if (bad != 0) {
      append_utf8(result, kReplacementCharacter);
      position += bad;
    } else {
      const std::size_t length = character_length(text[position]);
      result.append(text.substr(position, length));
      position += length;
    }
  }
  while (next_border < borders.size()) *borders[next_border++] = result.size();
  return result;
}

void append_lowercase(std::string& output, CodePoint code_point) {
  if (code_point < 0x80) {
    output += static_cast<char>(code_point >= 'A' && code_point <= 'Z' ? code_point + 32 : code_point);
  } else if (code_point == 0x130) {  // the one unconditional mapping to two characters (SpecialCasing.txt)
    output += "i\xcc\x87";
  } else {
    const LowercasePair* pair =
        std::lower_bound(std::begin(kLowercasePairs), std::end(kLowercasePairs), code_point,
                         [](const LowercasePair& one, CodePoint wanted) { return one.from < wanted; });
    append_utf8(output,
                pair != std::end(kLowercasePairs) && pair->from == code_point ? pair->to : code_point);
  }
}

namespace {

// The reference normalizes by older tables: marks that are none there are ordinary characters, and these have
// no decomposition.
constexpr CodePoint kNeverDecomposed[][2] = {{0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xab69, 0xab69},
                                             {0x10781, 0x107ba}, {0x11938, 0x11938}, {0x1e030, 0x1e06d},
                                             {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

bool is_never_decomposed(CodePoint c) {
  return std::any_of(std::begin(kNeverDecomposed), std::end(kNeverDecomposed),
                     [&](const auto& range) { return c >= range[0] && c <= range[1]; });
}

bool is_unknown_mark(utf8proc_int32_t c) {
  const auto code_point = static_cast<CodePoint>(c);
  return (character_bits(code_point) & character::kMark) != 0 && !is_accent(code_point);
}

int combining_class(utf8proc_int32_t c) {
  const int found = utf8proc_get_property(c)->combining_class;
  return found == 0 || is_unknown_mark(c) ? 0 : found;
}

// Stable; std::stable_sort would use a function of the standard library that is deprecated.
void sort_by_class(std::span<utf8proc_int32_t> marks) {
  std::vector<std::pair<std::uint64_t, utf8proc_int32_t>> keyed;  // class, then place
  keyed.reserve(marks.size());
  for (const utf8proc_int32_t mark : marks) {
    keyed.emplace_back(static_cast<std::uint64_t>(combining_class(mark)) << 56 | keyed.size(), mark);
  }
  std::sort(keyed.begin(), keyed.end());
  for (std::size_t i = 0; i < marks.size(); ++i) marks[i] = keyed[i].second;
}

// Canonical ordering: marks behind a starter by rising combining class (Unicode 3.11, D109); a sort, because
// an exchange of neighbours takes quadratic time on hostile runs of marks.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  for (auto run = characters.begin(); run != characters.end();) {
    if (combining_class(*run) == 0) {
      ++run;
      continue;
    }
    const auto end = std::find_if(run, characters.end(), [](auto c) { return combining_class(c) == 0; });
    sort_by_class(std::span(run, end));
    run = end;
  }
}

// Composes within [begin, end) and returns the new end.
utf8proc_int32_t* compose(utf8proc_int32_t* begin, utf8proc_int32_t* end) {
  return begin + utf8proc_normalize_utf32(begin, end - begin,
                                          static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
}

// Nothing composes across a mark that the reference does not know.
void compose_all(std::vector<utf8proc_int32_t>& characters) {
  utf8proc_int32_t* output = characters.data();
  utf8proc_int32_t* const end = characters.data() + characters.size();
  for (utf8proc_int32_t* begin = characters.data(); begin != end;) {
    utf8proc_int32_t* const next = std::find_if(begin + 1, end, is_unknown_mark);
    utf8proc_int32_t* const composed = compose(begin, next);
    output = std::copy(begin, composed, output);
    begin = next;
  }
  characters.resize(static_cast<std::size_t>(output - characters.data()));
}

void normalize_run(std::string_view run, NormalForm form, std::string& result) {
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const auto decompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                        (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(run.size());
  int boundary_class = 0;
  for (std::size_t position = 0; position < run.size();) {
    const DecodedCharacter source = decode_character(run, position);
    position += source.length;
    if (is_never_decomposed(source.code_point)) {
      characters.push_back(static_cast<utf8proc_int32_t>(source.code_point));
      continue;
    }
    std::array<utf8proc_int32_t, 32> parts{};  // the longest decomposition, of U+FDFA, has 18 characters
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(source.code_point), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), decompose, &boundary_class);
    if (count < 0 || static_cast<std::size_t>(count) > parts.size()) {
      fail(ErrorKind::internal, "Unicode normalization of U+{:04X} failed", source.code_point);
    }
    characters.insert(characters.end(), parts.begin(), parts.begin() + count);
  }
  order_marks(characters);
  if (form == NormalForm::nfc || form == NormalForm::nfkc) compose_all(characters);
  for (const utf8proc_int32_t c : characters) append_utf8(result, static_cast<CodePoint>(c));
}

// A character that is its own NFC and has nothing to do with what stands before it: neither a mark nor one
// that composes with its predecessor (of those that are no marks, all are Hangul letters or of Kirat Rai).
bool compute_inert(CodePoint c) {
  if ((character_bits(c) & character::kMark) != 0 || combining_class(static_cast<utf8proc_int32_t>(c)) != 0)
    return false;
  if ((c >= 0x1100 && c <= 0x11ff) || (c >= 0xd7b0 && c <= 0xd7ff) || (c >= 0x16d40 && c <= 0x16d7f))
    return false;
  std::string alone;
  append_utf8(alone, c);
  std::string normal;
  normalize_run(alone, NormalForm::nfc, normal);
  return normal == alone;
}

// Looked into once for each character that is met, by whichever thread: all come to the same.
bool is_inert(CodePoint c) {
  static std::array<std::atomic<std::uint8_t>, kTableSize> known;  // 0: not yet; 1: no; 2: yes
  if (c >= kTableSize) return false;
  std::uint8_t state = known[c].load(std::memory_order_relaxed);
  if (state == 0) {
    state = compute_inert(c) ? 2 : 1;
    known[c].store(state, std::memory_order_relaxed);
  }
  return state == 2;
}

// Behind the ASCII characters at `position`.
std::size_t skip_ascii(std::string_view text, std::size_t position) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  for (std::uint64_t part = 0; position + sizeof(part) <= text.size(); position += sizeof(part)) {
    std::memcpy(&part, text.data() + position, sizeof(part));
    if ((part & kHighBits) != 0) break;
  }
  while (position < text.size() && static_cast<unsigned char>(text[position]) < 0x80) ++position;
  return position;
}

// NFC leaves nearly all text as it is: only what is not inert goes through normalization, with the character
// before it, up to the next inert one.
std::string normalize_nfc(std::string_view text) {
  std::string result;
  std::size_t copied = 0;
  std::size_t before = 0;  // start of the character before `position`
  for (std::size_t position = skip_ascii(text, 0); position < text.size();) {
    const DecodedCharacter here = decode_character(text, position);
    if (here.code_point < 0x80) {
      position = skip_ascii(text, position);
      before = position - 1;
      continue;
    }
    if (is_inert(here.code_point)) {
      before = position;
      position += here.length;
      continue;
    }
    if (position > 0 && static_cast<unsigned char>(text[position - 1]) < 0x80) before = position - 1;
    std::size_t end = position + here.length;
    while (end < text.size()) {
      const DecodedCharacter next = decode_character(text, end);
      if (next.code_point < 0x80 || is_inert(next.code_point)) break;
      end += next.length;
    }
    if (copied == 0) result.reserve(text.size() + text.size() / 8);
    result.append(text.substr(copied, before - copied));
    normalize_run(text.substr(before, end - before), NormalForm::nfc, result);
    copied = position = before = end;
  }
  return copied == 0 ? std::string(text) : std::move(result.append(text.substr(copied)));
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  if (form == NormalForm::nfc) return normalize_nfc(text);
  std::string result;
  result.reserve(text.size());
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  for (std::size_t position = 0; position < text.size();) {
    // ASCII is normal as it is; only its last character may compose with a mark that follows.
    std::size_t begin = position;
    while (begin < text.size() && is_ascii(text[begin])) ++begin;
    if (begin > position && begin < text.size()) --begin;
    result.append(text.substr(position, begin - position));
    if (begin == text.size()) break;
    std::size_t end = begin + 1;
    while (end < text.size() && !is_ascii(text[end])) ++end;
    normalize_run(text.substr(begin, end - begin), form, result);
    position = end;
  }
  return result;
}

}  // namespace tessera::text
