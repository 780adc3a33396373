// The vocabulary inside a GGUF file: tokenizer.ggml.model `gpt2` (BPE by merges) and `llama` (SentencePiece
// BPE by score).
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/gguf_pre_tokenizers.h"
#include "text/gguf_tokenizer_json.h"
#include "text/pipeline_tokenizer.h"
#include "text/sentencepiece_bpe.h"
#include "text/tokenizer_json.h"

namespace tessera::text {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr std::string_view kUnderline = "\xe2\x96\x81";
constexpr std::size_t kMaximumTokenBytes = std::size_t{1} << 16;

TokenKind kind_of(std::int64_t type) {
  switch (type) {
    case 2:
      return TokenKind::unknown;
    case 3:
      return TokenKind::control;
    case 4:
      return TokenKind::user_defined;
    case 5:
      return TokenKind::unused;
    case 6:
      return TokenKind::byte;
    default:
      return TokenKind::normal;
  }
}

class GgufVocabularyLoader {
 public:
  explicit GgufVocabularyLoader(const Metadata& metadata) : metadata_(metadata) {}

  std::unique_ptr<Tokenizer> load() {
    const std::string_view model = metadata_.require_string(kModelKey);
    load_tokens();
    if (model == "gpt2" || model == "gemma4") {
      load_bpe(model);
    } else if (model == "llama") {
      load_sentencepiece();
    } else {
      fail(ErrorKind::unsupported,
           "{}: expected 'gpt2' or 'llama', found '{}': this build cannot run that vocabulary",
           metadata_.where(kModelKey), printable(model));
    }
    load_added_tokens();
    load_special_ids();
    return make_pipeline_tokenizer(std::move(parts_));
  }

 private:
  void load_tokens() {
    const Metadata::StringArray* tokens = metadata_.find_strings(kTokensKey);
    if (tokens == nullptr || tokens->empty()) {
      fail(ErrorKind::bad_input, "{}: expected an array of strings, found nothing",
           metadata_.where(kTokensKey));
    }
    const Metadata::IntegerArray* types = metadata_.find_ints(kTypesKey);
    if (types != nullptr) require_size(kTypesKey, types->size(), tokens->size());
    std::size_t bytes = 0;
    for (const std::string_view text : *tokens) bytes += text.size();
    parts_.vocabulary.reserve(tokens->size(), bytes);
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      const std::string_view text = (*tokens)[i];
      if (!is_valid_utf8(text) || text.size() > kMaximumTokenBytes) {
        fail(ErrorKind::bad_input, "{}: token {}: expected UTF-8 of at most {} bytes, found '{}'",
             metadata_.where(kTokensKey), i, kMaximumTokenBytes, printable(text));
      }
      const TokenKind kind = types == nullptr ? TokenKind::normal : kind_of((*types)[i]);
      parts_.vocabulary.add(static_cast<TokenId>(i), text, kind);
      mark_control_texts(static_cast<TokenId>(i), text);
    }
  }

  // Converters have given the tokens that end a turn other types; what ends a turn is no ordinary text.
  void mark_control_texts(TokenId id, std::string_view text) {
    if (text != "</s>" && is_end_of_generation_text(text)) parts_.vocabulary.set_kind(id, TokenKind::control);
  }

  void require_size(std::string_view key, std::size_t found, std::size_t expected) const {
    if (found == expected) return;
    fail(ErrorKind::bad_input, "{}: expected {} values, one for each token, found {}", metadata_.where(key),
         expected, found);
  }

  std::vector<BpeMerge> load_merges() const {
    const Metadata::StringArray* texts = metadata_.find_strings(kMergesKey);
    if (texts == nullptr) {
      fail(ErrorKind::bad_input, "{}: expected an array of strings, found nothing",
           metadata_.where(kMergesKey));
    }
    std::vector<BpeMerge> merges;
    merges.reserve(texts->size());
    std::string joined;
    for (std::size_t i = 0; i < texts->size(); ++i) {
      const std::string_view text = (*texts)[i];
      const std::size_t space = text.find(' ', 1);
      if (text.empty() || space == std::string_view::npos) {
        fail(ErrorKind::bad_input, "{}: merge {}: expected two tokens with a space between, found '{}'",
             metadata_.where(kMergesKey), i, printable(text));
      }
      joined.assign(text.substr(0, space)).append(text.substr(space + 1));
      merges.push_back({merge_token(i, text.substr(0, space)), merge_token(i, text.substr(space + 1)),
                        merge_token(i, joined)});
    }
    return merges;
  }

  TokenId merge_token(std::size_t index, std::string_view text) const {
    if (const auto id = parts_.vocabulary.find(text)) return *id;
    fail(ErrorKind::bad_input, "{}: merge {}: expected tokens of the vocabulary, found '{}'",
         metadata_.where(kMergesKey), index, printable(text));
  }

  void load_bpe(std::string_view model) {
    const std::string_view kind =
        model == "gemma4" ? "gemma4" : metadata_.find_string(kPreKey).value_or("default");
    GgufPreTokenizer pre = make_gguf_pre_tokenizer(kind, metadata_.where(kPreKey));
    parts_.pre_tokenizer = std::move(pre.pre_tokenizer);
    parts_.normalizer = std::move(pre.normalizer);
    parts_.byte_level = pre.byte_level;
    BpeOptions options;
    options.byte_level = pre.byte_level;
    options.byte_fallback = !pre.byte_level;
    options.ignore_merges = pre.ignore_merges;
    if (!pre.byte_level) options.unknown_token = find_id("unknown_token_id");
    parts_.model = make_bpe(parts_.vocabulary, std::move(options), load_merges(), false);
    if (pre.byte_level) {
      parts_.decoder.add(ByteLevelDecoder{});
    } else {
      add_sentencepiece_decoder(false);
    }
    add_bos_ = pre.add_bos;
    add_separator_ = pre.add_separator;
    parts_.description = fmt::format("{}, pre-tokenizer {}", parts_.model->description(), kind);
  }

  void load_sentencepiece() {
    const auto scores = metadata_.find_floats(kScoresKey);
    if (!scores) {
      fail(ErrorKind::bad_input, "{}: expected an array of numbers, found nothing",
           metadata_.where(kScoresKey));
    }
    require_size(kScoresKey, scores->size(), parts_.vocabulary.size());
    std::vector<float> values;
    values.reserve(scores->size());
    for (std::size_t i = 0; i < scores->size(); ++i) {
      if (std::isnan((*scores)[i])) {
        fail(ErrorKind::bad_input, "{}: score {}: expected a number, found NaN", metadata_.where(kScoresKey),
             i);
      }
      values.push_back(static_cast<float>((*scores)[i]));
    }
    parts_.model = make_sentencepiece_bpe(parts_.vocabulary, std::move(values), find_id("unknown_token_id"));
    if (metadata_.find_bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false)) {
      parts_.normalizer.add(CollapseSpaces{});
    }
    const bool space_prefix = metadata_.find_bool("tokenizer.ggml.add_space_prefix").value_or(true);
    if (space_prefix) parts_.normalizer.add(Prepend{" "});
    parts_.normalizer.add(Replace{.literal = " ", .regex = nullptr, .content = std::string(kUnderline)});
    add_sentencepiece_decoder(space_prefix);
    add_bos_ = true;
    parts_.description = parts_.model->description();
  }

  void add_sentencepiece_decoder(bool strip_space) {
    parts_.decoder.add(
        ReplaceDecoder{Replace{.literal = std::string(kUnderline), .regex = nullptr, .content = " "}});
    parts_.decoder.add(ByteFallbackDecoder{});
    parts_.decoder.add(FuseDecoder{});
    if (strip_space) parts_.decoder.add(StripDecoder{.content = " ", .start = 1, .stop = 0});
  }

  // Control, unknown and user-defined tokens are looked for in the text as it is typed. Of Phi-3's, all but
  // the first ones take the white space behind them along; the file does not say so, its name does.
  void load_added_tokens() {
    std::string name(metadata_.find_string("general.name").value_or(""));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const bool is_phi3 = name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
    for (std::size_t i = 0; i < parts_.vocabulary.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const TokenKind kind = parts_.vocabulary.kind(id);
      if (kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::user_defined)
        continue;
      const std::string_view text = parts_.vocabulary.text(id);
      if (parts_.vocabulary.find(text) != id)
        continue;  // a second token of the same spelling cannot be typed
      AddedToken token;
      token.content = text;
      token.id = id;
      token.special = kind != TokenKind::user_defined;
      token.rstrip = is_phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
      parts_.added_tokens.push_back(std::move(token));
    }
  }

  std::optional<TokenId> find_id(std::string_view name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}", name);
    const auto value = metadata_.find_int(key);
    if (!value) return std::nullopt;
    if (*value == -1 || *value == 0xffffffff) return std::nullopt;  // "none", as converters write it
    const auto size = static_cast<std::int64_t>(parts_.vocabulary.size());
    if (*value < 0 || *value >= size) {
      fail(ErrorKind::bad_input, "{}: expected a token id below {}, found {}", metadata_.where(key), size,
           *value);
    }
    return static_cast<TokenId>(*value);
  }

  void load_special_ids() {
    parts_.bos = find_id("bos_token_id");
    parts_.eos = find_id("eos_token_id");
    add_token("add_bos_token", add_bos_, parts_.bos, parts_.post_processor.before);
    add_token("add_sep_token", add_separator_, find_id("seperator_token_id"), parts_.post_processor.after);
    add_token("add_eos_token", false, parts_.eos, parts_.post_processor.after);
    std::vector<TokenId> ends;
    for (const char* name : {"eot_token_id", "eom_token_id"}) {
      if (const auto id = find_id(name)) ends.push_back(*id);
    }
    set_end_of_generation(parts_, ends);
  }

  void add_token(std::string_view flag, bool standard, std::optional<TokenId> id,
                 std::vector<TokenId>& tokens) const {
    const std::string key = fmt::format("tokenizer.ggml.{}", flag);
    const auto wanted = metadata_.find_bool(key);
    if (!wanted.value_or(standard)) return;
    if (id) {
      tokens.push_back(*id);
    } else if (wanted) {
      fail(ErrorKind::bad_input, "{}: expected the id of the token to add, found none", metadata_.where(key));
    }
  }

  const Metadata& metadata_;
  TokenizerParts parts_;
  bool add_bos_ = false;
  bool add_separator_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const Metadata& metadata) {
  // Whole files, where GGUF's own keys could not say the same.
  const auto whole = metadata.find_string(kGgufTokenizerJsonKey);
  if (whole && !metadata.contains(kModelKey)) {
    const auto file = [&](std::string_view key, std::string_view text) {
      return MappedFile::from_bytes(metadata.where(key), std::string(text));
    };
    const auto config = metadata.find_string(kGgufTokenizerConfigKey);
    return read_tokenizer_json(file(kGgufTokenizerJsonKey, *whole),
                               config ? file(kGgufTokenizerConfigKey, *config) : nullptr);
  }
  return GgufVocabularyLoader(metadata).load();
}

}  // namespace tessera::text
