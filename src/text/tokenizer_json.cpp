#include "text/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/error.h"
#include "base/mapped_file.h"
#include "text/bpe.h"
#include "text/byte_level.h"
#include "text/json_node.h"
#include "text/pipeline_tokenizer.h"
#include "text/tokenizer_json_steps.h"
#include "text/unigram.h"

namespace tessera::text {
namespace {

// Ids may leave holes, but a few tokens cannot ask for gigabytes of table.
constexpr std::int64_t kHolesPerToken = 4;
constexpr std::int64_t kHolesAlways = 1 << 16;
constexpr std::size_t kMaximumTokenBytes = std::size_t{1} << 20;

class TokenizerJsonLoader {
 public:
  TokenizerJsonLoader(const JsonFile& file, const JsonFile* config, const JsonFile* generation_config)
      : root_(file), config_(config), generation_config_(generation_config) {}

  std::unique_ptr<Tokenizer> load() {
    const JsonNode model = root_.require("model");
    const std::string_view type = model_type(model);
    const bool unigram = type == "Unigram";
    if (type != "BPE" && !unigram) model.fail_unsupported("model", type);  // WordPiece, WordLevel
    unigram ? read_unigram_vocabulary(model) : read_vocabulary(model);
    read_added_tokens();
    if (const auto node = root_.find("normalizer")) read_normalizer(*node, parts_.normalizer);
    if (const auto node = root_.find("pre_tokenizer")) read_pre_tokenizer(*node, parts_.pre_tokenizer);
    if (const auto node = root_.find("post_processor")) {
      read_post_processor(*node, parts_.vocabulary, parts_.post_processor);
    }
    if (const auto node = root_.find("decoder")) read_decoder(*node, parts_.decoder);
    parts_.byte_level = parts_.pre_tokenizer.is_byte_level() || parts_.normalizer.maps_to_byte_characters();
    if (parts_.pre_tokenizer.is_byte_level() && parts_.normalizer.maps_to_byte_characters()) {
      root_.require("normalizer").fail_unsupported("a second", "ByteLevel");
    }
    parts_.pre_tokenizer.finish();
    unigram ? read_unigram(model) : read_bpe(model);
    read_config();
    // Without a configuration the tokens that stand around every text are the best we know.
    if (!parts_.bos && !parts_.post_processor.before.empty())
      parts_.bos = parts_.post_processor.before.front();
    if (!parts_.eos && !parts_.post_processor.after.empty()) parts_.eos = parts_.post_processor.after.back();
    set_end_of_generation(parts_, generation_ends());
    parts_.description = fmt::format("{} from tokenizer.json", parts_.model->description());
    return make_pipeline_tokenizer(std::move(parts_));
  }

 private:
  static std::string_view model_type(const JsonNode& model) {
    if (const auto type = model.find("type")) return type->string();
    return model.find("merges") ? "BPE" : "without type";  // files from before there was one
  }

  TokenId read_id(const JsonNode& node, std::int64_t limit) const {
    const std::int64_t id = node.integer();
    if (id < 0 || id >= limit) node.fail_expected(fmt::format("a token id from 0 to {}", limit - 1));
    return static_cast<TokenId>(id);
  }

  void read_vocabulary(const JsonNode& model) {
    const JsonNode vocabulary = model.require("vocab");
    const simdjson::dom::object tokens = vocabulary.object();
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (const auto [text, id] : tokens) {
      ++count;
      bytes += text.size();
    }
    id_limit_ = static_cast<std::int64_t>(count) * kHolesPerToken + kHolesAlways;
    parts_.vocabulary.reserve(count, bytes);
    const bool byte_fallback = model.boolean_or("byte_fallback", false);
    for (const auto [text, element] : tokens) {
      const JsonNode node(vocabulary, text, element);
      const TokenId id = read_id(node, id_limit_);
      if (text.size() > kMaximumTokenBytes) {
        node.fail_expected(fmt::format("a token of at most {} bytes", kMaximumTokenBytes));
      }
      const bool is_byte = byte_fallback && parse_byte_token(text).has_value();
      if (parts_.vocabulary.find(text)) node.fail_expected("each token once");
      if (!parts_.vocabulary.add(id, text, is_byte ? TokenKind::byte : TokenKind::normal)) {
        node.fail_expected(
            fmt::format("an id of its own, not that of '{}'", printable(parts_.vocabulary.text(id))));
      }
    }
  }

  // [["<unk>", 0.0], ["▁the", -3.2], ...]: the place is the id.
  void read_unigram_vocabulary(const JsonNode& model) {
    const JsonNode vocabulary = model.require("vocab");
    const bool byte_fallback = model.boolean_or("byte_fallback", false);
    id_limit_ = static_cast<std::int64_t>(vocabulary.array().size()) * kHolesPerToken + kHolesAlways;
    std::size_t index = 0;
    for (const simdjson::dom::element element : vocabulary.array()) {
      const JsonNode node(vocabulary, index, element);
      const simdjson::dom::array pair = node.array();
      std::string_view piece;
      double score = 0;
      if (pair.size() != 2 || pair.at(0).get(piece) != simdjson::SUCCESS ||
          pair.at(1).get(score) != simdjson::SUCCESS || piece.size() > kMaximumUnigramPieceBytes) {
        node.fail_expected(
            fmt::format("a piece of at most {} bytes and its score", kMaximumUnigramPieceBytes));
      }
      const bool is_byte = byte_fallback && parse_byte_token(piece).has_value();
      if (parts_.vocabulary.find(piece)) node.fail_expected("each token once");
      parts_.vocabulary.add(static_cast<TokenId>(index++), piece,
                            is_byte ? TokenKind::byte : TokenKind::normal);
      scores_.push_back(score);
    }
  }

  void read_unigram(const JsonNode& model) {
    if (parts_.byte_level) model.fail_unsupported("Unigram", "over bytes");
    UnigramOptions options;
    options.scores = scores_;
    options.byte_fallback = model.boolean_or("byte_fallback", false);
    if (const auto unknown = model.find("unk_id")) {
      options.unknown_token = read_id(*unknown, static_cast<std::int64_t>(scores_.size()));
    }
    parts_.model = make_unigram(parts_.vocabulary, std::move(options));
  }

  void read_added_tokens() {
    const auto list = root_.find("added_tokens");
    if (!list) return;
    std::size_t index = 0;
    for (const simdjson::dom::element element : list->array()) {
      const JsonNode node(*list, index++, element);
      AddedToken token;
      const JsonNode content = node.require("content");
      token.content = content.string();
      if (token.content.size() > kMaximumAddedTokenBytes) {
        content.fail_expected(fmt::format("at most {} bytes", kMaximumAddedTokenBytes));
      }
      token.single_word = node.boolean_or("single_word", false);
      token.lstrip = node.boolean_or("lstrip", false);
      token.rstrip = node.boolean_or("rstrip", false);
      token.special = node.boolean_or("special", false);
      token.normalized = node.boolean_or("normalized", !token.special);
      add_token(node, token);
    }
  }

  // The model's own id counts where it has the token, as in the reference.
  void add_token(const JsonNode& node, AddedToken& token) {
    const TokenKind kind = token.special ? TokenKind::control : TokenKind::user_defined;
    if (const auto known = parts_.vocabulary.find(token.content)) {
      token.id = *known;
      parts_.vocabulary.set_kind(token.id, kind);
    } else {
      const JsonNode id = node.require("id");
      token.id = read_id(id, id_limit_ + static_cast<std::int64_t>(parts_.added_tokens.size()));
      if (!parts_.vocabulary.add(token.id, token.content, kind)) {
        id.fail_expected(
            fmt::format("an id of its own, not that of '{}'", printable(parts_.vocabulary.text(token.id))));
      }
    }
    parts_.added_tokens.push_back(token);
  }

  void read_bpe(const JsonNode& model) {
    BpeOptions options;
    options.byte_level = parts_.byte_level;
    options.byte_fallback = model.boolean_or("byte_fallback", false);
    options.ignore_merges = model.boolean_or("ignore_merges", false);
    options.fuse_unknown = model.boolean_or("fuse_unk", false);
    options.continuing_subword_prefix = model.string_or("continuing_subword_prefix", "");
    options.end_of_word_suffix = model.string_or("end_of_word_suffix", "");
    if (const auto dropout = model.find("dropout"); dropout && dropout->number() != 0) {
      dropout->fail_unsupported("dropout", "above 0");
    }
    if (const auto unknown = model.find("unk_token")) {
      options.unknown_token = parts_.vocabulary.find(unknown->string());
      if (!options.unknown_token) unknown->fail_expected("a token of the vocabulary");
    }
    if (options.byte_level) check_byte_level(model, options);
    const std::vector<BpeMerge> merges = read_merges(model, options.continuing_subword_prefix);
    parts_.model = make_bpe(parts_.vocabulary, std::move(options), merges, true);
  }

  // Words are raw bytes in a byte-level model, so its affixes must be spelled in bytes, and fallback is for
  // characters.
  void check_byte_level(const JsonNode& model, BpeOptions& options) const {
    for (std::string* affix : {&options.continuing_subword_prefix, &options.end_of_word_suffix}) {
      auto bytes = from_byte_characters(*affix);
      if (!bytes) model.fail_unsupported("a byte-level model with the affix", *affix);
      *affix = std::move(*bytes);
    }
    if (!options.byte_fallback) return;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (parts_.vocabulary.find(to_byte_characters({&c, 1}))) continue;
      const auto node = model.find("byte_fallback");
      node->fail_unsupported("byte_fallback", "in a byte-level model that lacks bytes");
    }
  }

  std::vector<BpeMerge> read_merges(const JsonNode& model, std::string_view prefix) const {
    const JsonNode list = model.require("merges");
    std::vector<BpeMerge> merges;
    merges.reserve(list.array().size());
    std::string joined;
    std::size_t index = 0;
    for (const simdjson::dom::element element : list.array()) {
      const JsonNode node(list, index++, element);
      const auto [left, right] = split_merge(node);
      if (!right.starts_with(prefix) && right.size() < prefix.size())
        node.fail_expected("a token with the prefix");
      joined.assign(left).append(right.substr(prefix.size()));
      merges.push_back({merge_token(node, left), merge_token(node, right), merge_token(node, joined)});
    }
    return merges;
  }

  // "Ġ t" or ["Ġ", "t"].
  static std::pair<std::string_view, std::string_view> split_merge(const JsonNode& node) {
    if (node.is_string()) {
      const std::string_view text = node.string();
      const std::size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        node.fail_expected("two tokens with a space between");
      }
      return {text.substr(0, space), text.substr(space + 1)};
    }
    const simdjson::dom::array pair = node.array();
    std::array<std::string_view, 2> texts;
    if (pair.size() != 2 || pair.at(0).get(texts[0]) != simdjson::SUCCESS ||
        pair.at(1).get(texts[1]) != simdjson::SUCCESS) {
      node.fail_expected("two tokens");
    }
    return {texts[0], texts[1]};
  }

  TokenId merge_token(const JsonNode& node, std::string_view text) const {
    if (const auto id = parts_.vocabulary.find(text)) return *id;
    node.fail_expected(fmt::format("tokens of the vocabulary (there is no '{}')", printable(text)));
  }

  // "bos_token": "<s>", or an object with its content.
  static std::optional<std::string_view> token_name(const JsonNode& config, std::string_view key) {
    const auto node = config.find(key);
    if (!node) return std::nullopt;
    return node->is_object() ? node->require("content").string() : node->string();
  }

  void read_config() {
    if (config_ == nullptr) return;
    const JsonNode config(*config_);
    const auto find = [&](std::string_view key) -> std::optional<TokenId> {
      const auto name = token_name(config, key);
      return name ? parts_.vocabulary.find(*name) : std::nullopt;
    };
    parts_.bos = find("bos_token");
    parts_.eos = find("eos_token");
    // These classes of transformers make their post-processor from the flags, whatever tokenizer.json says.
    static constexpr std::array<std::string_view, 10> kFlagged = {
        "LlamaTokenizer",   "LlamaTokenizerFast",  "CodeLlamaTokenizer",  "CodeLlamaTokenizerFast",
        "GemmaTokenizer",   "GemmaTokenizerFast",  "CohereTokenizerFast", "CohereTokenizer",
        "MistralTokenizer", "MistralTokenizerFast"};
    const std::string_view type = config.string_or("tokenizer_class", "");
    if (std::find(kFlagged.begin(), kFlagged.end(), type) == kFlagged.end()) return;
    apply_flag(config, "add_bos_token", parts_.bos, parts_.post_processor.before);
    apply_flag(config, "add_eos_token", parts_.eos, parts_.post_processor.after);
  }

  static void apply_flag(const JsonNode& config, std::string_view key, std::optional<TokenId> id,
                         std::vector<TokenId>& tokens) {
    const auto flag = config.find(key);
    if (!flag) return;
    tokens.clear();
    if (!flag->boolean()) return;
    if (!id) flag->fail_expected("false, as there is no such token,");
    tokens.push_back(*id);
  }

  // eos_token_id of generation_config.json: a number or a list.
  std::vector<TokenId> generation_ends() const {
    std::vector<TokenId> ids;
    if (generation_config_ == nullptr) return ids;
    const JsonNode config(*generation_config_);
    const auto node = config.find("eos_token_id");
    if (!node) return ids;
    const auto add = [&](const JsonNode& one) {
      const TokenId id = read_id(one, std::int64_t{1} << 31);
      if (parts_.vocabulary.contains(id)) ids.push_back(id);  // a model may have more rows than tokens
    };
    if (!node->is_array()) {
      add(*node);
      return ids;
    }
    std::size_t index = 0;
    for (const simdjson::dom::element element : node->array()) add(JsonNode(*node, index++, element));
    return ids;
  }

  JsonNode root_;
  const JsonFile* config_;
  const JsonFile* generation_config_;
  TokenizerParts parts_;
  std::int64_t id_limit_ = 0;
  std::vector<double> scores_;  // of Unigram
};

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(std::shared_ptr<const MappedFile> file,
                                               std::shared_ptr<const MappedFile> config,
                                               std::shared_ptr<const MappedFile> generation_config) {
  const JsonFile tokenizer_json(std::move(file));
  std::optional<JsonFile> config_json;
  std::optional<JsonFile> generation_json;
  if (config) config_json.emplace(std::move(config));
  if (generation_config) generation_json.emplace(std::move(generation_config));
  return TokenizerJsonLoader(tokenizer_json, config_json ? &*config_json : nullptr,
                             generation_json ? &*generation_json : nullptr)
      .load();
}

std::unique_ptr<Tokenizer> load_tokenizer_json(const std::string& path, const std::string& config_path) {
  if (config_path.empty()) return read_tokenizer_json(MappedFile::open(path));
  const auto beside = std::filesystem::path(config_path).parent_path() / "generation_config.json";
  const bool has_generation_config = std::filesystem::is_regular_file(beside);
  return read_tokenizer_json(MappedFile::open(path), MappedFile::open(config_path),
                             has_generation_config ? MappedFile::open(beside.string()) : nullptr);
}

}  // namespace tessera::text
