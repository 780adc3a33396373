#include "text/jinja/text_builder.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

namespace tessera::text::jinja {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

}  // namespace

const Text& TextBuilder::space() {
  static const Text kSpace(" ", {}, false, MemoryCharge{});
  return kSpace;
}

void TextBuilder::mark_literal(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!ranges_.empty() && ranges_.back().end == begin) {
    ranges_.back().end = end;
  } else {
    charge_.grow(sizeof(TextRange));
    ranges_.push_back({begin, end});
  }
}

void TextBuilder::append(std::string_view bytes, bool literal) {
  charge_.grow(bytes.size());
  const std::size_t begin = bytes_.size();
  bytes_ += bytes;
  if (literal) mark_literal(begin, bytes_.size());
}

void TextBuilder::append(const Text& text) { append(text, 0, text.bytes.size()); }

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  charge_.grow(end - begin);
  const std::size_t start = bytes_.size();
  bytes_.append(text.bytes, begin, end - begin);
  auto range = std::ranges::upper_bound(text.literal, begin, {}, &TextRange::end);
  for (; range != text.literal.end() && range->begin < end; ++range) {
    mark_literal(start + std::max(range->begin, begin) - begin, start + std::min(range->end, end) - begin);
  }
}

void TextBuilder::append_repeated(const Text& text, std::int64_t count) {
  if (count <= 0 || text.bytes.empty()) return;
  // Asked for in one go, so that 'x' * 10**12 fails before the first byte is written.
  const auto times = static_cast<std::uint64_t>(count);
  std::uint64_t total = 0;
  if (__builtin_mul_overflow(times, text.bytes.size(), &total)) total = ~std::uint64_t{0} >> 1U;
  charge_.grow(total);
  const std::size_t begin = bytes_.size();
  if (text.bytes.size() == 1) {
    bytes_.append(times, text.bytes[0]);
  } else {
    for (std::uint64_t i = 0; i < times; ++i) bytes_ += text.bytes;
  }
  if (has_literal(text)) mark_literal(begin, bytes_.size());
}

Value TextBuilder::finish(bool markup) {
  Value value(
      std::make_shared<const Text>(std::move(bytes_), std::move(ranges_), markup, std::move(charge_)));
  bytes_.clear();
  ranges_.clear();
  return value;
}

Value make_text(Budget* budget, std::string_view bytes, bool literal, bool markup) {
  TextBuilder builder(budget);
  builder.append(bytes, literal);
  return builder.finish(markup);
}

Value slice_text(Budget* budget, const Text& text, std::size_t begin, std::size_t end) {
  TextBuilder builder(budget);
  builder.append(text, begin, end);
  return builder.finish(text.markup);
}

bool has_literal(const Text& text) { return !text.literal.empty(); }

std::int64_t count_code_points(std::string_view bytes) {
  return std::ranges::count_if(bytes, [](char byte) { return !is_continuation(byte); });
}

std::size_t byte_offset(const Text& text, std::int64_t index) {
  if (text.is_ascii()) return static_cast<std::size_t>(index);
  std::size_t position = 0;
  for (; index > 0; --index) {
    ++position;
    while (position < text.bytes.size() && is_continuation(text.bytes[position])) ++position;
  }
  return position;
}

char32_t next_code_point(std::string_view bytes, std::size_t& position) {
  const auto lead = static_cast<unsigned char>(bytes[position++]);
  if (lead < 0x80U) return lead;
  char32_t code_point = lead & (lead < 0xE0U ? 0x1FU : lead < 0xF0U ? 0x0FU : 0x07U);
  while (position < bytes.size() && is_continuation(bytes[position])) {
    code_point = (code_point << 6U) | (static_cast<unsigned char>(bytes[position++]) & 0x3FU);
  }
  return code_point;
}

std::size_t previous_boundary(std::string_view bytes, std::size_t position) {
  do --position;
  while (position > 0 && is_continuation(bytes[position]));
  return position;
}

void append_code_point(std::string& out, char32_t code_point) {
  utf8proc_uint8_t buffer[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(size));
}

// memmem is linear (two-way search); std::string::find is quadratic on texts such as "aaa...b".
std::size_t find_bytes(std::string_view haystack, std::string_view needle, std::size_t from) {
  if (from > haystack.size()) return std::string_view::npos;
  const void* found = memmem(haystack.data() + from, haystack.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - haystack.data());
}

std::size_t find_last_bytes(std::string_view haystack, std::string_view needle) {
  const std::string reversed_haystack(haystack.rbegin(), haystack.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const std::size_t found = find_bytes(reversed_haystack, reversed_needle);
  return found == std::string_view::npos ? found : haystack.size() - found - needle.size();
}

bool is_valid_utf8(std::string_view bytes) {
  const auto* data = reinterpret_cast<const utf8proc_uint8_t*>(bytes.data());
  for (std::size_t position = 0; position < bytes.size();) {
    if (data[position] < 0x80) {
      ++position;
      continue;
    }
    utf8proc_int32_t code_point = 0;
    const auto size = utf8proc_iterate(data + position,
                                       static_cast<utf8proc_ssize_t>(bytes.size() - position), &code_point);
    if (size <= 0) return false;
    position += static_cast<std::size_t>(size);
  }
  return true;
}

}  // namespace tessera::text::jinja
