#include "text/tokenizer_training.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "text/byte_level.h"
#include "text/unicode.h"
#include "text/unigram_trainer.h"
#include "text/word_counter.h"

namespace tessera::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kBytes = 256;
constexpr std::size_t kMostVocabulary = std::size_t{1} << 24U;

struct NamedPattern {
  std::string_view name;
  std::string_view regex;
};
constexpr std::array kPatterns = std::to_array<NamedPattern>({
    {"gpt2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {"llama3",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
});

const NamedPattern& find_pattern(const std::string& name) {
  const auto found = std::ranges::find(kPatterns, name, &NamedPattern::name);
  if (found == kPatterns.end()) {
    fail(ErrorKind::bad_usage, "pattern: expected one of gpt2, llama3, found '{}'", printable(name));
  }
  return *found;
}

void check_special_tokens(const std::vector<std::string>& tokens) {
  std::set<std::string_view> seen;
  for (const std::string& token : tokens) {
    if (token.empty() || !is_valid_utf8(token)) {
      fail(ErrorKind::bad_usage, "special token: expected UTF-8 text, found '{}'", printable(token));
    }
    if (!seen.insert(token).second) {
      fail(ErrorKind::bad_usage, "special token: expected each once, found '{}' again", printable(token));
    }
  }
}

// Byte values in the order of the characters that stand for them: '!' first.
std::array<unsigned char, kBytes> bytes_by_character() {
  std::array<std::pair<CodePoint, unsigned char>, kBytes> order;
  for (unsigned byte = 0; byte < kBytes; ++byte) {
    std::string character;
    append_byte_character(character, static_cast<unsigned char>(byte));
    order[byte] = {decode_character(character, 0).code_point, static_cast<unsigned char>(byte)};
  }
  std::ranges::sort(order);
  std::array<unsigned char, kBytes> bytes{};
  std::ranges::transform(order, bytes.begin(), [](const auto& entry) { return entry.second; });
  return bytes;
}

// What both kinds share; the rest is null or the model's.
Json new_tokenizer_json(const std::vector<std::string>& special_tokens) {
  Json added = Json::array();
  for (std::size_t id = 0; id < special_tokens.size(); ++id) {
    added.push_back({{"id", id},
                     {"content", special_tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return {{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
          {"added_tokens", added},     {"normalizer", nullptr}, {"pre_tokenizer", nullptr},
          {"post_processor", nullptr}, {"decoder", nullptr},    {"model", Json::object()}};
}

Json bpe_model(Json vocabulary, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

Json byte_level_step(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pre_tokenizer_of(const NamedPattern& pattern) {
  if (pattern.name == "gpt2") return byte_level_step(true);
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", pattern.regex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level_step(false)})}};
}

std::string to_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

constexpr std::string_view kUnderline = "\xe2\x96\x81";  // U+2581, SentencePiece's space
constexpr const char* kUnknown = "<unk>";

Json metaspace_step() {
  return {{"type", "Metaspace"}, {"replacement", kUnderline}, {"prepend_scheme", "never"}, {"split", true}};
}

// Newlines alone, and a cut before every space: what the steps of write_unigram() do.
void cut_at_spaces(std::string_view text, const std::function<void(std::string_view)>& take) {
  std::size_t begin = 0;
  const auto cut = [&](std::size_t at) {
    if (at > begin) take(text.substr(begin, at - begin));
    begin = at;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') {
      cut(at);
      cut(at + 1);
    } else if (text[at] == ' ' || text.substr(at).starts_with(kUnderline)) {
      cut(at);
    }
  }
  cut(text.size());
}

TrainedTokenizer write_unigram(const std::vector<UnigramPiece>& pieces,
                               const std::vector<std::string>& special_tokens) {
  Json vocabulary = Json::array();
  for (const std::string& token : special_tokens) vocabulary.push_back(Json::array({token, 0.0}));
  for (const UnigramPiece& piece : pieces) vocabulary.push_back(Json::array({piece.text, piece.score}));
  const auto unknown = std::ranges::find(special_tokens, kUnknown) - special_tokens.begin();
  const Json newlines = {
      {"type", "Split"}, {"pattern", {{"String", "\n"}}}, {"behavior", "Isolated"}, {"invert", false}};
  Json json = new_tokenizer_json(special_tokens);
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", Json::array({newlines, metaspace_step()})}};
  json["decoder"] = metaspace_step();
  json["model"] = {{"type", "Unigram"}, {"unk_id", unknown}, {"vocab", vocabulary}, {"byte_fallback", false}};
  return {.tokenizer_json = to_text(json),
          .vocabulary_size = special_tokens.size() + pieces.size(),
          .merges = {}};
}

TrainedTokenizer write_bpe(const TrainedBpe& bpe, const TokenizerTrainingOptions& options,
                           const NamedPattern& pattern) {
  TrainedTokenizer trained;
  Json vocabulary = Json::object();
  for (std::size_t id = 0; id < bpe.tokens.size(); ++id) {
    const bool special = id < options.special_tokens.size();
    // push_back of a pair would look every key up among those before: emplace on the list underneath does
    // not.
    vocabulary.get_ref<Json::object_t&>().emplace_back(
        special ? options.special_tokens[id] : to_byte_characters(bpe.tokens[id]), id);
  }
  Json merges = Json::array();
  for (const auto& [left, right] : bpe.merges) {
    const std::string first = to_byte_characters(bpe.tokens[left]);
    const std::string second = to_byte_characters(bpe.tokens[right]);
    merges.push_back(Json::array({first, second}));
    trained.merges.push_back(first + " " + second);
  }
  Json json = new_tokenizer_json(options.special_tokens);
  json["pre_tokenizer"] = pre_tokenizer_of(pattern);
  json["decoder"] = byte_level_step(true);
  json["model"] = bpe_model(std::move(vocabulary), std::move(merges));
  trained.tokenizer_json = to_text(json);
  trained.vocabulary_size = bpe.tokens.size();
  return trained;
}

}  // namespace

TrainedTokenizer train_byte_level_bpe(std::span<const std::string_view> texts,
                                      const TokenizerTrainingOptions& options, const ProgressSink& progress) {
  const NamedPattern& pattern = find_pattern(options.pattern);
  check_special_tokens(options.special_tokens);
  const std::size_t least = options.special_tokens.size() + kBytes;
  if (options.vocabulary_size < least || options.vocabulary_size > kMostVocabulary) {
    fail(ErrorKind::bad_usage, "vocabulary: expected {} (256 bytes and {} special tokens) to {}, found {}",
         least, options.special_tokens.size(), kMostVocabulary, options.vocabulary_size);
  }
  const std::optional<WordPattern> words_pattern = parse_word_pattern(pattern.regex);
  if (!words_pattern) fail(ErrorKind::internal, "expected a scanner for pattern '{}'", pattern.name);
  const std::vector<WordCount> words = count_words(texts, *words_pattern, options.special_tokens, progress);
  std::vector<CountedWord> counted;
  counted.reserve(words.size());
  for (const WordCount& word : words) counted.push_back({word.bytes, word.count});

  std::vector<std::string> base(options.special_tokens.size());  // no text makes them
  for (const unsigned char byte : bytes_by_character()) base.emplace_back(1, static_cast<char>(byte));
  const auto start = std::chrono::steady_clock::now();
  Progress record{
      .stage = "merge", .subject = "pairs", .total = options.vocabulary_size - least, .unit = "tokens"};
  const auto report = [&](std::size_t tokens) {
    record.done = tokens - least;
    record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    record.per_second = record.seconds > 0 ? static_cast<double>(record.done) / record.seconds : 0;
    if (progress) progress(record);
  };
  const TrainedBpe bpe = train_bpe(counted, base,
                                   {.vocabulary_size = options.vocabulary_size,
                                    .minimum_count = options.minimum_count,
                                    .tie_break = options.tie_break},
                                   report);
  return write_bpe(bpe, options, pattern);
}

TrainedTokenizer train_unigram_tokenizer(std::span<const std::string_view> texts,
                                         const TokenizerTrainingOptions& options,
                                         const ProgressSink& progress) {
  std::vector<std::string> special_tokens = options.special_tokens;
  if (std::ranges::find(special_tokens, kUnknown) == special_tokens.end()) {
    special_tokens.insert(special_tokens.begin(), kUnknown);
  }
  check_special_tokens(special_tokens);
  if (options.vocabulary_size <= special_tokens.size() || options.vocabulary_size > kMostVocabulary) {
    fail(ErrorKind::bad_usage,
         "vocabulary: expected more than the {} special tokens and at most {}, found {}",
         special_tokens.size(), kMostVocabulary, options.vocabulary_size);
  }
  std::vector<WordCount> words = count_words(texts, WordCutter(cut_at_spaces), special_tokens, progress);
  std::vector<CountedWord> counted;
  counted.reserve(words.size());
  for (WordCount& word : words) {
    if (word.bytes.front() == ' ') word.bytes.replace(0, 1, kUnderline);
  }
  std::ranges::sort(words, {}, &WordCount::bytes);  // " a" and U+2581 "a" in the text are one word now
  for (const WordCount& word : words) {
    if (!counted.empty() && counted.back().bytes == word.bytes) {
      counted.back().count += word.count;
    } else {
      counted.push_back({word.bytes, word.count});
    }
  }
  const std::vector<UnigramPiece> pieces = train_unigram(
      counted, {.pieces = options.vocabulary_size - special_tokens.size()}, [&](std::size_t left) {
        if (progress) progress({.stage = "prune", .subject = "pieces", .done = left, .unit = "pieces"});
      });
  return write_unigram(pieces, special_tokens);
}

TrainedTokenizer train_characters(std::span<const std::string_view> texts,
                                  const TokenizerTrainingOptions& options) {
  check_special_tokens(options.special_tokens);
  std::vector<bool> seen(kMaximumCodePoint + 1);
  for (std::string_view text : texts) {
    std::string repaired;
    if (!is_valid_utf8(text)) text = repaired = replace_ill_formed(text);
    for (std::size_t at = 0; at < text.size();) {
      const DecodedCharacter character = decode_character(text, at);
      seen[character.code_point] = true;
      at += character.length;
    }
  }
  TrainedTokenizer trained;
  Json vocabulary = Json::object();
  for (const std::string& token : options.special_tokens) vocabulary[token] = trained.vocabulary_size++;
  for (CodePoint code_point = 0; code_point <= kMaximumCodePoint; ++code_point) {
    if (!seen[code_point]) continue;
    std::string character;
    append_utf8(character, code_point);
    if (!vocabulary.contains(character)) vocabulary[character] = trained.vocabulary_size++;
  }
  if (options.vocabulary_size != 0 && trained.vocabulary_size > options.vocabulary_size) {
    fail(ErrorKind::limit, "vocabulary: expected at most {} characters and special tokens, found {}",
         options.vocabulary_size, trained.vocabulary_size);
  }
  Json json = new_tokenizer_json(options.special_tokens);
  json["decoder"] = {{"type", "Fuse"}};
  json["model"] = bpe_model(std::move(vocabulary), Json::array());
  trained.tokenizer_json = to_text(json);
  return trained;
}

}  // namespace tessera::text
