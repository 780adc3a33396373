#include "text/tokenizer_json_steps.h"

#include "base/error.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

constexpr int kMaximumDepth = 16;          // of sequences in sequences
constexpr std::size_t kMaximumSteps = 64;  // in one sequence

// Calls `read(member)` for each member of the array `key`.
template <typename Read>
void read_sequence(const JsonNode& node, std::string_view key, int depth, Read&& read) {
  if (depth >= kMaximumDepth) node.fail_expected(fmt::format("at most {} nested sequences", kMaximumDepth));
  const JsonNode list = node.require(key);
  std::size_t index = 0;
  for (const simdjson::dom::element element : list.array()) {
    if (index >= kMaximumSteps) list.fail_expected(fmt::format("at most {} members", kMaximumSteps));
    read(JsonNode(list, index++, element));
  }
}

// {"String": "..."} or {"Regex": "..."}.
Replace read_pattern(const JsonNode& node) {
  Replace result;
  if (const auto literal = node.find("String")) {
    result.literal = literal->string();
  } else if (const auto regex = node.find("Regex")) {
    result.regex = std::make_shared<Regex>(regex->string(), regex->where());
  } else {
    node.fail_expected("a 'String' or a 'Regex'");
  }
  return result;
}

Replace read_replace(const JsonNode& node) {
  Replace result = read_pattern(node.require("pattern"));
  result.content = node.require("content").string();
  return result;
}

SplitBehavior read_behavior(const JsonNode& node, std::string_view fallback) {
  const auto member = node.find("behavior");
  const std::string_view name = member ? member->string() : fallback;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  (member ? *member : node).fail_unsupported("behavior", name);
}

std::string read_character(const JsonNode& node) {
  const std::string_view text = node.string();
  if (text.empty() || character_length(text[0]) != text.size()) node.fail_expected("one character");
  return std::string(text);
}

std::size_t read_count(const JsonNode& node) {
  constexpr std::int64_t kMaximum = 1 << 20;
  const std::int64_t value = node.integer();
  if (value < 0 || value > kMaximum) node.fail_expected(fmt::format("an integer from 0 to {}", kMaximum));
  return static_cast<std::size_t>(value);
}

SplitPattern read_split(const JsonNode& node) {
  SplitPattern step;
  step.behavior = read_behavior(node, "");
  step.invert = node.boolean_or("invert", false);
  const JsonNode pattern = node.require("pattern");
  const auto regex = pattern.find("Regex");
  // The hand-written scanners cut a text without gaps: all that is left to know is whether matches stay.
  const bool keeps_matches =
      (step.behavior == SplitBehavior::isolated) || (step.behavior == SplitBehavior::removed && step.invert);
  if (regex && keeps_matches) step.word_pattern = parse_word_pattern(regex->string());
  if (step.word_pattern) return step;
  Replace found = read_pattern(pattern);
  step.regex = std::move(found.regex);
  step.literal = std::move(found.literal);
  return step;
}

Metaspace read_metaspace(const JsonNode& node) {
  Metaspace step;
  if (const auto replacement = node.find("replacement")) step.replacement = read_character(*replacement);
  step.split = node.boolean_or("split", true);
  if (const auto scheme = node.find("prepend_scheme")) {
    const std::string_view name = scheme->string();
    if (name == "always") {
      step.prepend = Metaspace::Prepend::always;
    } else if (name == "first") {
      step.prepend = Metaspace::Prepend::first;
    } else if (name == "never") {
      step.prepend = Metaspace::Prepend::never;
    } else {
      scheme->fail_unsupported("prepend_scheme", name);
    }
  } else if (!node.boolean_or("add_prefix_space", true)) {  // as older files have it
    step.prepend = Metaspace::Prepend::never;
  }
  return step;
}

TokenId read_token_id(const JsonNode& node, const Vocabulary& vocabulary) {
  const std::int64_t id = node.integer();
  if (id < 0 || id > std::int64_t{0x7fffffff} || !vocabulary.contains(static_cast<TokenId>(id))) {
    node.fail_expected("the id of a token");
  }
  return static_cast<TokenId>(id);
}

void append_template(const JsonNode& node, const Vocabulary& vocabulary, PostProcessor& result) {
  const JsonNode items = node.require("single");
  bool behind_text = false;
  std::size_t index = 0;
  for (const simdjson::dom::element element : items.array()) {
    const JsonNode item(items, index++, element);
    if (item.find("Sequence")) {
      if (behind_text) item.fail_unsupported("template", "with the text twice");
      behind_text = true;
      continue;
    }
    const JsonNode special = item.require("SpecialToken");
    const JsonNode name = special.require("id");
    const JsonNode tokens = node.require("special_tokens");
    const JsonNode token = tokens.require(name.string());
    const JsonNode ids = token.require("ids");
    std::size_t id_index = 0;
    for (const simdjson::dom::element id : ids.array()) {
      (behind_text ? result.after : result.before)
          .push_back(read_token_id(JsonNode(ids, id_index++, id), vocabulary));
    }
  }
  if (!behind_text) items.fail_expected("a 'Sequence', the place of the text");
}

// ["[SEP]", 102]
TokenId read_named_token(const JsonNode& node, const Vocabulary& vocabulary) {
  simdjson::dom::element id;
  if (node.array().at(1).get(id) != simdjson::SUCCESS) node.fail_expected("a token and its id");
  return read_token_id(JsonNode(node, std::size_t{1}, id), vocabulary);
}

}  // namespace

void read_normalizer(const JsonNode& node, Normalizer& normalizer, int depth) {
  const JsonNode type = node.require("type");
  const std::string_view name = type.string();
  if (name == "Sequence") {
    read_sequence(node, "normalizers", depth,
                  [&](const JsonNode& member) { read_normalizer(member, normalizer, depth + 1); });
  } else if (name == "NFC") {
    normalizer.add(UnicodeForm{NormalForm::nfc});
  } else if (name == "NFD") {
    normalizer.add(UnicodeForm{NormalForm::nfd});
  } else if (name == "NFKC") {
    normalizer.add(UnicodeForm{NormalForm::nfkc});
  } else if (name == "NFKD") {
    normalizer.add(UnicodeForm{NormalForm::nfkd});
  } else if (name == "Lowercase") {
    normalizer.add(Lowercase{});
  } else if (name == "Strip") {
    normalizer.add(Strip{node.boolean_or("strip_left", true), node.boolean_or("strip_right", true)});
  } else if (name == "StripAccents") {
    normalizer.add(StripAccents{});
  } else if (name == "Nmt") {
    normalizer.add(Nmt{});
  } else if (name == "Prepend") {
    normalizer.add(Prepend{std::string(node.require("prepend").string())});
  } else if (name == "Replace") {
    normalizer.add(read_replace(node));
  } else if (name == "ByteLevel") {
    normalizer.add(ByteLevelNormalizer{});
  } else if (name == "BertNormalizer") {
    BertNormalizer step;
    step.clean_text = node.boolean_or("clean_text", true);
    step.handle_chinese_chars = node.boolean_or("handle_chinese_chars", true);
    step.lowercase = node.boolean_or("lowercase", true);
    step.strip_accents = node.boolean_or("strip_accents", step.lowercase);
    normalizer.add(step);
  } else {
    type.fail_unsupported("normalizer", name);
  }
}

void read_pre_tokenizer(const JsonNode& node, PreTokenizer& pre_tokenizer, int depth) {
  const JsonNode type = node.require("type");
  const std::string_view name = type.string();
  if (name == "Sequence") {
    read_sequence(node, "pretokenizers", depth,
                  [&](const JsonNode& member) { read_pre_tokenizer(member, pre_tokenizer, depth + 1); });
  } else if (name == "ByteLevel") {
    if (pre_tokenizer.is_byte_level()) type.fail_unsupported("a second pre-tokenizer", name);
    pre_tokenizer.add(
        ByteLevelWords{node.boolean_or("add_prefix_space", true), node.boolean_or("use_regex", true), true});
  } else if (name == "Split") {
    const JsonNode pattern = node.require("pattern");
    const auto regex = pattern.find("Regex");
    // By hand, because a regex engine reads to the end of a run of digits for each three of them.
    const bool isolated = node.string_or("behavior", "") == "Isolated" && !node.boolean_or("invert", false);
    if (isolated && regex && regex->string() == R"(\d{1,3}(?=(?:\d{3})*\b))") {
      pre_tokenizer.add(GroupDigitsFromRight{.decimal_only = true, .before_word_border = true});
    } else if (isolated && regex && regex->string() == R"((?=(\d{3})+(?!\d)))") {
      pre_tokenizer.add(CutBeforeThrees{});
    } else {
      pre_tokenizer.add(read_split(node));
    }
  } else if (name == "Metaspace") {
    pre_tokenizer.add(read_metaspace(node));
  } else if (name == "Digits") {
    const bool individual = node.boolean_or("individual_digits", false);
    pre_tokenizer.add(
        SplitCharacters{is_numeric, 0, individual ? SplitBehavior::isolated : SplitBehavior::contiguous});
  } else if (name == "Punctuation") {
    pre_tokenizer.add(SplitCharacters{is_punctuation, 0, read_behavior(node, "Isolated")});
  } else if (name == "Whitespace") {
    pre_tokenizer.add(WordsAndSymbols{});
  } else if (name == "WhitespaceSplit") {
    pre_tokenizer.add(SplitCharacters{is_white_space, 0, SplitBehavior::removed});
  } else if (name == "BertPreTokenizer") {
    pre_tokenizer.add(SplitCharacters{is_white_space, 0, SplitBehavior::removed});
    pre_tokenizer.add(SplitCharacters{is_punctuation, 0, SplitBehavior::isolated});
  } else if (name == "CharDelimiterSplit") {
    const std::string delimiter = read_character(node.require("delimiter"));
    pre_tokenizer.add(
        SplitCharacters{nullptr, decode_character(delimiter, 0).code_point, SplitBehavior::removed});
  } else if (name == "FixedLength") {
    const JsonNode length = node.require("length");
    const std::size_t count = read_count(length);
    if (count == 0) length.fail_expected("an integer above 0");
    pre_tokenizer.add(FixedLength{count});
  } else {
    type.fail_unsupported("pre_tokenizer", name);
  }
}

void read_post_processor(const JsonNode& node, const Vocabulary& vocabulary, PostProcessor& post_processor,
                         int depth) {
  const JsonNode type = node.require("type");
  const std::string_view name = type.string();
  if (name == "Sequence") {
    read_sequence(node, "processors", depth, [&](const JsonNode& member) {
      PostProcessor one;
      read_post_processor(member, vocabulary, one, depth + 1);
      post_processor.before.insert(post_processor.before.begin(), one.before.begin(), one.before.end());
      post_processor.after.insert(post_processor.after.end(), one.after.begin(), one.after.end());
    });
  } else if (name == "TemplateProcessing") {
    append_template(node, vocabulary, post_processor);
  } else if (name == "BertProcessing" || name == "RobertaProcessing") {
    post_processor.before.push_back(read_named_token(node.require("cls"), vocabulary));
    post_processor.after.push_back(read_named_token(node.require("sep"), vocabulary));
  } else if (name != "ByteLevel") {  // ByteLevel only moves offsets
    type.fail_unsupported("post_processor", name);
  }
}

void read_decoder(const JsonNode& node, Decoder& decoder, int depth) {
  const JsonNode type = node.require("type");
  const std::string_view name = type.string();
  if (name == "Sequence") {
    read_sequence(node, "decoders", depth,
                  [&](const JsonNode& member) { read_decoder(member, decoder, depth + 1); });
  } else if (name == "ByteLevel") {
    decoder.add(ByteLevelDecoder{});
  } else if (name == "Metaspace") {
    const Metaspace step = read_metaspace(node);
    decoder.add(MetaspaceDecoder{step.replacement, step.prepend != Metaspace::Prepend::never});
  } else if (name == "ByteFallback") {
    decoder.add(ByteFallbackDecoder{});
  } else if (name == "Fuse") {
    decoder.add(FuseDecoder{});
  } else if (name == "Strip") {
    decoder.add(StripDecoder{read_character(node.require("content")), read_count(node.require("start")),
                             read_count(node.require("stop"))});
  } else if (name == "Replace") {
    decoder.add(ReplaceDecoder{read_replace(node)});
  } else if (name == "WordPiece") {
    decoder.add(
        WordPieceDecoder{std::string(node.string_or("prefix", "##")), node.boolean_or("cleanup", true)});
  } else if (name == "BPEDecoder") {
    decoder.add(BpeDecoder{std::string(node.string_or("suffix", "</w>"))});
  } else {
    type.fail_unsupported("decoder", name);
  }
}

}  // namespace tessera::text
