#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/encode_work.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

struct Part {
  TextRange range;
  bool is_match = false;
};

constexpr WordPattern kGpt2Words = {.contractions = WordPattern::Contractions::lower_case,
                                    .letters = WordPattern::Letters::after_space,
                                    .digits_after_space = true};

// Puts matches and what lies between them together as `behavior` says, leaving empty pieces out.
void append_parts(std::vector<Part>& parts, SplitBehavior behavior, std::vector<TextRange>& pieces) {
  const auto append = [&](const TextRange& range) {
    if (range.begin < range.end) pieces.push_back(range);
  };
  bool previous_match = false;
  const std::size_t first = pieces.size();
  switch (behavior) {
    case SplitBehavior::removed:
      for (const Part& part : parts) {
        if (!part.is_match) append(part.range);
      }
      return;
    case SplitBehavior::isolated:
      for (const Part& part : parts) append(part.range);
      return;
    case SplitBehavior::merged_with_previous:
      for (const Part& part : parts) {
        if (part.is_match && !previous_match && pieces.size() > first) {
          pieces.back().end = part.range.end;
        } else {
          pieces.push_back(part.range);
        }
        previous_match = part.is_match;
      }
      break;
    case SplitBehavior::merged_with_next:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !previous_match && pieces.size() > first) {
          pieces.back().begin = part->range.begin;
        } else {
          pieces.push_back(part->range);
        }
        previous_match = part->is_match;
      }
      std::reverse(pieces.begin() + static_cast<std::ptrdiff_t>(first), pieces.end());
      break;
    case SplitBehavior::contiguous:
      for (const Part& part : parts) {
        if (part.is_match == previous_match && pieces.size() > first) {
          pieces.back().end = part.range.end;
        } else {
          pieces.push_back(part.range);
        }
        previous_match = part.is_match;
      }
      break;
  }
  pieces.erase(std::remove_if(pieces.begin() + static_cast<std::ptrdiff_t>(first), pieces.end(),
                              [](const TextRange& range) { return range.begin >= range.end; }),
               pieces.end());
}

// Matches of `find` in the piece and the gaps between them, as Oniguruma's iterator gives them: an empty
// match that touches the one before is passed over.
template <typename Find>
void collect_parts(std::string_view piece, std::size_t offset, Find&& find, std::vector<Part>& parts) {
  std::size_t gap = 0;
  std::size_t last_end = std::string_view::npos;
  for (std::size_t from = 0; from <= piece.size();) {
    const std::optional<TextRange> match = find(piece, from);
    if (!match) break;
    const bool empty = match->begin == match->end;
    if (!(empty && match->end == last_end)) {
      if (gap < match->begin) parts.push_back({{offset + gap, offset + match->begin}, false});
      parts.push_back({{offset + match->begin, offset + match->end}, true});
      gap = last_end = match->end;
    }
    from = match->end;
    if (empty) from += from < piece.size() ? character_length(piece[from]) : 1;
  }
  if (gap < piece.size()) parts.push_back({{offset + gap, offset + piece.size()}, false});
}

void scan_words(const WordPattern& pattern, std::string_view text, const TextRange& range,
                std::vector<TextRange>& pieces) {
  const std::string_view until = text.substr(0, range.end);
  WordScanner scanner(pattern, until);
  for (std::size_t begin = range.begin; begin < range.end;) {
    const std::size_t end = scanner.next(begin);
    pieces.push_back({begin, end});
    begin = end;
  }
  encode_work().scanned_bytes += scanner.scanned_bytes();
}

class Runner {
 public:
  explicit Runner(PreTokenizedText& text) : text_(text) {}

  void operator()(const SplitPattern& step) {
    if (step.word_pattern) {
      replace_pieces(
          [&](const TextRange& range) { scan_words(*step.word_pattern, text_.text, range, pieces_); });
      return;
    }
    std::string known_storage;
    const std::string_view known =
        step.regex ? Regex::with_known_characters(text_.text, known_storage) : text_.text;
    replace_pieces([&](const TextRange& range) {
      collect_parts(
          known.substr(range.begin, range.end - range.begin), range.begin,
          [&](std::string_view piece, std::size_t from) { return find(step, piece, from); }, parts_);
      if (step.invert) {
        for (Part& part : parts_) part.is_match = !part.is_match;
      }
      append_parts(parts_, step.behavior, pieces_);
    });
  }

  void operator()(const SplitCharacters& step) {
    replace_pieces([&](const TextRange& range) {
      std::size_t gap = range.begin;
      for (std::size_t position = range.begin; position < range.end;) {
        const DecodedCharacter here = decode_character(text_.text, position);
        const std::size_t end = position + here.length;
        if (step.is_match != nullptr ? step.is_match(here.code_point) : here.code_point == step.delimiter) {
          if (gap < position) parts_.push_back({{gap, position}, false});
          parts_.push_back({{position, end}, true});
          gap = end;
        }
        position = end;
      }
      if (gap < range.end) parts_.push_back({{gap, range.end}, false});
      append_parts(parts_, step.behavior, pieces_);
    });
  }

  void operator()(const WordsAndSymbols&) {
    enum class Kind { space, word, symbol };
    split_runs(
        [](CodePoint c) {
          return is_white_space(c) ? Kind::space : is_word_character(c) ? Kind::word : Kind::symbol;
        },
        [](Kind kind) { return kind != Kind::space; });
  }

  void operator()(const GroupDigitsFromRight& step) {
    const auto is_digit = [&](CodePoint c) {
      return step.decimal_only ? category(c) == Category::Nd : (character_bits(c) & character::kNumber) != 0;
    };
    replace_pieces([&](const TextRange& range) {
      std::size_t gap = range.begin;
      std::vector<std::size_t> borders;  // of the digits of one run
      for (std::size_t position = range.begin; position < range.end;) {
        borders.clear();
        std::size_t end = position;
        DecodedCharacter here = decode_character(text_.text, end);
        while (is_digit(here.code_point)) {
          borders.push_back(end);
          end += here.length;
          if (end == range.end) break;
          here = decode_character(text_.text, end);
        }
        if (borders.empty()) {
          position += here.length;
          continue;
        }
        if (step.before_word_border && end < range.end && is_word_character(here.code_point)) {
          position = end;
          continue;
        }
        if (gap < position) pieces_.push_back({gap, position});
        std::size_t begin = position;
        for (std::size_t index = 1; index < borders.size(); ++index) {
          if ((borders.size() - index) % 3 != 0) continue;
          pieces_.push_back({begin, borders[index]});
          begin = borders[index];
        }
        pieces_.push_back({begin, end});
        gap = position = end;
      }
      if (gap < range.end) pieces_.push_back({gap, range.end});
    });
  }

  void operator()(const CutBeforeThrees&) {
    replace_pieces([&](const TextRange& range) {
      std::size_t gap = range.begin;
      for (std::size_t position = range.begin; position < range.end;) {
        std::size_t digits = 0;
        std::size_t end = position;
        std::uint32_t length = 0;
        for (; end < range.end; end += length, ++digits) {
          const DecodedCharacter here = decode_character(text_.text, end);
          length = here.length;
          if (category(here.code_point) != Category::Nd) break;
        }
        if (digits == 0) {
          position += length;
          continue;
        }
        for (; digits > 0; --digits, position += character_length(text_.text[position])) {
          if (digits % 3 != 0 || position == gap) continue;
          pieces_.push_back({gap, position});
          gap = position;
        }
      }
      if (gap < range.end) pieces_.push_back({gap, range.end});
    });
  }

  void operator()(const TrailingSpaces&) {
    replace_pieces([&](const TextRange& range) { split_trailing_spaces(range); });
  }

  void operator()(const FixedLength& step) {
    replace_pieces([&](const TextRange& range) {
      std::size_t begin = range.begin;
      std::size_t count = 0;
      for (std::size_t position = range.begin; position < range.end;) {
        position += character_length(text_.text[position]);
        if (++count < step.characters && position < range.end) continue;
        pieces_.push_back({begin, position});
        begin = position;
        count = 0;
      }
    });
  }

  void operator()(const ByteLevelWords& step) {
    if (step.add_prefix_space) {
      rewrite([](std::string_view piece, bool, std::string& output) {
        if (!piece.starts_with(' ')) output += ' ';
        output += piece;
      });
    }
    if (step.use_regex) {
      replace_pieces([&](const TextRange& range) { scan_words(kGpt2Words, text_.text, range, pieces_); });
    }
    if (!step.map_characters) return;
    rewrite([](std::string_view piece, bool, std::string& output) {
      for (const char c : piece) append_byte_character(output, static_cast<unsigned char>(c));
    });
    text_.byte_characters = true;
  }

  void operator()(const Metaspace& step) {
    rewrite([&](std::string_view piece, bool at_start, std::string& output) {
      const bool wanted = step.prepend == Metaspace::Prepend::always ||
                          (step.prepend == Metaspace::Prepend::first && at_start);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(step.replacement))
        output += step.replacement;
      output += replace_all_spaces(piece, step.replacement);
    });
    if (!step.split) return;
    replace_pieces([&](const TextRange& range) {
      const std::string_view piece = text_.text.substr(range.begin, range.end - range.begin);
      collect_parts(
          piece, range.begin,
          [&](std::string_view all, std::size_t from) { return find_literal(step.replacement, all, from); },
          parts_);
      append_parts(parts_, SplitBehavior::merged_with_next, pieces_);
    });
  }

 private:
  static std::optional<TextRange> find_literal(std::string_view literal, std::string_view text,
                                               std::size_t from) {
    const std::size_t found = text.find(literal, from);
    if (found == std::string_view::npos) return std::nullopt;
    return TextRange{found, found + literal.size()};
  }

  static std::optional<TextRange> find(const SplitPattern& step, std::string_view text, std::size_t from) {
    return step.regex ? step.regex->find(text, from) : find_literal(step.literal, text, from);
  }

  static std::string replace_all_spaces(std::string_view piece, std::string_view replacement) {
    std::string result;
    result.reserve(piece.size() + piece.size() / 2);
    for (const char c : piece) {
      if (c == ' ') {
        result += replacement;
      } else {
        result += c;
      }
    }
    return result;
  }

  // Calls `cut(range)` for each piece; what it appends to pieces_ takes their place.
  template <typename Cut>
  void replace_pieces(Cut&& cut) {
    pieces_.clear();
    for (const TextRange& range : text_.pieces) {
      parts_.clear();
      cut(range);
    }
    std::swap(pieces_, text_.pieces);
  }

  // Calls `write(piece, at_start, output)` for each piece; what it appends is the piece's new text.
  template <typename Write>
  void rewrite(Write&& write) {
    std::string output;
    output.reserve(text_.text.size() + text_.text.size() / 2);
    bool first = true;
    for (TextRange& range : text_.pieces) {
      const std::size_t begin = output.size();
      write(text_.text.substr(range.begin, range.end - range.begin),
            first && text_.at_start && range.begin == 0, output);
      range = {begin, output.size()};
      first = false;
    }
    text_.storage = std::move(output);
    text_.text = text_.storage;
  }

  // Runs of characters of one kind; those that `keep` refuses are removed.
  template <typename KindOf, typename Keep>
  void split_runs(KindOf&& kind_of, Keep&& keep) {
    replace_pieces([&](const TextRange& range) {
      for (std::size_t position = range.begin; position < range.end;) {
        const std::size_t begin = position;
        const auto kind = kind_of(decode_character(text_.text, begin).code_point);
        while (position < range.end) {
          const DecodedCharacter here = decode_character(text_.text, position);
          if (kind_of(here.code_point) != kind) break;
          position += here.length;
        }
        if (keep(kind)) pieces_.push_back({begin, position});
      }
    });
  }

  // \s+$: in each run of white space what lies before its last line end, or all of it at the end of the text.
  void split_trailing_spaces(const TextRange& range) {
    std::size_t gap = range.begin;
    for (std::size_t position = range.begin; position < range.end;) {
      std::size_t end = position;
      std::size_t match_end = position;
      while (end < range.end) {
        const DecodedCharacter here = decode_character(text_.text, end);
        if (!is_white_space(here.code_point)) break;
        if (here.code_point == '\n') match_end = end;
        end += here.length;
      }
      if (end == range.end) match_end = end;
      if (match_end > position) {
        if (gap < position) pieces_.push_back({gap, position});
        pieces_.push_back({position, match_end});
        gap = match_end;
      }
      position = end > position ? end : position + decode_character(text_.text, position).length;
    }
    if (gap < range.end) pieces_.push_back({gap, range.end});
  }

  PreTokenizedText& text_;
  std::vector<TextRange> pieces_;
  std::vector<Part> parts_;
};

}  // namespace

void PreTokenizer::add(PreTokenizerStep step) { steps_.push_back(std::move(step)); }

bool PreTokenizer::is_byte_level() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const PreTokenizerStep& step) {
    return std::holds_alternative<ByteLevelWords>(step);
  });
}

// Cutting around every number and then into words is one step.
void PreTokenizer::join_numbers_and_words() {
  for (std::size_t i = 0; i + 1 < steps_.size(); ++i) {
    const auto* numbers = std::get_if<SplitCharacters>(&steps_[i]);
    if (numbers == nullptr || numbers->is_match != is_numeric || numbers->behavior != SplitBehavior::isolated)
      continue;
    SplitPattern both;
    if (auto* split = std::get_if<SplitPattern>(&steps_[i + 1]); split != nullptr && split->word_pattern) {
      both.word_pattern = split->word_pattern;
      steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    } else if (auto* bytes = std::get_if<ByteLevelWords>(&steps_[i + 1]);
               bytes != nullptr && bytes->use_regex && !bytes->add_prefix_space) {
      both.word_pattern = kGpt2Words;
      bytes->use_regex = false;
    } else {
      continue;
    }
    both.word_pattern->each_number_apart = true;
    steps_[i] = std::move(both);
  }
}

void PreTokenizer::finish() {
  if (steps_.empty()) return;
  join_numbers_and_words();
  if (auto* last = std::get_if<ByteLevelWords>(&steps_.back())) last->map_characters = false;
}

const WordPattern* PreTokenizer::only_pattern() const {
  if (steps_.empty() || steps_.size() > 2) return nullptr;
  const auto* bytes = std::get_if<ByteLevelWords>(&steps_.back());
  if (bytes == nullptr || bytes->add_prefix_space || bytes->map_characters) return nullptr;
  if (steps_.size() == 1) return bytes->use_regex ? &kGpt2Words : nullptr;
  const auto* split = std::get_if<SplitPattern>(steps_.data());
  return split != nullptr && split->word_pattern && !bytes->use_regex ? &*split->word_pattern : nullptr;
}

void PreTokenizer::apply(PreTokenizedText& text) const {
  Runner runner(text);
  for (const PreTokenizerStep& step : steps_) std::visit(runner, step);
}

}  // namespace tessera::text
