// `tessera tokenize`: standard input to token ids, and back.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "formats/open_model_files.h"
#include "hub/model_directory.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace tessera::cli {
namespace {

struct TokenizeFlags {
  std::string model;
  bool ids = false;
  bool pieces = false;
  bool no_bos = false;
  bool decode = false;
  bool parse_special = false;
};

std::vector<TokenId> parse_ids(std::string_view text) {
  std::vector<TokenId> ids;
  constexpr std::string_view kBlanks = " \t\r\n,[]";
  for (std::size_t begin = text.find_first_not_of(kBlanks); begin != std::string_view::npos;
       begin = text.find_first_not_of(kBlanks, begin)) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    TokenId id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size()) {
      fail(ErrorKind::bad_input,
           "standard input: expected token ids separated by spaces, found '{}' at byte {}", printable(word),
           begin);
    }
    ids.push_back(id);
    begin = end;
  }
  return ids;
}

std::string join_ids(const std::vector<TokenId>& ids) {
  std::string line;
  for (const TokenId id : ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  return line;
}

// The bytes a token stands for between quotes: characters as they are, control characters and parts of
// characters as
// \xNN.
std::string quoted_bytes(std::string_view bytes) {
  std::string result = "\"";
  const auto escape = [&](std::string_view part) {
    for (const char c : part) result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  };
  for (std::size_t position = 0; position < bytes.size();) {
    const std::string_view rest = bytes.substr(position);
    bool needs_more = false;
    const std::size_t bad = text::ill_formed_length(rest, needs_more);
    const std::size_t length = bad != 0 ? bad : text::character_length(rest[0]);
    const std::string_view character = rest.substr(0, length);
    if (bad != 0 || text::is_other(text::decode_character(character, 0).code_point)) {
      escape(character);
    } else {
      if (character == "\"" || character == "\\") result += '\\';
      result += character;
    }
    position += length;
  }
  return result + "\"";
}

std::unique_ptr<text::Tokenizer> load(const formats::ModelFiles& files, const std::string& path) {
  if (!files.tokenizer_json.empty())
    return text::load_tokenizer_json(files.tokenizer_json, files.tokenizer_config);
  if (files.weights == nullptr) {
    fail(ErrorKind::bad_input, "{}: expected a GGUF file or a tokenizer.json, found neither", path);
  }
  return text::load_gguf_tokenizer(files.weights->metadata());
}

// Takes away what encoding puts around a text, so that decoding gives the text back.
void drop_added_tokens(const text::Tokenizer& tokenizer, std::vector<TokenId>& ids) {
  const std::vector<TokenId> added = tokenizer.encode("");
  if (added.empty()) return;
  if (!ids.empty() && tokenizer.bos_token() == ids.front() && added.front() == ids.front())
    ids.erase(ids.begin());
  if (!ids.empty() && tokenizer.eos_token() == ids.back() && added.back() == ids.back()) ids.pop_back();
}

void check_flags(const TokenizeFlags& flags) {
  if (int{flags.ids} + int{flags.pieces} + int{flags.decode} > 1) {
    fail(ErrorKind::bad_usage, "expected one of --ids, --pieces and --decode, found several");
  }
  if (flags.decode && flags.parse_special) {
    fail(ErrorKind::bad_usage, "--parse-special is about reading text: leave it out with --decode");
  }
}

void run_tokenize(const TokenizeFlags& flags) {
  check_flags(flags);
  const std::string path = flags.model.empty() ? hub::default_model() : hub::resolve_model(flags.model);
  const formats::ModelFiles files =
      formats::open_model_files(path);  // the vocabulary of a GGUF file points into it
  const auto tokenizer = load(files, path);
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  if (flags.decode) {
    std::vector<TokenId> ids = parse_ids(input);
    if (!flags.no_bos) drop_added_tokens(*tokenizer, ids);
    const std::string text = for_standard_output(tokenizer->decode(ids));
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  const std::vector<TokenId> ids =
      tokenizer->encode(input, {.add_special_tokens = !flags.no_bos, .parse_special = flags.parse_special});
  if (!flags.pieces) {
    fmt::print("{}\n", join_ids(ids));
    return;
  }
  for (const TokenId id : ids) fmt::print("{}\t{}\n", id, quoted_bytes(tokenizer->token_bytes(id)));
}

}  // namespace

void define_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  add_option(
      app, "-m,--model", flags->model,
      "a GGUF file (also vocabulary only), a Hugging Face folder, a tokenizer.json, or a model's name");
  add_flag(app, "--ids", flags->ids, "print token ids separated by spaces (the default)");
  add_flag(app, "--pieces", flags->pieces,
           "print one line a token: its id and, quoted, the bytes it stands for");
  add_flag(app, "--no-bos", flags->no_bos,
           "leave out the tokens the model wants around a text (BOS, EOS); with --decode: keep theirs");
  add_flag(app, "--decode", flags->decode, "the other way: standard input holds token ids, print their text");
  add_flag(app, "--parse-special", flags->parse_special,
           "let text such as <|im_start|> become its control token");
  app.footer("Reads standard input to its end; a newline at the end of it is part of the text.");
  app.callback([flags] { run_tokenize(*flags); });
}

}  // namespace tessera::cli
