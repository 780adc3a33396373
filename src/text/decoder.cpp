#include "text/decoder.h"

#include <algorithm>
#include <array>

#include "text/byte_level.h"
#include "text/underlines.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tessera::text {
namespace {

// Bytes if all characters are of the alphabet, else the text as it is.
std::string byte_level_bytes(std::string_view token) {
  auto bytes = from_byte_characters(token);
  return bytes ? std::move(*bytes) : std::string(token);
}

std::string metaspace_text(std::string_view token, const MetaspaceDecoder& step, bool first) {
  return replace_all(token, step.replacement, first && step.strip_first ? "" : " ");
}

std::string stripped(std::string_view token, const StripDecoder& step, bool left, bool right) {
  for (std::size_t i = 0; left && i < step.start && token.starts_with(step.content); ++i) {
    token.remove_prefix(step.content.size());
  }
  for (std::size_t i = 0; right && i < step.stop && token.ends_with(step.content); ++i) {
    token.remove_suffix(step.content.size());
  }
  return std::string(token);
}

// The clean-up of English spacing that BERT's decoders do.
std::string cleaned_up(std::string text) {
  static constexpr std::array<std::array<std::string_view, 2>, 11> kRules = {{{" .", "."},
                                                                              {" ?", "?"},
                                                                              {" !", "!"},
                                                                              {" ,", ","},
                                                                              {" ' ", "'"},
                                                                              {" n't", "n't"},
                                                                              {" 'm", "'m"},
                                                                              {" do not", " don't"},
                                                                              {" 's", "'s"},
                                                                              {" 've", "'ve"},
                                                                              {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) text = replace_all(text, from, to);
  return text;
}

std::string word_piece_text(std::string_view token, const WordPieceDecoder& step, bool first) {
  std::string text;
  if (!first && token.starts_with(step.prefix)) {
    text = token.substr(step.prefix.size());
  } else {
    if (!first) text = " ";
    text += token;
  }
  return step.cleanup ? cleaned_up(std::move(text)) : text;
}

std::vector<std::string> join_bytes(std::vector<std::string> tokens) {
  std::vector<std::string> result;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (is_valid_utf8(bytes)) {
      result.push_back(bytes);
    } else {  // one U+FFFD for each byte of the run
      for (std::size_t i = 0; i < bytes.size(); ++i)
        append_utf8(result.emplace_back(), kReplacementCharacter);
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = parse_byte_token(token)) {
      bytes += static_cast<char>(*byte);
    } else {
      flush();
      result.push_back(std::move(token));
    }
  }
  flush();
  return result;
}

std::string joined(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

// The two chains of steps that most models have, without a string for each token.
std::string byte_level_text(std::span<const std::string_view> tokens) {
  std::size_t size = 0;
  for (const std::string_view token : tokens) size += token.size();
  std::string bytes(size, '\0');  // no byte character is shorter than its byte
  char* end = bytes.data();
  for (const std::string_view token : tokens) {
    char* const after = write_bytes(token, end);
    end = after != nullptr ? after : std::copy(token.begin(), token.end(), end);
  }
  bytes.resize(static_cast<std::size_t>(end - bytes.data()));
  return is_valid_utf8(bytes) ? std::move(bytes) : replace_ill_formed(bytes);
}

std::string sentencepiece_text(std::span<const std::string_view> tokens) {
  std::string text;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (is_valid_utf8(bytes)) {
      text += bytes;
    } else {  // one U+FFFD for each byte of the run
      for (std::size_t i = 0; i < bytes.size(); ++i) append_utf8(text, kReplacementCharacter);
    }
    bytes.clear();
  };
  for (std::string_view token : tokens) {
    if (const auto byte = parse_byte_token(token)) {
      bytes += static_cast<char>(*byte);
      continue;
    }
    flush();
    while (!token.empty()) {
      const std::size_t found = std::min(token.find(kUnderline), token.size());
      text.append(token.substr(0, found));
      if (found < token.size()) text += ' ';
      token.remove_prefix(std::min(found + kUnderline.size(), token.size()));
    }
  }
  flush();
  return text;
}

// One step over all tokens of a sequence.
struct WholeStep {
  std::vector<std::string> tokens;

  template <typename Function>
  std::vector<std::string> each(Function&& function) {
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = function(tokens[i], i);
    return std::move(tokens);
  }

  std::vector<std::string> operator()(const ByteLevelDecoder&) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += byte_level_bytes(token);
    return {is_valid_utf8(bytes) ? std::move(bytes) : replace_ill_formed(bytes)};
  }
  std::vector<std::string> operator()(const MetaspaceDecoder& step) {
    return each([&](const std::string& token, std::size_t i) { return metaspace_text(token, step, i == 0); });
  }
  std::vector<std::string> operator()(const ByteFallbackDecoder&) { return join_bytes(std::move(tokens)); }
  std::vector<std::string> operator()(const FuseDecoder&) { return {joined(tokens)}; }
  std::vector<std::string> operator()(const StripDecoder& step) {
    return each([&](const std::string& token, std::size_t) { return stripped(token, step, true, true); });
  }
  std::vector<std::string> operator()(const ReplaceDecoder& step) {
    return each([&](const std::string& token, std::size_t) { return replace_all(token, step.replace); });
  }
  std::vector<std::string> operator()(const WordPieceDecoder& step) {
    return each(
        [&](const std::string& token, std::size_t i) { return word_piece_text(token, step, i == 0); });
  }
  std::vector<std::string> operator()(const BpeDecoder& step) {
    const std::size_t last = tokens.empty() ? 0 : tokens.size() - 1;
    return each([&](const std::string& token, std::size_t i) {
      return replace_all(token, step.suffix, i == last ? "" : " ");
    });
  }
};

// One step over a single token somewhere in a sequence.
struct TokenStep {
  std::string bytes;
  bool at_start = false;
  bool fused = false;  // Fuse came before: the ends of the token are not the ends of the text
  bool raw = false;    // bytes, no longer characters

  void operator()(const ByteLevelDecoder&) {
    bytes = byte_level_bytes(bytes);
    raw = fused = true;
  }
  void operator()(const MetaspaceDecoder& step) { bytes = metaspace_text(bytes, step, at_start); }
  void operator()(const ByteFallbackDecoder&) {
    if (const auto byte = parse_byte_token(bytes)) {
      bytes.assign(1, static_cast<char>(*byte));
      raw = true;
    }
  }
  void operator()(const FuseDecoder&) { fused = true; }
  void operator()(const StripDecoder& step) { bytes = stripped(bytes, step, !fused || at_start, !fused); }
  void operator()(const ReplaceDecoder& step) {
    if (!raw || is_valid_utf8(bytes)) bytes = replace_all(bytes, step.replace);
  }
  void operator()(const WordPieceDecoder& step) { bytes = word_piece_text(bytes, step, at_start); }
  void operator()(const BpeDecoder& step) { bytes = replace_all(bytes, step.suffix, " "); }
};

}  // namespace

void Decoder::add(DecoderStep step) { steps_.push_back(std::move(step)); }

bool Decoder::is_sentencepiece() const {
  if (steps_.size() < 3 || steps_.size() > 4) return false;
  const auto* replace = std::get_if<ReplaceDecoder>(steps_.data());
  return replace != nullptr && !replace->replace.regex && replace->replace.literal == kUnderline &&
         replace->replace.content == " " && std::holds_alternative<ByteFallbackDecoder>(steps_[1]) &&
         std::holds_alternative<FuseDecoder>(steps_[2]) &&
         (steps_.size() == 3 || std::holds_alternative<StripDecoder>(steps_[3]));
}

std::string Decoder::decode(std::span<const std::string_view> tokens) const {
  if (steps_.empty()) {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) text += ' ';
      text += tokens[i];
    }
    return text;
  }
  if (steps_.size() == 1 && std::holds_alternative<ByteLevelDecoder>(steps_[0]))
    return byte_level_text(tokens);
  if (is_sentencepiece()) {
    std::string text = sentencepiece_text(tokens);
    return steps_.size() == 3 ? text : stripped(text, std::get<StripDecoder>(steps_[3]), true, true);
  }
  std::vector<std::string> texts(tokens.begin(), tokens.end());
  for (const DecoderStep& step : steps_) {
    WholeStep whole{std::move(texts)};
    texts = std::visit(whole, step);
  }
  return joined(texts);
}

std::string Decoder::token_bytes(std::string_view token, bool at_start) const {
  if (steps_.empty()) return at_start ? std::string(token) : " " + std::string(token);
  TokenStep state{std::string(token), at_start};
  for (const DecoderStep& step : steps_) std::visit(state, step);
  return std::move(state.bytes);
}

}  // namespace tessera::text
