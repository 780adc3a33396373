// The conversation in the terminal: what each typed line does, and what is shown around the answers. Answers
// go to standard output, everything else to standard error.
#pragma once
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/interrupt.h"
#include "cli/saved_conversation.h"
#include "engine/conversation.h"

namespace tessera::cli {

class LineEditor;

class ChatSession {
 public:
  // All must outlive the session. `options.sampling.seed` is the first answer's; each later answer takes the
  // next one, so that /retry can bring another text and the whole session can be repeated.
  ChatSession(engine::Generator& generator, engine::AnswerOptions options, InterruptGuard& interrupt);

  void set_system(const std::string& text) { conversation_.set_system(text); }
  // From now on every message is stored before it is answered, and every answer when it is complete.
  void save_in(std::unique_ptr<SavedConversation> saved) { saved_ = std::move(saved); }
  // Goes on with a stored conversation, answered as it was, but for the parameters named in `fixed`. Error
  // bad_usage: there is none with this number, or it is a story.
  void resume(const std::string& number, const std::set<std::string>& fixed = {});
  void show_welcome() const;
  // A command or a message to answer. False: leave. Errors of the engine are shown, and the session goes on.
  bool handle(const std::string& message, LineEditor& editor);
  // An interrupted or emptied line ends what /edit began.
  void forget_edit() { editing_ = false; }

  // One message, its answer as plain text on standard output. Error limit when the context ends it early.
  void answer_once(const std::string& message);

  struct Command {
    const char* name;      // "/undo"
    const char* argument;  // "FILE", "[TEXT]", ""
    const char* summary;
    void (ChatSession::*run)(const std::string& argument, LineEditor& editor);
  };
  static std::span<const Command> commands();

 private:
  void help(const std::string&, LineEditor&);
  void system(const std::string& argument, LineEditor&);
  void undo(const std::string&, LineEditor&);
  void retry(const std::string&, LineEditor&);
  void edit(const std::string& argument, LineEditor& editor);
  void start_anew(const std::string&, LineEditor&);
  void save(const std::string& argument, LineEditor&);
  void load(const std::string& argument, LineEditor&);
  void sessions(const std::string& argument, LineEditor&);
  void resume(const std::string& argument, LineEditor&) { resume(argument); }
  void restore(const store::Session& session, const std::set<std::string>& fixed);
  void branch(const std::string& argument, LineEditor&);
  void rename(const std::string& argument, LineEditor&);
  void stats(const std::string&, LineEditor&);
  void lora(const std::string& argument, LineEditor&);
  void params(const std::string& argument, LineEditor&);
  void leave(const std::string&, LineEditor&) { leaving_ = true; }

  void run_command(const std::string& line, LineEditor& editor);
  void send(const std::string& message);
  void answer();
  engine::GenerationResult generate();
  SavedConversation& saved();
  store::SessionId saved_session();
  void remember(const engine::GenerationResult* answer = nullptr);
  void remember_parameters();
  void show_messages() const;
  void show_result(const engine::GenerationResult& result) const;
  std::string way_out_of_full_context() const;
  std::string context_text() const;

  engine::Generator* generator_;
  engine::Conversation conversation_;
  engine::AnswerOptions options_;
  InterruptGuard* interrupt_;
  std::unique_ptr<SavedConversation> saved_;  // none: nothing is stored
  std::uint64_t answers_ = 0;
  bool editing_ = false;
  bool leaving_ = false;
};

}  // namespace tessera::cli
