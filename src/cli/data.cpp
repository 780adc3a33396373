// `tessera data`: texts, JSONL and conversations to token files.
#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/token_files.h"
#include "hub/model_directory.h"
#include "train/prepare_data.h"

namespace tessera::cli {
namespace {

constexpr int kMostThreads = 1024;

struct DataFlags {
  std::string model;
  std::string output;
  std::string format = "auto";
  std::string split = "auto";
  std::string chat_template;
  int threads = 0;
  train::PrepareDataOptions options;
};

constexpr const char* kFooter = R"(
Reads files and folders (.txt, .text, .md, .jsonl, .ndjson, .chatml, at any depth) and writes train.tokens and
validation.tokens into the folder DIR, with tokenizer.json beside them when the tokenizer is such a file.

A text file is one document, or several with --separator between them; a line of JSONL is one, with its text
under --text-key. Lines with "messages" (OpenAI) or "conversations" (ShareGPT) and ChatML files are
conversations: they are rendered with the model's chat template, and only the answers count in the loss.

For validation, a single text gives its last characters; of several documents some are chosen by --seed.

Examples:
  tessera data -m tokenizer.json -o shakespeare input.txt
  tessera data -m SmolLM2 -o stories --eos --separator '<|endoftext|>' stories.txt
  tessera data -m SmolLM2 -o chats --validation 0.02 conversations.jsonl)";

train::SplitBy split_by(const std::string& name) {
  if (name == "auto") return train::SplitBy::automatic;
  if (name == "document") return train::SplitBy::document;
  if (name == "tail") return train::SplitBy::tail;
  fail(ErrorKind::bad_usage, "--split: expected one of auto, document, tail, found '{}'", printable(name));
}

void make_data(DataFlags& flags) {
  if (flags.output.empty())
    fail(ErrorKind::bad_usage, "expected -o DIR; 'tessera data --help' shows examples");
  if (flags.threads < 0 || flags.threads > kMostThreads) {
    fail(ErrorKind::bad_usage, "--threads: expected 0 to {}, found {}", kMostThreads, flags.threads);
  }
  flags.options.corpus.format = train::corpus_format(flags.format);
  flags.options.split = split_by(flags.split);
  if (flags.threads > 0) set_thread_count(flags.threads);
  const train::PreparedData prepared = write_token_files(
      {.model = flags.model.empty() ? hub::default_model() : hub::resolve_model(flags.model),
       .chat_template = flags.chat_template,
       .output = flags.output,
       .options = flags.options});
  print_token_files(prepared);
  if (prepared.lost_bytes > 0) {
    fmt::print(
        stderr,
        "note: {} of the texts have no token: characters that the tokenizer does not know or rewrites\n",
        bytes_text(prepared.lost_bytes));
  }
  if (prepared.documents > 1 && !flags.options.add_eos && !flags.options.add_bos &&
      !prepared.train.info.has_loss_mask) {
    fmt::print(stderr, "note: documents follow each other without a mark between them; --eos puts one\n");
  }
}

}  // namespace

void define_data(CLI::App& app) {
  const auto flags = std::make_shared<DataFlags>();
  train::PrepareDataOptions& options = flags->options;
  app.add_option("INPUT", options.inputs, "text files, JSONL files, folders");
  add_option(app, "-m,--model", flags->model,
             "whose tokenizer: a GGUF file, a Hugging Face folder, a tokenizer.json, or a name");
  add_option(app, "-o,--output", flags->output, "the folder to write into");
  add_option(app, "--format", flags->format, "what the files hold: auto, text, jsonl, chat, chatml");
  add_option(app, "--text-key", options.text_key, "where JSONL has the text");
  add_option(app, "--separator", options.corpus.document_separator,
             "what stands between the documents of a text file");
  add_option(app, "--validation", options.validation_fraction, "the part kept for validation; 0: none");
  app.add_option("--validation-data", options.validation_inputs,
                 "files or folders for validation; then nothing is kept back of the others")
      ->envname("TESSERA_VALIDATION_DATA")
      ->allow_extra_args(false);
  add_option(app, "--split", flags->split,
             "what is kept for validation: auto, document (whole ones), tail (of each text)");
  add_option(app, "--seed", options.seed, "chooses the documents for validation");
  add_flag(app, "--bos", options.add_bos, "put the tokenizer's BOS before each text");
  add_flag(app, "--eos", options.add_eos, "put the tokenizer's EOS behind each text");
  add_flag(app, "--parse-special", options.parse_special,
           "let text such as <|endoftext|> become its control token");
  add_option(app, "--chat-template", flags->chat_template, "a Jinja file to render conversations with");
  add_option(app, "-t,--threads", flags->threads, "threads to work with; 0: every CPU this process may use");
  app.footer(kFooter);
  app.callback([flags] { make_data(*flags); });
}

}  // namespace tessera::cli
