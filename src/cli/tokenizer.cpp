// `tessera tokenizer train`: texts to a tokenizer.json.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "text/tokenizer_training.h"
#include "train/corpus_texts.h"

namespace tessera::cli {
namespace {

struct TokenizerFlags {
  std::vector<std::string> inputs;
  std::string output;
  std::string type = "bpe";
  std::string ties = "greatest";
  std::string format = "auto";
  std::string text_key = "text";
  std::string eos_token;
  std::string bos_token;
  train::CorpusOptions corpus;
  text::TokenizerTrainingOptions options;
};

constexpr const char* kFooter = R"(
Writes tokenizer.json and tokenizer_config.json into the folder DIR; every command that takes a tokenizer, and
Hugging Face's libraries, read them. INPUT as for 'tessera data'.

  bpe      byte-level BPE as GPT-2 has it: special tokens, 256 bytes, then merges up to --vocab-size
  unigram  pieces with probabilities, as SentencePiece has them; <unk> for characters the texts do not have
  char     a token for each character of the texts

Special tokens get the first ids, and what stands around them in the texts is never merged across them. The end of
a text (EOS) is --eos-token, else <|endoftext|> or </s> if it is among them.

Examples:
  tessera tokenizer train --vocab-size 500 --special-token '<|endoftext|>' -o small corpus.txt
  tessera tokenizer train --type char -o characters input.txt)";

std::string end_token(const TokenizerFlags& flags) {
  const auto& special = flags.options.special_tokens;
  if (!flags.eos_token.empty()) return flags.eos_token;
  for (const char* usual : {"<|endoftext|>", "</s>"}) {
    if (std::ranges::find(special, usual) != special.end()) return usual;
  }
  return {};
}

std::string tokenizer_config(const TokenizerFlags& flags) {
  nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                   {"clean_up_tokenization_spaces", false}};
  const std::array<std::pair<const char*, std::string>, 2> named = {
      {{"bos_token", flags.bos_token}, {"eos_token", end_token(flags)}}};
  const auto& special = flags.options.special_tokens;
  for (const auto& [key, token] : named) {
    if (token.empty()) continue;
    if (std::ranges::find(special, token) == special.end()) {
      fail(ErrorKind::bad_usage, "{}: expected one of the special tokens, found '{}'", key, printable(token));
    }
    config[key] = token;
  }
  return config.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

text::TrainedTokenizer train(TokenizerFlags& flags, const std::vector<std::string_view>& texts) {
  if (flags.type == "char") return text::train_characters(texts, flags.options);
  if (flags.options.vocabulary_size == 0) fail(ErrorKind::bad_usage, "expected --vocab-size");
  const InterruptGuard interrupt;
  ProgressDisplay display(STDERR_FILENO, 0.5);
  const auto show = [&](const Progress& progress) {
    display.show(progress);
    if (interrupt.interrupted()) fail(ErrorKind::cancelled, "stopped; nothing is written");
  };
  return flags.type == "unigram" ? text::train_unigram_tokenizer(texts, flags.options, show)
                                 : text::train_byte_level_bpe(texts, flags.options, show);
}

void train_tokenizer(TokenizerFlags& flags) {
  if (flags.inputs.empty() || flags.output.empty()) {
    fail(ErrorKind::bad_usage, "expected INPUT and -o DIR; 'tessera tokenizer train --help' shows examples");
  }
  if (flags.type != "bpe" && flags.type != "unigram" && flags.type != "char") {
    fail(ErrorKind::bad_usage, "--type: expected bpe, unigram or char, found '{}'", printable(flags.type));
  }
  if (flags.ties != "greatest" && flags.ties != "first") {
    fail(ErrorKind::bad_usage, "--ties: expected greatest or first, found '{}'", printable(flags.ties));
  }
  flags.options.tie_break = flags.ties == "first" ? text::TieBreak::first : text::TieBreak::greatest;
  flags.corpus.format = train::corpus_format(flags.format);
  const std::string config = tokenizer_config(flags);
  const train::Corpus corpus(flags.inputs, flags.corpus);
  const train::CorpusTexts texts(corpus, flags.text_key);
  if (texts.texts().empty())
    fail(ErrorKind::bad_input, "{}: expected text, found none", flags.inputs.front());
  const text::TrainedTokenizer trained = train(flags, texts.texts());
  std::error_code failed;
  std::filesystem::create_directories(flags.output, failed);
  if (failed) fail(ErrorKind::io, "{}: cannot make the folder: {}", flags.output, failed.message());
  const std::string path = flags.output + "/tokenizer.json";
  write_file_atomically(path, trained.tokenizer_json);
  write_file_atomically(flags.output + "/tokenizer_config.json", config);
  fmt::print("{}: {} tokens, {} merges\n", for_standard_output(path), trained.vocabulary_size,
             trained.merges.size());
  if (flags.type == "bpe" && trained.vocabulary_size < flags.options.vocabulary_size) {
    fmt::print(
        stderr,
        "note: no more pairs come {} times or more; a longer text, or --min-count, gives more tokens\n",
        flags.options.minimum_count);
  }
}

}  // namespace

void define_tokenizer(CLI::App& app) {
  const auto flags = std::make_shared<TokenizerFlags>();
  CLI::App& train = *app.add_subcommand("train", "learn a vocabulary from texts");
  app.require_subcommand(1);
  text::TokenizerTrainingOptions& options = flags->options;
  train.add_option("INPUT", flags->inputs, "text files, JSONL files, folders");
  add_option(train, "-o,--output", flags->output, "the folder to write into");
  add_option(train, "--type", flags->type, "bpe (byte-level), unigram, char");
  add_option(train, "--vocab-size", options.vocabulary_size, "tokens in all; with char: the most allowed");
  train.add_option("--special-token", options.special_tokens, "a control token; may be given several times")
      ->allow_extra_args(false);
  add_option(train, "--eos-token", flags->eos_token, "which special token ends a text");
  add_option(train, "--bos-token", flags->bos_token, "which special token begins a text");
  add_option(train, "--pattern", options.pattern, "how words are cut before merging: gpt2, llama3");
  add_option(train, "--min-count", options.minimum_count, "how often a pair must come to be merged");
  add_option(
      train, "--ties", flags->ties,
      "of pairs as frequent as each other: greatest (by their bytes), first (by their ids, as Hugging Face's "
      "trainer)");
  add_option(train, "--format", flags->format, "what the files hold: auto, text, jsonl, chat, chatml");
  add_option(train, "--text-key", flags->text_key, "where JSONL has the text");
  train.footer(kFooter);
  train.callback([flags] { train_tokenizer(*flags); });
}

}  // namespace tessera::cli
