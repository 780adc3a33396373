#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/standard_folders.h"
#include "cli/chat_parameters.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/line_editor.h"
#include "cli/notes.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/sampling_flags.h"
#include "cli/speculative_flags.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

struct ChatOptions {
  ModelFlags model;
  SamplingFlags sampling;
  SpeculativeFlags speculative;
  std::string system;
  std::int64_t predict = -1;
  std::vector<std::string> stop;
  bool no_history = false;
  bool no_save = false;
  std::string resume;
};

constexpr const char* kFooter = R"(
In the conversation: /help lists the commands (/system /undo /retry /edit /new /save /load /sessions
/resume /branch /rename /stats /lora /params /exit), """ begins and ends a message of several lines, Ctrl-C stops an answer
and keeps it, Ctrl-D leaves.

Every message is saved before it is answered, every answer when it is complete; /undo, /retry and /edit leave the
earlier branch where it was. 'tessera sessions' lists, searches, exports and deletes; --no-save saves nothing.

With standard input that is not a terminal, all of it is one message; the answer alone is printed on standard
output, and unless --temp says otherwise it is the most probable one, so that a script gets the same each time.

Examples:
  tessera chat
  tessera chat --resume 12
  tessera chat -m SmolLM2 --system "Answer in one sentence."
  echo "What is the capital of France?" | tessera chat)";

std::string read_standard_input() {
  constexpr std::size_t kLongest = std::size_t{64} << 20;
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) fail(ErrorKind::cancelled, "stopped");
    if (got < 0) fail(ErrorKind::io, "standard input cannot be read: {}", std::strerror(errno));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > kLongest)
      fail(ErrorKind::limit, "standard input: expected at most {} bytes of text", kLongest);
  }
}

engine::AnswerOptions answer_options(const ChatOptions& options, const engine::Generator& generator,
                                     bool is_conversation) {
  engine::SamplingOptions fallback;
  fallback.temperature = 0.4F;  // small models leave the subject soon above this
  fallback.top_k = 40;
  fallback.top_p = 0.95F;
  fallback.min_p = 0.05F;
  SamplingFlags flags = options.sampling;
  if (!is_conversation && !flags.temperature) flags.temperature = 0.0F;
  engine::AnswerOptions answer;
  answer.sampling = sampling_options(flags, generator.loaded().defaults, fallback);
  answer.max_new_tokens = options.predict;
  answer.stop = options.stop;
  answer.speculative = speculative_options(options.speculative);
  engine::check(answer.sampling, static_cast<std::int64_t>(generator.tokenizer().vocabulary_size()));
  if (options.predict < -1 || options.predict == 0) {
    fail(ErrorKind::bad_usage, "--predict: expected 1 or more tokens, or -1 for no limit, found {}",
         options.predict);
  }
  return answer;
}

void converse(ChatSession& session, const ChatOptions& options, InterruptGuard& interrupt) {
  std::vector<std::string> completions;
  for (const ChatSession::Command& command : ChatSession::commands()) completions.emplace_back(command.name);
  const std::string history =
      options.no_history ? std::string() : (data_folder() / "tessera" / "chat_history").string();
  LineEditor editor(history, completions);
  session.show_welcome();
  for (;;) {
    interrupt.reset();
    std::string message;
    const LineEditor::Outcome outcome = editor.read_message("> ", message);
    if (outcome == LineEditor::Outcome::end) break;
    if (outcome == LineEditor::Outcome::interrupted) {
      session.forget_edit();
      fmt::print(stderr, "\n(the line is cleared; Ctrl-D or /exit leaves)\n");
      continue;
    }
    editor.remember(message);
    if (!session.handle(message, editor)) return;
  }
  fmt::print(stderr, "\n");
}

// A store that cannot be opened is said, and the conversation begins without it.
std::unique_ptr<SavedConversation> open_saved(const ChatOptions& options, const engine::Generator& generator,
                                              const engine::AnswerOptions& answer) {
  if (options.no_save) return nullptr;
  try {
    return std::make_unique<SavedConversation>(
        std::make_unique<store::SessionStore>(store::default_sessions_path()), generator.loaded().name,
        parameters_json(answer));
  } catch (const Error& error) {
    if (!options.resume.empty()) throw;
    show_error(fmt::format("this conversation will not be saved: {}", error.what()));
    return nullptr;
  }
}

// What a flag says stays as it is when a conversation is resumed.
std::set<std::string> fixed_parameters(const ChatOptions& options) {
  std::set<std::string> fixed;
  const SamplingFlags& flags = options.sampling;
  if (flags.temperature) fixed.insert("temperature");
  if (flags.top_k) fixed.insert("top_k");
  if (flags.top_p) fixed.insert("top_p");
  if (flags.min_p) fixed.insert("min_p");
  if (flags.typical_p) fixed.insert("typical_p");
  if (flags.repeat_penalty) fixed.insert("repeat_penalty");
  if (flags.repeat_last_n) fixed.insert("repeat_last_n");
  if (flags.presence_penalty) fixed.insert("presence_penalty");
  if (flags.frequency_penalty) fixed.insert("frequency_penalty");
  if (flags.seed) fixed.insert("seed");
  if (options.predict != -1) fixed.insert("max_tokens");
  if (!options.stop.empty()) fixed.insert("stop");
  return fixed;
}

void chat(const ChatOptions& options) {
  const bool is_conversation = is_terminal(STDIN_FILENO);
  InterruptGuard interrupt;
  std::string message;
  if (!is_conversation) {
    message = read_standard_input();
    while (message.ends_with('\n') || message.ends_with('\r')) message.pop_back();
    if (message.find_first_not_of(" \t\r\n") == std::string::npos) {
      fail(ErrorKind::bad_usage, "standard input is empty: expected a message to answer");
    }
  }
  if (!options.resume.empty() && (options.no_save || !is_conversation)) {
    fail(ErrorKind::bad_usage, "--resume: expected a conversation in a terminal that is saved");
  }
  const std::unique_ptr<engine::Generator> generator = open_generator(options.model);
  const engine::AnswerOptions answer = answer_options(options, *generator, is_conversation);
  ChatSession session(*generator, answer, interrupt);
  if (is_conversation) {
    session.save_in(open_saved(options, *generator, answer));
    if (!options.resume.empty()) session.resume(options.resume, fixed_parameters(options));
  }
  if (!options.system.empty()) session.set_system(options.system);
  if (is_conversation) {
    converse(session, options, interrupt);
  } else {
    session.answer_once(message);
  }
}

}  // namespace

void define_chat(CLI::App& app) {
  const auto options = std::make_shared<ChatOptions>();
  add_model_flags(app, options->model);
  add_option(app, "--system", options->system, "the system message: who the model is and how it answers");
  add_option(app, "-n,--predict", options->predict, "most tokens an answer may have; -1: no limit");
  add_option(app, "--stop", options->stop, "a text that ends an answer; can be repeated");
  add_sampling_flags(app, options->sampling);
  add_speculative_flags(app, options->speculative);
  add_flag(app, "--no-save", options->no_save, "keep this conversation in memory only");
  add_option(app, "--resume", options->resume,
             "go on with the saved conversation of this number ('tessera sessions')");
  add_flag(app, "--no-history", options->no_history, "neither read nor write the file of earlier messages");
  app.footer(kFooter);
  app.callback([options] { chat(*options); });
}

}  // namespace tessera::cli
