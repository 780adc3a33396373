#include "text/jinja/text_operations.h"

#include <algorithm>

#include "base/error.h"

namespace tessera::text::jinja {
namespace {

// Maps one code point after another; a mapped character is the user's where its source was.
class CaseMapper {
 public:
  CaseMapper(Budget& budget, const Text& text) : text_(text), out_(&budget) {
    budget.step(text.bytes.size());
  }

  void map(std::size_t begin, char32_t c, LetterCase letter_case) {
    mapped_.clear();
    if (letter_case == LetterCase::lower && c == 0x3A3) {
      append_code_point(mapped_, is_final_sigma(begin) ? 0x3C2 : 0x3C3);
    } else {
      append_mapped(mapped_, c, letter_case);
    }
    out_.append(mapped_, is_literal(begin));
  }
  Value finish() { return out_.finish(text_.markup); }

 private:
  // Ranges are asked for in order, so a cursor finds them in constant time.
  bool is_literal(std::size_t position) {
    while (range_ < text_.literal.size() && text_.literal[range_].end <= position) ++range_;
    return range_ < text_.literal.size() && text_.literal[range_].begin <= position;
  }

  static bool is_case_ignorable(char32_t c) {
    return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD || c == 0xAF ||
           c == 0xB4 || c == 0xB7 || c == 0xB8 || (c >= 0x2B0 && c <= 0x36F) || c == 0x2019 || c == 0x200D;
  }

  // Unicode's Final_Sigma: a cased letter before, none behind.
  bool is_final_sigma(std::size_t begin) const {
    bool cased_before = false;
    for (std::size_t position = begin; position > 0;) {
      position = previous_boundary(text_.bytes, position);
      std::size_t cursor = position;
      const char32_t c = next_code_point(text_.bytes, cursor);
      if (is_case_ignorable(c)) continue;
      cased_before = is_cased(c);
      break;
    }
    if (!cased_before) return false;
    std::size_t position = begin;
    next_code_point(text_.bytes, position);
    while (position < text_.bytes.size()) {
      const char32_t c = next_code_point(text_.bytes, position);
      if (is_case_ignorable(c)) continue;
      return !is_cased(c);
    }
    return true;
  }

  const Text& text_;
  TextBuilder out_;
  std::string mapped_;
  std::size_t range_ = 0;
};

void charge_scan(Budget& budget, const Text& text) { budget.scan(text.bytes.size()); }

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::vector<Value> split_at_space(Budget& budget, const Text& text, std::int64_t limit) {
  std::vector<Value> parts;
  std::size_t position = 0;
  const auto skip = [&](bool space) {
    while (position < text.bytes.size()) {
      std::size_t next = position;
      if (is_space(next_code_point(text.bytes, next)) != space) break;
      position = next;
    }
  };
  for (skip(true); position < text.bytes.size(); skip(true)) {
    budget.step();
    const std::size_t begin = position;
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      std::size_t end = text.bytes.size();
      while (end > begin) {
        std::size_t previous = previous_boundary(text.bytes, end);
        std::size_t cursor = previous;
        if (!is_space(next_code_point(text.bytes, cursor))) break;
        end = previous;
      }
      parts.push_back(slice_text(&budget, text, begin, end));
      break;
    }
    skip(false);
    parts.push_back(slice_text(&budget, text, begin, position));
  }
  return parts;
}

std::vector<Value> split_at_space_from_right(Budget& budget, const Text& text, std::int64_t limit) {
  std::vector<Value> parts;
  std::size_t position = text.bytes.size();
  const auto skip = [&](bool space) {
    while (position > 0) {
      const std::size_t previous = previous_boundary(text.bytes, position);
      std::size_t cursor = previous;
      if (is_space(next_code_point(text.bytes, cursor)) != space) break;
      position = previous;
    }
  };
  for (skip(true); position > 0; skip(true)) {
    budget.step();
    const std::size_t end = position;
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      std::size_t begin = 0;
      while (begin < end) {
        std::size_t next = begin;
        if (!is_space(next_code_point(text.bytes, next))) break;
        begin = next;
      }
      parts.push_back(slice_text(&budget, text, begin, end));
      break;
    }
    skip(false);
    parts.push_back(slice_text(&budget, text, position, end));
  }
  std::ranges::reverse(parts);
  return parts;
}

}  // namespace

Value strip_text(Budget& budget, const Text& text, const Text* characters, Side side) {
  budget.step(text.bytes.size() / 64);
  std::vector<char32_t> set;
  for (std::size_t position = 0; characters != nullptr && position < characters->bytes.size();) {
    set.push_back(next_code_point(characters->bytes, position));
  }
  std::ranges::sort(set);
  const auto strips = [&](char32_t c) {
    return characters != nullptr ? std::ranges::binary_search(set, c) : is_space(c);
  };
  std::size_t begin = 0;
  std::size_t end = text.bytes.size();
  while (side != Side::right && begin < end) {
    std::size_t next = begin;
    if (!strips(next_code_point(text.bytes, next))) break;
    begin = next;
  }
  while (side != Side::left && end > begin) {
    const std::size_t previous = previous_boundary(text.bytes, end);
    std::size_t cursor = previous;
    if (!strips(next_code_point(text.bytes, cursor))) break;
    end = previous;
  }
  return slice_text(&budget, text, begin, end);
}

Value replace_text(Budget& budget, const Text& text, const Text& old_text, const Text& new_text,
                   std::int64_t limit) {
  charge_scan(budget, text);
  TextBuilder out(&budget);
  std::size_t written = 0;
  const bool everywhere = old_text.bytes.empty();
  for (std::int64_t count = 0; limit < 0 || count < limit; ++count) {
    // An empty text is found before every character and at the end.
    const std::size_t found = everywhere ? written : find_bytes(text.bytes, old_text.bytes, written);
    if (found == std::string::npos) break;
    budget.step();
    out.append(text, written, found);
    out.append(new_text);
    written = found + old_text.bytes.size();
    if (everywhere) {
      if (written >= text.bytes.size()) break;
      std::size_t next = written;
      next_code_point(text.bytes, next);
      out.append(text, written, next);
      written = next;
    }
  }
  out.append(text, written, text.bytes.size());
  return out.finish(text.markup);
}

std::vector<Value> split_text(Budget& budget, const Text& text, const Text* separator, std::int64_t limit,
                              bool from_right) {
  charge_scan(budget, text);
  if (separator == nullptr) {
    return from_right ? split_at_space_from_right(budget, text, limit) : split_at_space(budget, text, limit);
  }
  const std::size_t width = separator->bytes.size();
  if (width == 0) fail(ErrorKind::bad_input, "split: expected a separator, found an empty text");
  std::vector<Value> parts;
  if (!from_right) {
    std::size_t begin = 0;
    for (std::int64_t count = 0; limit < 0 || count < limit; ++count) {
      const std::size_t found = find_bytes(text.bytes, separator->bytes, begin);
      if (found == std::string::npos) break;
      budget.step();
      parts.push_back(slice_text(&budget, text, begin, found));
      begin = found + width;
    }
    parts.push_back(slice_text(&budget, text, begin, text.bytes.size()));
    return parts;
  }
  // From the right: the same search in mirror image.
  const std::string mirrored(text.bytes.rbegin(), text.bytes.rend());
  const std::string mirrored_separator(separator->bytes.rbegin(), separator->bytes.rend());
  const std::size_t size = text.bytes.size();
  std::size_t end = 0;  // in mirror image
  for (std::int64_t count = 0; limit < 0 || count < limit; ++count) {
    const std::size_t found = find_bytes(mirrored, mirrored_separator, end);
    if (found == std::string::npos) break;
    budget.step();
    parts.push_back(slice_text(&budget, text, size - found, size - end));
    end = found + width;
  }
  parts.push_back(slice_text(&budget, text, 0, size - end));
  std::ranges::reverse(parts);
  return parts;
}

std::vector<Value> split_lines(Budget& budget, const Text& text, bool keep_ends) {
  charge_scan(budget, text);
  std::vector<Value> lines;
  for (std::size_t position = 0; position < text.bytes.size();) {
    budget.step();
    const std::size_t begin = position;
    std::size_t end = text.bytes.size();
    while (position < text.bytes.size()) {
      const std::size_t at = position;
      const char32_t c = next_code_point(text.bytes, position);
      if (!is_line_break(c)) continue;
      end = at;
      if (c == '\r' && position < text.bytes.size() && text.bytes[position] == '\n') ++position;
      break;
    }
    lines.push_back(slice_text(&budget, text, begin, keep_ends ? position : end));
  }
  return lines;
}

Value map_case(Budget& budget, const Text& text, LetterCase letter_case) {
  CaseMapper mapper(budget, text);
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    mapper.map(begin, next_code_point(text.bytes, position), letter_case);
  }
  return mapper.finish();
}

Value capitalize_text(Budget& budget, const Text& text) {
  CaseMapper mapper(budget, text);
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    mapper.map(begin, next_code_point(text.bytes, position),
               begin == 0 ? LetterCase::title : LetterCase::lower);
  }
  return mapper.finish();
}

Value title_text(Budget& budget, const Text& text) {
  CaseMapper mapper(budget, text);
  bool after_cased = false;
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    const char32_t c = next_code_point(text.bytes, position);
    mapper.map(begin, c, after_cased ? LetterCase::lower : LetterCase::title);
    after_cased = is_cased(c);
  }
  return mapper.finish();
}

Value swap_case(Budget& budget, const Text& text) {
  CaseMapper mapper(budget, text);
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    const char32_t c = next_code_point(text.bytes, position);
    mapper.map(begin, c, is_uppercase(c) ? LetterCase::lower : LetterCase::upper);
  }
  return mapper.finish();
}

Value pad_text(Budget& budget, const Text& text, std::int64_t width, const Text& fill, Side side) {
  TextBuilder out(&budget);
  const std::int64_t padding = width > text.length ? width - text.length : 0;
  // CPython's centre: the odd column goes left when the width is odd.
  const std::int64_t left = side == Side::left    ? padding
                            : side == Side::right ? 0
                                                  : padding / 2 + (padding & width & 1);
  out.append_repeated(fill, left);
  out.append(text);
  out.append_repeated(fill, padding - left);
  return out.finish(text.markup);
}

bool is_lower_text(const Text& text) {
  bool cased = false;
  for (std::size_t position = 0; position < text.bytes.size();) {
    const char32_t c = next_code_point(text.bytes, position);
    if (is_uppercase(c) || is_titlecase(c)) return false;
    cased |= is_lowercase(c);
  }
  return cased;
}

bool is_upper_text(const Text& text) {
  bool cased = false;
  for (std::size_t position = 0; position < text.bytes.size();) {
    const char32_t c = next_code_point(text.bytes, position);
    if (is_lowercase(c) || is_titlecase(c)) return false;
    cased |= is_uppercase(c);
  }
  return cased;
}

}  // namespace tessera::text::jinja
