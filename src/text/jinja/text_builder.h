// Builds texts piece by piece within a budget, keeping track of which bytes are the user's; and the
// code-point arithmetic over UTF-8 that Python's string operations need.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace tessera::text::jinja {

class TextBuilder {
 public:
  explicit TextBuilder(Budget* budget) : charge_(budget, 0) {}

  void append(std::string_view bytes, bool literal = false);
  void append(const Text& text);
  // Bytes [begin, end) of `text`.
  void append(const Text& text, std::size_t begin, std::size_t end);
  // `bytes` `count` times; nothing when count is negative.
  void append_repeated(const Text& text, std::int64_t count);
  void append_spaces(std::int64_t count) { append_repeated(space(), count); }

  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  // Hands over what was built; the builder is empty afterwards.
  Value finish(bool markup = false);
  std::string take_bytes() { return std::move(bytes_); }
  std::vector<TextRange> take_ranges() { return std::move(ranges_); }

 private:
  static const Text& space();
  void mark_literal(std::size_t begin, std::size_t end);
  std::string bytes_;
  std::vector<TextRange> ranges_;
  MemoryCharge charge_;
};

// A text with one provenance throughout.
Value make_text(Budget* budget, std::string_view bytes, bool literal = false, bool markup = false);
// Bytes [begin, end) of `text`, markup kept.
Value slice_text(Budget* budget, const Text& text, std::size_t begin, std::size_t end);
bool has_literal(const Text& text);

std::int64_t count_code_points(std::string_view bytes);
// The byte where code point `index` begins; index 0..length.
std::size_t byte_offset(const Text& text, std::int64_t index);
// Decodes the code point at `position` of valid UTF-8 and moves behind it.
char32_t next_code_point(std::string_view bytes, std::size_t& position);
// The byte where the code point that ends at `position` begins; position > 0.
std::size_t previous_boundary(std::string_view bytes, std::size_t position);
void append_code_point(std::string& out, char32_t code_point);
// The first or last place of `needle` at or behind `from`, in linear time whatever the bytes; npos when there
// is none.
std::size_t find_bytes(std::string_view haystack, std::string_view needle, std::size_t from = 0);
std::size_t find_last_bytes(std::string_view haystack, std::string_view needle);
bool is_valid_utf8(std::string_view bytes);

}  // namespace tessera::text::jinja
