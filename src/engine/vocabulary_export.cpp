#include "engine/vocabulary_export.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "text/tokenizer.h"

namespace tessera::engine {
namespace {

using nlohmann::json;
using text::Tokenizer;

enum TokenType : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// GGUF's names for pre-tokenizers, one of each behaviour, the most common first.
constexpr std::array<std::string_view, 33> kPreTokenizers = {
    "llama-bpe",  "qwen2",          "gpt-2",       "smollm",
    "tekken",     "gpt-4o",         "deepseek-v3", "deepseek-llm",
    "starcoder",  "deepseek-coder", "falcon",      "dbrx",
    "command-r",  "olmo",           "qwen35",      "hunyuan",
    "seed-coder", "minicpm5",       "laguna",      "bloom",
    "viking",     "youtu",          "kimi-k2",     "superbpe",
    "afmoe",      "exaone-moe",     "chameleon",   "jais-2",
    "ufakzeka",   "roberta-bpe",    "tiny_aya",    "granite-embed-multi-97m",
    "default"};

constexpr std::array<std::string_view, 18> kProbes = {
    "Hello, world! It's 3.14159 o'clock; we'll see, they'RE here, I'd say. ",
    "  leading,   several    spaces\tand\ttabs \n\n\nthree lines\r\nand Windows\n \n  x\n",
    "1 12 123 1234 12345 1234567890 0x7fff 1,234,567.89 2026-11-21 ½ ² ①",
    "for (int i = 0; i < n; ++i) { a[i] += b->c(\"x\\n\"); } // done!?...",
    "Größe, naïve café, œuvre, Ångström, İstanbul ıI ǅ",
    "Привет, мир! Съешь же ещё этих мягких французских булок. Ёж",
    "你好,世界。这是一个测试!日本語のテキスト、カタカナとひらがな。한국어 문장입니다.",
    "مرحبا بالعالم، كيف حالك؟ שלום עולם नमस्ते दुनिया สวัสดีชาวโลก",
    "emoji 👩‍👩‍👧 🇩🇪 😀😃 e\xcc\x81 \xc2\xa0nbsp \xe2\x80\x8bzero \xe3\x80\x80wide",
    "ALLCAPS CamelCaseWord snake_case_word kebab-case x'y 'tis 'S 'LL ''quoted''",
    "$100 €50 £20 100% #tag @user a/b\\c ~`^ <tag> [x](y) **bold** __init__",
    " a",
    "a  ",
    "\n",
    "_ __ ___ - -- --- = == ===  ====    ",
    "ſtraße ﬁne K Å ẞ Ωμέγα",
    "while (x[1024] < 7) {\n\tsum += a[i] * b[i];\n}\n\n\t\treturn;\n    end  \n\r\n\r\n x\n\t\n ",
    "a1b2c3 1st 2nd v1.2.3 10:30 1e-5 #1 3D x86_64 ٣٤٥ १२३ 1 000 12th"};

constexpr std::size_t kMostProbeBytes = 4096;

[[noreturn]] void unsupported(const std::string& path, std::string_view expected, std::string_view found) {
  fail(ErrorKind::unsupported, "{}: to become GGUF, expected {}, found {}", path, expected, printable(found));
}

// What a tokenizer.json holds, as far as GGUF has a place for it.
struct Source {
  std::string path;
  bool byte_level = false;
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  std::vector<std::string> merges;
  std::vector<std::pair<std::string, std::string>> merge_pairs;
  std::optional<std::int64_t> unknown;
};

bool mentions(const json& node, std::string_view type) {
  if (node.is_object()) {
    if (const auto found = node.find("type"); found != node.end() && *found == type) return true;
  }
  if (!node.is_structured()) return false;
  return std::ranges::any_of(node, [&](const json& child) { return mentions(child, type); });
}

bool is_byte_piece(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

void put_token(Source& source, std::int64_t id, std::string text, std::int64_t type) {
  constexpr std::int64_t kMostTokens = 1 << 24;
  if (id < 0 || id > kMostTokens) {
    fail(ErrorKind::bad_input, "{}: token '{}': expected an id up to {}, found {}", source.path,
         printable(text), kMostTokens, id);
  }
  const auto at = static_cast<std::size_t>(id);
  while (source.tokens.size() <= at) {
    source.tokens.push_back(fmt::format("[PAD{}]", source.tokens.size()));
    source.types.push_back(kUnused);
  }
  source.tokens[at] = std::move(text);
  source.types[at] = type;
}

void read_merges(Source& source, const json& merges) {
  for (const json& merge : merges) {
    std::string left;
    std::string right;
    if (merge.is_array() && merge.size() == 2) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else {
      const std::string line = merge.get<std::string>();
      const std::size_t space = line.find(' ', 1);
      left = line.substr(0, space);
      right = space == std::string::npos ? "" : line.substr(space + 1);
    }
    source.merges.push_back(fmt::format("{} {}", left, right));
    source.merge_pairs.emplace_back(std::move(left), std::move(right));
  }
}

Source read_source(const std::string& path) {
  constexpr std::size_t kLargestFile = std::size_t{256} << 20;
  Source source;
  source.path = path;
  const json root = json::parse(read_file(path, kLargestFile), nullptr, false);
  if (!root.is_object() || !root.contains("model")) {
    fail(ErrorKind::bad_input, "{}: expected a tokenizer with a model", path);
  }
  try {
    const json& model = root.at("model");
    const std::string type = model.value("type", "BPE");
    if (type != "BPE") unsupported(path, "a BPE vocabulary", type);
    const auto part = [&](const char* name) { return root.contains(name) ? root.at(name) : json(); };
    source.byte_level = mentions(part("pre_tokenizer"), "ByteLevel");
    for (const auto& [text, id] : model.at("vocab").items()) {
      const bool byte = !source.byte_level && is_byte_piece(text);
      put_token(source, id.get<std::int64_t>(), text, byte ? kByte : kNormal);
    }
    read_merges(source, model.at("merges"));
    for (const json& added : part("added_tokens")) {
      put_token(source, added.at("id").get<std::int64_t>(), added.at("content").get<std::string>(),
                added.value("special", false) ? kControl : kUserDefined);
    }
    if (const auto unknown = model.find("unk_token"); unknown != model.end() && unknown->is_string()) {
      const auto found = std::ranges::find(source.tokens, unknown->get<std::string>());
      if (found != source.tokens.end()) {
        source.unknown = found - source.tokens.begin();
        if (!source.byte_level) source.types[static_cast<std::size_t>(*source.unknown)] = kUnknown;
      }
    }
  } catch (const json::exception& error) {
    fail(ErrorKind::bad_input, "{}: expected a tokenizer of the usual shape: {}", path,
         printable(error.what(), 200));
  }
  return source;
}

// SentencePiece merges the piece of the highest score first, merges lists the earliest first: so the score of
// a piece is how early it is made. Pieces that nothing makes are never asked for theirs.
std::vector<double> scores_of(const Source& source) {
  std::map<std::string, std::size_t, std::less<>> first_merge;
  for (std::size_t rank = 0; rank < source.merge_pairs.size(); ++rank) {
    first_merge.emplace(source.merge_pairs[rank].first + source.merge_pairs[rank].second, rank);
  }
  std::vector<double> scores;
  for (const std::string& token : source.tokens) {
    const auto found = first_merge.find(token);
    const std::size_t rank = found == first_merge.end() ? source.merge_pairs.size() : found->second;
    scores.push_back(-static_cast<double>(rank));
  }
  return scores;
}

Metadata::StringArray views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

struct Choice {
  std::string_view pre = {};  // of byte-level vocabularies
  bool space_prefix = false;  // of SentencePiece ones
};

// What the tokenizer adds around a text.
struct Additions {
  bool bos = false;
  bool eos = false;
};

Additions additions_of(const Tokenizer& tokenizer, const std::string& path) {
  const std::vector<TokenId> with = tokenizer.encode("a", {});
  const std::vector<TokenId> without = tokenizer.encode("a", {.add_special_tokens = false});
  Additions additions;
  std::size_t expected = without.size();
  if (!with.empty() && tokenizer.bos_token() == with.front() && with.size() > without.size()) {
    additions.bos = true;
    ++expected;
  }
  if (with.size() > expected && tokenizer.eos_token() == with.back()) {
    additions.eos = true;
    ++expected;
  }
  if (with.size() != expected)
    unsupported(path, "a post-processor that adds BOS and EOS at most", "another one");
  return additions;
}

class VocabularyExporter {
 public:
  VocabularyExporter(const std::string& path, const std::string& config_path, std::int64_t vocab_size)
      : source_(std::make_shared<Source>(read_source(path))),
        tokenizer_(text::load_tokenizer_json(path, config_path)) {
    const auto size = static_cast<std::int64_t>(source_->tokens.size());
    if (size > vocab_size) {
      fail(ErrorKind::bad_input,
           "{}: expected at most {} tokens, one for each row of the embedding, found {}", path, vocab_size,
           size);
    }
    for (std::int64_t id = size; id < vocab_size; ++id) {
      put_token(*source_, id, fmt::format("[PAD{}]", id), kUnused);
    }
    additions_ = additions_of(*tokenizer_, path);
  }

  Metadata find() const {
    std::vector<Choice> choices;
    if (source_->byte_level) {
      for (const std::string_view pre : kPreTokenizers) choices.push_back({.pre = pre});
    } else {
      choices = {{.space_prefix = true}, {.space_prefix = false}};
    }
    for (const Choice& choice : choices) {
      Metadata metadata = with(choice);
      if (same_ids(*text::load_gguf_tokenizer(metadata))) return metadata;
    }
    unsupported(source_->path, "a pre-tokenizer and normalizer that GGUF has a name for", "others");
  }

 private:
  Metadata with(const Choice& choice) const {
    Metadata metadata(source_->path, source_);
    const auto set = [&](std::string_view name, Metadata::Value value) {
      metadata.set(fmt::format("tokenizer.ggml.{}", name), std::move(value));
    };
    set("model", std::string_view(source_->byte_level ? "gpt2" : "llama"));
    set("pre", source_->byte_level ? choice.pre : std::string_view("default"));
    set("tokens", views(source_->tokens));
    set("token_type", source_->types);
    if (source_->byte_level) {
      set("merges", views(source_->merges));
    } else {
      set("scores", scores_of(*source_));
      set("add_space_prefix", choice.space_prefix);
    }
    set("add_bos_token", additions_.bos);
    set("add_eos_token", additions_.eos);
    if (const auto id = tokenizer_->bos_token()) set("bos_token_id", std::int64_t{*id});
    if (const auto id = tokenizer_->eos_token()) set("eos_token_id", std::int64_t{*id});
    if (const auto& unknown = source_->unknown; unknown && !source_->byte_level)
      set("unknown_token_id", *unknown);
    return metadata;
  }

  bool same_ids(const Tokenizer& other) const {
    // Around control tokens, readers of SentencePiece vocabularies differ on where words get their space.
    std::string specials;
    for (std::size_t id = 0; source_->byte_level && id < source_->types.size(); ++id) {
      if (source_->types[id] != kControl && source_->types[id] != kUserDefined) continue;
      if (specials.size() < kMostProbeBytes)
        specials += source_->tokens[id] + " a\n" + source_->tokens[id] + "b";
    }
    // What the vocabulary has no token for becomes one unknown token or several, by the reader's own lights.
    return agree(other, specials, true) && std::ranges::all_of(kProbes, [&](std::string_view probe) {
             const std::vector<TokenId> ids = tokenizer_->encode(probe);
             const bool lacking = source_->unknown && std::ranges::find(ids, *source_->unknown) != ids.end();
             return lacking || agree(other, probe, false);
           });
  }

  bool agree(const Tokenizer& other, std::string_view probe, bool parse_special) const {
    const text::EncodeOptions options{.parse_special = parse_special};
    if (tokenizer_->encode(probe, options) == other.encode(probe, options)) return true;
    log_line(LogLevel::debug,
             fmt::format("{}: {} differs on '{}'", source_->path, other.description(), printable(probe)));
    return false;
  }

  std::shared_ptr<Source> source_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Additions additions_;
};

}  // namespace

Metadata export_vocabulary(const std::string& tokenizer_json, const std::string& config_path,
                           std::int64_t vocab_size) {
  return VocabularyExporter(tokenizer_json, config_path, vocab_size).find();
}

}  // namespace tessera::engine
