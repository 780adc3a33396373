#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/generation_report.h"
#include "cli/grammar_flags.h"
#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/sampling_flags.h"
#include "cli/speculative_flags.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

// What is read from standard input or given with -p; far above any context, far below memory.
constexpr std::size_t kMostPromptBytes = std::size_t{64} << 20;

constexpr std::int64_t kMostTokens = 1'000'000'000;

// Where neither a flag nor the model's authors say otherwise: lively, and without the long tail.
constexpr auto story_sampling = [] {
  return engine::SamplingOptions{.temperature = 0.8F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F};
};

struct GenerateFlags {
  ModelFlags model;
  std::optional<std::string> prompt;
  std::int64_t predict = 256;
  SamplingFlags sampling;
  SpeculativeFlags speculative;
  GrammarFlags grammar;
  std::vector<std::string> stop;
  std::int64_t logprobs = -1;
  bool ignore_eos = false;
  bool json = false;
};

// What can be known to be wrong before the model is opened.
void check_flags(const GenerateFlags& flags) {
  if (flags.predict < -1 || flags.predict > kMostTokens) {
    fail(ErrorKind::bad_usage, "--predict: expected -1 (until the context is full) or 0 to {}, found {}",
         kMostTokens, flags.predict);
  }
  engine::SamplingOptions sampling = sampling_options(flags.sampling, {}, story_sampling());
  sampling.logprobs = flags.logprobs;
  engine::check(sampling, std::numeric_limits<TokenId>::max());
  speculative_options(flags.speculative);
  grammar_rules(flags.grammar);
  for (const std::string& stop : flags.stop) {
    if (stop.empty()) fail(ErrorKind::bad_usage, "--stop: expected a text, found an empty one");
  }
}

std::string read_standard_input() {
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    text.append(buffer.data(), count);
    if (text.size() > kMostPromptBytes) {
      fail(ErrorKind::limit, "standard input: the prompt is longer than {} bytes", kMostPromptBytes);
    }
  }
  // The line end that a shell or an editor puts there is not part of the text to continue.
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// A text going on and on: the prompt, what the model made of it, what the user steered.
class Story {
 public:
  Story(engine::Generator& generator, const GenerateFlags& flags)
      : generator_(&generator), flags_(&flags), sequence_(generator.new_sequence()) {
    sampling_ = sampling_options(flags.sampling, generator.loaded().defaults, story_sampling());
    sampling_.logprobs = flags.logprobs;
    grammar_ = token_grammar(flags.grammar, generator.loaded());
  }

  const engine::SamplingOptions& sampling() const { return sampling_; }

  // The text goes on from here. All of it is encoded anew, so that words may join over the border; the cache
  // keeps what did not change.
  void add_text(std::string_view text) {
    text_ += text;
    tokens_ = generator_->tokenizer().encode(text_);
    if (!tokens_.empty()) return;
    const auto& tokenizer = generator_->tokenizer();
    const std::optional<TokenId> begin =
        tokenizer.bos_token() ? tokenizer.bos_token() : tokenizer.eos_token();
    if (!begin)
      fail(ErrorKind::bad_usage, "the prompt is empty, and this model has no token to begin a text with");
    tokens_ = {*begin};
  }

  engine::GenerationResult go_on(const engine::PieceSink& on_piece, const InterruptGuard& interrupt) {
    const engine::Request request{.prompt = tokens_,
                                  .sampling = sampling_,
                                  .max_new_tokens = flags_->predict,
                                  .stop = flags_->stop,
                                  .ignore_end_of_generation = flags_->ignore_eos,
                                  .speculative = speculative_options(flags_->speculative),
                                  .grammar = grammar_};
    engine::GenerationResult result = generator_->generate(sequence_, request, on_piece, interrupt.flag());
    text_ += result.text;
    tokens_ = sequence_.tokens();
    // The next round draws other numbers, and the whole stays reproducible.
    ++sampling_.seed;
    return result;
  }

  bool ends_with_space() const {
    return text_.empty() || text_.ends_with(' ') || text_.ends_with('\n') || text_.ends_with('\t');
  }

 private:
  engine::Generator* generator_;
  const GenerateFlags* flags_;
  engine::Sequence sequence_;
  engine::SamplingOptions sampling_;
  std::shared_ptr<const engine::TokenGrammar> grammar_;
  std::string text_;
  std::vector<TokenId> tokens_;
};

void print_piece(const engine::GeneratedPiece& piece) {
  const std::string text = for_standard_output(piece.text);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

engine::GenerationResult tell(Story& story, const engine::Generator& generator, const GenerateFlags& flags,
                              const InterruptGuard& interrupt) {
  engine::GenerationResult result = story.go_on(print_piece, interrupt);
  if (!result.text.ends_with('\n')) std::fputc('\n', stdout);
  std::fflush(stdout);
  if (flags.logprobs >= 0) fmt::print(stderr, "{}", logprobs_table(result, generator.tokenizer()));
  if (result.finish_reason == engine::FinishReason::context_full) {
    fmt::print(stderr, "the context is full: {} of {} tokens; -c makes it larger\n",
               result.usage.prompt_tokens + result.usage.completion_tokens, generator.context_size());
  }
  if (is_terminal(STDERR_FILENO)) {
    const bool color = use_color(STDERR_FILENO);
    fmt::print(stderr, "{}{}{}\n", color ? "\033[2m" : "", summary_line(result, generator.context_size()),
               color ? "\033[0m" : "");
  }
  return result;
}

// In a terminal: Enter goes on, text steers, Ctrl-D ends.
void tell_interactively(Story& story, const engine::Generator& generator, const GenerateFlags& flags,
                        bool has_prompt) {
  InterruptGuard interrupt;
  const char* hint =
      has_prompt ? "" : "Begin a story; then Enter continues it, text steers it, Ctrl-D ends.\n";
  fmt::print(stderr, "{}", hint);
  bool go_on = has_prompt;
  while (true) {
    if (go_on) {
      const engine::GenerationResult result = tell(story, generator, flags, interrupt);
      if (result.finish_reason == engine::FinishReason::context_full) return;
      interrupt.reset();
    }
    fmt::print(stderr, "> ");
    std::string line;
    if (!std::getline(std::cin, line)) break;
    if (!line.empty()) story.add_text((story.ends_with_space() ? "" : " ") + line);
    go_on = go_on || !line.empty();
  }
  fmt::print(stderr, "\n");
}

void generate(const GenerateFlags& flags) {
  check_flags(flags);
  const bool reads_prompt = !flags.prompt && !is_terminal(STDIN_FILENO);
  const bool interactive = !flags.json && is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  if (!flags.prompt && !reads_prompt && !interactive) {
    fail(ErrorKind::bad_usage, "expected a prompt: -p TEXT, or text on standard input");
  }
  const auto generator = open_generator(flags.model);
  Story story(*generator, flags);
  const std::string prompt = flags.prompt ? *flags.prompt : reads_prompt ? read_standard_input() : "";
  if (flags.prompt || reads_prompt) story.add_text(prompt);
  if (interactive) return tell_interactively(story, *generator, flags, flags.prompt.has_value());
  const InterruptGuard interrupt;
  if (!flags.json) {
    tell(story, *generator, flags, interrupt);
    return;
  }
  const engine::SamplingOptions sampling = story.sampling();
  const engine::GenerationResult result = story.go_on({}, interrupt);
  fmt::print("{}\n", generation_json(result, *generator, prompt, sampling));
}

}  // namespace

void define_generate(CLI::App& app) {
  const auto flags = std::make_shared<GenerateFlags>();
  add_model_flags(app, flags->model);
  app.add_option("-p,--prompt,prompt", flags->prompt,
                 "the text to continue; without it standard input is read")
      ->envname(environment_name("--prompt"));
  add_option(app, "-n,--predict", flags->predict,
             "tokens to generate at most; -1: until the context is full");
  add_sampling_flags(app, flags->sampling);
  add_speculative_flags(app, flags->speculative);
  add_grammar_flags(app, flags->grammar);
  add_option(app, "--stop", flags->stop, "end before this text; can be repeated")->allow_extra_args(false);
  add_option(app, "--logprobs", flags->logprobs,
             "log probabilities of each token and of the K best: in the JSON, else as a table; -1: none");
  add_flag(app, "--ignore-eos", flags->ignore_eos, "go on when the model ends its text");
  add_flag(app, "--json", flags->json,
           "print one JSON object: text, tokens, finish_reason (eos, stop, length, context_full, cancelled), "
           "stop, "
           "logprobs, seed, usage, timings");
  app.footer(
      "\nIn a terminal this is story mode: Enter continues, text steers, Ctrl-C stops a passage, Ctrl-D "
      "ends.\n"
      "Otherwise only the continuation goes to standard output.\n");
  app.callback([flags] { generate(*flags); });
}

}  // namespace tessera::cli
