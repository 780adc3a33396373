#include "text/pipeline_tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/encode_work.h"

namespace tessera::text {
namespace {

// Ranges of `text` moved to where its parts lie in the normalized text.
std::vector<TextRange> normalized_ranges(const Normalizer& normalizer, std::string_view text,
                                         std::span<const TextRange> ranges, std::size_t normalized_size) {
  std::vector<TextRange> result;
  std::size_t done = 0;  // of text
  std::size_t size = 0;  // of its normal form
  const auto advance = [&](std::size_t to) {
    size += normalizer.apply(text.substr(done, to - done), {done == 0, to == text.size()}).size();
    done = to;
    return size;
  };
  for (const TextRange& range : ranges) {
    const std::size_t begin = advance(range.begin);
    result.push_back({begin, advance(range.end)});
  }
  // Where borders do not add up (a mark that composed across one), all of it counts as typed: no control
  // token slips in.
  if (advance(text.size()) != normalized_size) return {{0, normalized_size}};
  return result;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
    std::vector<AddedToken> plain;
    std::vector<AddedToken> normalized;
    for (AddedToken& token : parts_.added_tokens) {
      if (token.normalized && !parts_.normalizer.empty()) {
        token.content = parts_.normalizer.apply(token.content);
        normalized_spellings_[token.id] = token.content;
        normalized.push_back(token);
      } else if (token.normalized) {
        normalized.push_back(token);
      } else {
        plain.push_back(token);
      }
    }
    plain_matcher_ = AddedTokenMatcher(std::move(plain));
    normalized_matcher_ = AddedTokenMatcher(std::move(normalized));
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TextRange> literal(options.literal_ranges.begin(), options.literal_ranges.end());
    if (!options.parse_special) literal.clear();
    std::sort(literal.begin(), literal.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    for (TextRange& range : literal) {
      range.end = std::min(range.end, text.size());
      range.begin = std::min(range.begin, range.end);
    }
    std::string repaired;
    if (!is_valid_utf8(text)) {
      repaired = replace_ill_formed(text, &literal);
      text = repaired;
    }
    std::vector<TokenId> output;
    output.reserve(text.size() / 3 + 4);
    if (options.add_special_tokens) {
      output.insert(output.end(), parts_.post_processor.before.begin(), parts_.post_processor.before.end());
    }
    const auto encoder = parts_.model->make_encoder(text.size());
    encode_text(text, options.parse_special, literal, *encoder, output);
    if (options.add_special_tokens) {
      output.insert(output.end(), parts_.post_processor.after.begin(), parts_.post_processor.after.end());
    }
    return output;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string_view> tokens;
    tokens.reserve(ids.size());
    for (const TokenId id : ids) {
      check(id);
      if (skip_special && parts_.vocabulary.kind(id) == TokenKind::control) continue;
      tokens.push_back(spelling(id));
    }
    return parts_.decoder.decode(tokens);
  }

  std::string token_bytes(TokenId id) const override {
    return parts_.decoder.token_bytes(spelling(id), false);
  }
  std::string first_token_bytes(TokenId id) const override {
    return parts_.decoder.token_bytes(spelling(id), true);
  }
  std::string_view token_text(TokenId id) const override {
    check(id);
    return parts_.vocabulary.text(id);
  }
  std::optional<TokenId> find_token(std::string_view text) const override {
    return parts_.vocabulary.find(text);
  }
  TokenKind token_kind(TokenId id) const override {
    check(id);
    return parts_.vocabulary.kind(id);
  }

  std::size_t vocabulary_size() const override { return parts_.vocabulary.size(); }
  std::optional<TokenId> bos_token() const override { return parts_.bos; }
  std::optional<TokenId> eos_token() const override { return parts_.eos; }
  std::span<const TokenId> end_of_generation_tokens() const override { return parts_.end_of_generation; }
  std::string description() const override { return parts_.description; }

 private:
  void check(TokenId id) const {
    if (parts_.vocabulary.contains(id)) return;
    fail(ErrorKind::bad_input, "token id {}: expected one of the vocabulary's {} tokens", id,
         parts_.vocabulary.size());
  }

  // What a decoder is given: tokens that are looked for in the normalized text are spelled as they stand
  // there.
  std::string_view spelling(TokenId id) const {
    check(id);
    if (normalized_spellings_.empty()) return parts_.vocabulary.text(id);
    const auto found = normalized_spellings_.find(id);
    return found == normalized_spellings_.end() ? parts_.vocabulary.text(id) : found->second;
  }

  void encode_text(std::string_view text, bool parse_special, std::span<const TextRange> literal,
                   WordEncoder& encoder, std::vector<TokenId>& output) const {
    std::vector<TextPiece> pieces;
    plain_matcher_.split(text, parse_special, literal, pieces);
    std::vector<TextPiece> inner;
    for (const TextPiece& piece : pieces) {
      if (piece.id >= 0) {
        output.push_back(piece.id);
        continue;
      }
      const std::string_view part = text.substr(piece.range.begin, piece.range.end - piece.range.begin);
      std::string normalized_storage;
      std::string_view normalized = part;
      if (!parts_.normalizer.empty()) normalized = normalized_storage = parts_.normalizer.apply(part);
      inner.clear();
      if (normalized_matcher_.empty()) {
        if (!normalized.empty()) inner.push_back({{0, normalized.size()}, -1});
      } else {
        const std::vector<TextRange> moved = move_ranges(literal, piece.range, part, normalized.size());
        normalized_matcher_.split(normalized, parse_special, moved, inner);
      }
      encode_pieces(normalized, inner, piece.range.begin == 0, encoder, output);
    }
  }

  // Literal ranges of the whole text as ranges of the normal form of the part at `range`.
  std::vector<TextRange> move_ranges(std::span<const TextRange> literal, const TextRange& range,
                                     std::string_view part, std::size_t normalized_size) const {
    std::vector<TextRange> cut;
    if (!normalized_matcher_.has_special()) return cut;
    std::size_t last = range.begin;
    for (const TextRange& one : literal) {
      const TextRange inside{std::max(one.begin, last), std::min(one.end, range.end)};
      if (inside.begin >= inside.end) continue;
      cut.push_back({inside.begin - range.begin, inside.end - range.begin});
      last = inside.end;
    }
    if (cut.empty() || parts_.normalizer.empty()) return cut;
    return normalized_ranges(parts_.normalizer, part, cut, normalized_size);
  }

  void encode_pieces(std::string_view text, const std::vector<TextPiece>& pieces, bool at_start,
                     WordEncoder& encoder, std::vector<TokenId>& output) const {
    const WordPattern* const pattern = parts_.byte_level && !parts_.normalizer.maps_to_byte_characters()
                                           ? parts_.pre_tokenizer.only_pattern()
                                           : nullptr;
    for (const TextPiece& piece : pieces) {
      if (piece.id >= 0) {
        output.push_back(piece.id);
        continue;
      }
      if (pattern != nullptr) {
        encode_words(*pattern, text.substr(piece.range.begin, piece.range.end - piece.range.begin), encoder,
                     output);
        continue;
      }
      PreTokenizedText words;
      words.text = text.substr(piece.range.begin, piece.range.end - piece.range.begin);
      words.pieces.push_back({0, words.text.size()});
      words.at_start = at_start && piece.range.begin == 0;
      words.byte_characters = parts_.normalizer.maps_to_byte_characters();
      parts_.pre_tokenizer.apply(words);
      if (words.byte_characters && parts_.byte_level) to_raw_bytes(words);
      encoder.append_tokens(words.text, words.pieces, output);
    }
  }

  // The common case, where a pattern alone cuts the text: a few words at a time, while they are in the cache.
  static void encode_words(const WordPattern& pattern, std::string_view text, WordEncoder& encoder,
                           std::vector<TokenId>& output) {
    WordScanner scanner(pattern, text);
    std::array<TextRange, 256> words{};
    for (std::size_t begin = 0; begin < text.size();) {
      std::size_t count = 0;
      for (; count < words.size() && begin < text.size(); ++count) {
        const std::size_t end = scanner.next(begin);
        words[count] = {begin, end};
        begin = end;
      }
      encoder.append_tokens(text, std::span(words).first(count), output);
    }
    encode_work().scanned_bytes += scanner.scanned_bytes();
  }

  // Byte characters back to the bytes the model knows.
  static void to_raw_bytes(PreTokenizedText& words) {
    std::string bytes;
    bytes.reserve(words.text.size());
    for (TextRange& range : words.pieces) {
      const std::string_view word = words.text.substr(range.begin, range.end - range.begin);
      const std::size_t begin = bytes.size();
      for (std::size_t position = 0; position < word.size();) {
        const std::size_t length = character_length(word[position]);
        // What is no byte character has no token in a byte-level vocabulary; 0xff occurs in no UTF-8 text.
        bytes += from_byte_characters(word.substr(position, length)).value_or("\xff");
        position += length;
      }
      range = {begin, bytes.size()};
    }
    words.storage = std::move(bytes);
    words.text = words.storage;
  }

  TokenizerParts parts_;
  std::unordered_map<TokenId, std::string> normalized_spellings_;
  AddedTokenMatcher plain_matcher_;
  AddedTokenMatcher normalized_matcher_;
};

}  // namespace

bool is_end_of_generation_text(std::string_view text) {
  static constexpr std::array<std::string_view, 24> kTexts = {"<|im_end|>",
                                                              "<|eot_id|>",
                                                              "<|eom_id|>",
                                                              "<|end|>",
                                                              "<|return|>",
                                                              "<|call|>",
                                                              "<|calls|>",
                                                              "<|flush|>",
                                                              "<end_of_turn>",
                                                              "<turn|>",
                                                              "<|tool_response>",
                                                              "<|endoftext|>",
                                                              "<|end_of_text|>",
                                                              "<|eot|>",
                                                              "<EOT>",
                                                              "_<EOT>",
                                                              "[EOT]",
                                                              "[EOS]",
                                                              "</s>",
                                                              "<eos>",
                                                              "<end_of_utterance>",
                                                              "<|END_OF_TURN_TOKEN|>",
                                                              "[e~[",
                                                              "<\xef\xbd\x9c"
                                                              "end\xe2\x96\x81"
                                                              "of\xe2\x96\x81"
                                                              "sentence\xef\xbd\x9c>"};
  return std::find(kTexts.begin(), kTexts.end(), text) != kTexts.end();
}

void set_end_of_generation(TokenizerParts& parts, const std::vector<TokenId>& ids) {
  std::vector<TokenId>& all = parts.end_of_generation;
  all = ids;
  if (parts.eos) all.push_back(*parts.eos);
  bool returns = false;
  bool calls = false;
  std::optional<TokenId> end;
  for (std::size_t i = 0; i < parts.vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!parts.vocabulary.contains(id) || parts.vocabulary.kind(id) != TokenKind::control) continue;
    const std::string_view text = parts.vocabulary.text(id);
    if (!is_end_of_generation_text(text)) continue;
    returns = returns || text == "<|return|>" || text == "<|flush|>";
    calls = calls || text == "<|call|>" || text == "<|calls|>";
    if (text == "<|end|>") end = id;
    all.push_back(id);
  }
  // In formats with channels (harmony) <|end|> ends a message, not the turn.
  if (returns && calls && end && parts.eos != end) std::erase(all, *end);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
}

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(TokenizerParts parts) {
  return std::make_unique<PipelineTokenizer>(std::move(parts));
}

}  // namespace tessera::text
