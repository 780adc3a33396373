// Text to token ids and back, with exactly the ids of the model's own tokenizer.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/metadata.h"
#include "base/token_id.h"

namespace tessera::text {

struct TextRange {
  std::size_t begin = 0;  // bytes
  std::size_t end = 0;
};

struct EncodeOptions {
  bool add_special_tokens = true;  // what the model's post-processor adds: BOS, EOS
  bool parse_special = false;      // text such as <|im_start|> becomes its control token
  // With parse_special: here, a control token's text stays text (what a user typed inside a chat template).
  std::span<const TextRange> literal_ranges = {};
};

enum class TokenKind { normal, byte, control, user_defined, unknown, unused };

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // `text` should be UTF-8; invalid bytes are handled as the model's own tokenizer would after U+FFFD
  // replacement. Linear time, constant stack.
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  // Whole-sequence decode. With skip_special, control tokens give nothing.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;
  // The bytes token `id` adds in the middle of a text (possibly part of a character). Error bad_input: no
  // such id.
  virtual std::string token_bytes(TokenId id) const = 0;
  // The bytes it adds as the first token of a text: some tokenizers drop a leading space there.
  virtual std::string first_token_bytes(TokenId id) const { return token_bytes(id); }
  // The vocabulary's own spelling ("Ġthe", "▁the", "<0x0A>").
  virtual std::string_view token_text(TokenId id) const = 0;
  virtual std::optional<TokenId> find_token(std::string_view text) const = 0;
  virtual TokenKind token_kind(TokenId id) const = 0;

  virtual std::size_t vocabulary_size() const = 0;
  virtual std::optional<TokenId> bos_token() const = 0;
  virtual std::optional<TokenId> eos_token() const = 0;
  // Every id that ends a turn or the text (EOS, <|im_end|>, <|eot_id|>, <end_of_turn>, ...).
  virtual std::span<const TokenId> end_of_generation_tokens() const = 0;
  // "byte-level BPE, pre-tokenizer qwen2": for inspect.
  virtual std::string description() const = 0;
};

// From a tokenizer.json (`path`), with tokenizer_config.json beside it when `config_path` is not empty.
std::unique_ptr<Tokenizer> load_tokenizer_json(const std::string& path, const std::string& config_path = {});
// From the vocabulary inside a GGUF file (tokenizer.ggml.*). `metadata` must outlive the tokenizer.
std::unique_ptr<Tokenizer> load_gguf_tokenizer(const Metadata& metadata);

// Turns ids into text one at a time and never emits part of a UTF-8 character: bytes of an unfinished one are
// kept back until it is whole, or given out as U+FFFD by finish().
class StreamDecoder {
 public:
  // By default the ids continue a text (a prompt), so their leading space is kept. With `at_text_start` they
  // are a whole text: what push() and finish() give, put together, is decode() of them.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true, bool at_text_start = false);
  std::string push(TokenId id);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool first_;
  std::string pending_;
};

}  // namespace tessera::text
