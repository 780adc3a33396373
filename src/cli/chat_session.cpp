#include "cli/chat_session.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/error.h"
#include "base/near_names.h"
#include "base/standard_folders.h"
#include "cli/chat_parameters.h"
#include "cli/line_editor.h"
#include "cli/notes.h"
#include "cli/progress_bar.h"
#include "cli/speculative_flags.h"
#include "cli/terminal.h"
#include "engine/lora_adapters.h"

namespace tessera::cli {
namespace {

constexpr double kSecondsUntilPrefillIsShown = 0.5;

void print_answer(const std::string& text) {
  const std::string shown = for_standard_output(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  std::fflush(stdout);
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

// "~/talk.json" as a shell would read it.
std::string file_argument(const std::string& argument, const char* command) {
  if (argument.empty()) fail(ErrorKind::bad_usage, "expected a file: {} FILE", command);
  if (argument.starts_with("~/")) return (home_folder() / argument.substr(2)).string();
  return argument;
}

}  // namespace

ChatSession::ChatSession(engine::Generator& generator, engine::AnswerOptions options,
                         InterruptGuard& interrupt)
    : generator_(&generator),
      conversation_(generator),
      options_(std::move(options)),
      interrupt_(&interrupt) {}

std::span<const ChatSession::Command> ChatSession::commands() {
  static constexpr std::array kCommands = {
      Command{"/help", "", "this list", &ChatSession::help},
      Command{"/system", "[TEXT]", "show or set the system message; '/system -' removes it",
              &ChatSession::system},
      Command{"/undo", "", "take back the last message and its answer", &ChatSession::undo},
      Command{"/retry", "", "answer the last message again", &ChatSession::retry},
      Command{"/edit", "[TEXT]", "change the last message and answer it again", &ChatSession::edit},
      Command{"/new", "", "start anew; the system message stays", &ChatSession::start_anew},
      Command{"/save", "FILE", "write the conversation to a JSON file", &ChatSession::save},
      Command{"/load", "FILE", "go on with a conversation from a file", &ChatSession::load},
      Command{"/sessions", "[WORDS]", "list the saved conversations, or those with these words",
              &ChatSession::sessions},
      Command{"/resume", "N", "go on with a saved conversation", &ChatSession::resume},
      Command{"/branch", "[N]", "list the branches of this conversation, or go to one", &ChatSession::branch},
      Command{"/rename", "TITLE", "give this conversation a title", &ChatSession::rename},
      Command{"/stats", "", "tokens so far, and the context", &ChatSession::stats},
      Command{"/lora", "[NAME]", "list the adapters, or answer with one; '/lora -' with none",
              &ChatSession::lora},
      Command{"/params", "[NAME VALUE]", "show or set how the next token is chosen", &ChatSession::params},
      Command{"/exit", "", "leave (Ctrl-D does too)", &ChatSession::leave},
  };
  return kCommands;
}

void ChatSession::show_welcome() const {
  show_note(fmt::format("{}, context {} tokens. /help lists the commands, Ctrl-D leaves.",
                        generator_->loaded().name, generator_->context_size()));
}

bool ChatSession::handle(const std::string& message, LineEditor& editor) {
  try {
    if (message.starts_with('/') && !editing_) {
      run_command(trimmed(message), editor);
    } else if (trimmed(message).empty()) {
      editing_ = false;
    } else if (editing_) {
      editing_ = false;
      conversation_.edit(message);
      answer();
    } else {
      send(message.starts_with(" /") ? message.substr(1) : message);
    }
  } catch (const Error& error) {
    show_error(error.what());
  }
  return !leaving_;
}

void ChatSession::run_command(const std::string& line, LineEditor& editor) {
  const std::size_t end = line.find_first_of(" \t\n");
  const std::string name = line.substr(0, end);
  const std::string argument = end == std::string::npos ? std::string() : trimmed(line.substr(end));
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    names.emplace_back(command.name);
    if (name == command.name) return (this->*command.run)(argument, editor);
  }
  if (name == "/quit" || name == "/bye") return leave(argument, editor);
  const auto near = near_names(name, names, 1);
  fail(ErrorKind::bad_usage,
       "no command '{}'; {}/help lists them; with a space before it, it is sent as text", printable(name),
       near.empty() ? "" : "did you mean " + near.front() + "? ");
}

// Sends a message. One that was never answered (stopped at once) gives way to it.
void ChatSession::send(const std::string& message) {
  const auto& messages = conversation_.messages();
  if (!messages.empty() && messages.back().role == "user") conversation_.undo();
  conversation_.add_user(message);
  answer();
}

void ChatSession::answer() {
  remember();
  try {
    const engine::GenerationResult result = generate();
    remember(&result);
    show_result(result);
  } catch (const Error& error) {
    const auto taken_back = conversation_.undo();
    remember();
    if (error.kind() != ErrorKind::limit) throw;
    show_error(fmt::format("The context is full: {}.", error.what()));
    show_note(fmt::format("Your message was not sent{}. {}",
                          taken_back ? " (the up arrow brings it back)" : "", way_out_of_full_context()));
  }
}

engine::GenerationResult ChatSession::generate() {
  engine::AnswerOptions options = options_;
  options.sampling.seed += answers_++;
  interrupt_->reset();
  const EchoOff no_echo;
  ProgressDisplay display(STDERR_FILENO, kSecondsUntilPrefillIsShown);
  const ProgressSink show_prefill = is_terminal(STDERR_FILENO) ? display.sink() : ProgressSink();
  struct Clear {
    ProgressDisplay* display;
    ~Clear() { display->clear(); }
  } const clear{&display};
  engine::GenerationResult result = conversation_.answer(
      options,
      [&display](const engine::GeneratedPiece& piece) {
        display.clear();
        print_answer(piece.text);
      },
      interrupt_->flag(), show_prefill);
  interrupt_->reset();
  return result;
}

void ChatSession::show_result(const engine::GenerationResult& result) const {
  if (!result.text.ends_with('\n')) print_answer("\n");
  std::string line;
  if (result.finish_reason == engine::FinishReason::cancelled) line = "stopped; ";
  if (result.finish_reason == engine::FinishReason::length) {
    line = fmt::format("cut after {} tokens (-n; /params predict -1 lifts it); ", options_.max_new_tokens);
  }
  const engine::Timings& timings = result.timings;
  line += fmt::format("{} tokens", result.usage.completion_tokens);
  if (timings.decode_tokens > 0) line += fmt::format(", {:.1f}/s", timings.decode_per_second());
  line += drafts_text(result.drafts);
  line += fmt::format("; prefill {} tokens", timings.prefill_tokens);
  if (timings.prefill_tokens > 0) line += fmt::format(", {:.0f}/s", timings.prefill_per_second());
  show_note(fmt::format("[{}; context {}]", line, context_text()));
  if (result.finish_reason == engine::FinishReason::context_full) {
    show_error(fmt::format("The context is full: {} tokens; the answer ends here.", context_text()));
    show_note(way_out_of_full_context());
  }
}

std::string ChatSession::context_text() const {
  const engine::ConversationStats stats = conversation_.stats();
  return fmt::format("{} of {}", stats.context_used, stats.context_size);
}

std::string ChatSession::way_out_of_full_context() const {
  const std::int64_t longest = generator_->loaded().model->config().max_position_embeddings;
  std::string text = "/undo takes the last turn back, /system shortens the system message, /new starts anew";
  if (longest > generator_->context_size()) text += fmt::format("; -c allows up to {} tokens", longest);
  return text + ".";
}

void ChatSession::answer_once(const std::string& message) {
  conversation_.add_user(message);
  const engine::GenerationResult result = generate();
  if (!result.text.ends_with('\n')) print_answer("\n");
  if (result.finish_reason == engine::FinishReason::context_full) {
    fail(ErrorKind::limit, "the answer was cut: the context is full ({} tokens); a larger -c gives it room",
         context_text());
  }
  if (result.finish_reason == engine::FinishReason::length) {
    fmt::print(stderr, "note: the answer was cut after {} tokens (-n)\n", options_.max_new_tokens);
  }
  if (result.finish_reason == engine::FinishReason::cancelled) fail(ErrorKind::cancelled, "stopped");
}

void ChatSession::help(const std::string&, LineEditor&) {
  std::string text;
  for (const Command& command : commands()) {
    text += fmt::format("{:<22} {}\n", fmt::format("{} {}", command.name, command.argument), command.summary);
  }
  text += "\"\"\"                    begins and ends a message of several lines\n";
  text += "Ctrl-C                 stops an answer and keeps it; at the prompt clears the line\n";
  text += "up, down, Ctrl-R       earlier messages; Tab completes commands";
  show_note(text);
}

void ChatSession::system(const std::string& argument, LineEditor&) {
  if (argument.empty()) {
    show_note("system: " +
              conversation_.system().value_or("(none set; the model's template may bring its own)"));
    return;
  }
  conversation_.set_system(argument == "-" ? std::string() : argument);
  show_note(argument == "-" ? "the system message is removed"
                            : "the system message is set; the next answer follows it");
}

void ChatSession::undo(const std::string&, LineEditor&) {
  const auto text = conversation_.undo();
  if (!text) fail(ErrorKind::bad_usage, "there is nothing to take back");
  remember();
  show_note(fmt::format("took back \"{}\" and what followed; context {}", excerpt(*text), context_text()));
}

void ChatSession::retry(const std::string&, LineEditor&) {
  if (!conversation_.drop_answer() &&
      (conversation_.messages().empty() || conversation_.messages().back().role != "user")) {
    fail(ErrorKind::bad_usage, "there is no message to answer again");
  }
  answer();
}

void ChatSession::edit(const std::string& argument, LineEditor& editor) {
  const auto& messages = conversation_.messages();
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const engine::Message& message) { return message.role == "user"; });
  if (last == messages.rend()) fail(ErrorKind::bad_usage, "there is no message to change");
  if (!argument.empty()) {
    conversation_.edit(argument);
    return answer();
  }
  editor.preload(last->content);
  editing_ = true;
}

void ChatSession::start_anew(const std::string&, LineEditor&) {
  conversation_.clear();
  if (saved_) saved_->begin_anew();
  show_note(fmt::format("a new conversation; context {}", context_text()));
}

void ChatSession::save(const std::string& argument, LineEditor&) {
  const std::string path = file_argument(argument, "/save");
  conversation_.save(path);
  show_note(fmt::format("{} messages written to {}", conversation_.messages().size(), path));
}

void ChatSession::load(const std::string& argument, LineEditor&) {
  conversation_.load(file_argument(argument, "/load"));
  if (saved_) saved_->begin_anew();
  remember();
  show_messages();
  show_note(fmt::format("{} messages loaded", conversation_.messages().size()));
}

void ChatSession::stats(const std::string&, LineEditor&) {
  const engine::ConversationStats stats = conversation_.stats();
  show_note(fmt::format(
      "messages               {}\n"
      "context                {} of {} tokens, {} of them in the cache\n"
      "prompt tokens          {} computed, {} taken from the cache\n"
      "generated              {} tokens",
      conversation_.messages().size(), stats.context_used, stats.context_size, stats.cached_tokens,
      stats.prompt_tokens_computed, stats.prompt_tokens_reused, stats.tokens_generated));
}

void ChatSession::lora(const std::string& argument, LineEditor&) {
  const std::vector<engine::LoadedLora>& adapters = generator_->loaded().adapters;
  if (!argument.empty()) {
    const auto found = engine::find_lora(generator_->loaded(), argument);
    if (!found && argument != "-") {
      fail(ErrorKind::bad_usage, "no adapter '{}'; /lora lists those that --lora named", printable(argument));
    }
    conversation_.set_lora(found.value_or(nn::kNoLora));
  }
  std::string text;
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    const bool in_force = static_cast<nn::LoraId>(i) == conversation_.lora();
    text += fmt::format("{}{} {}", i == 0 ? "" : "\n", in_force ? "*" : " ", adapters[i].name);
  }
  show_note(adapters.empty() ? "no adapters; --lora FOLDER brings one" : text);
}

void ChatSession::params(const std::string& argument, LineEditor&) {
  if (!argument.empty()) {
    const std::uint64_t seed_before = options_.sampling.seed;
    set_parameter(options_, argument, static_cast<std::int64_t>(generator_->tokenizer().vocabulary_size()));
    if (options_.sampling.seed != seed_before) answers_ = 0;
    remember_parameters();
  }
  std::string text = parameters_text(options_);
  text.pop_back();
  show_note(text);
}

}  // namespace tessera::cli
