// The commands of a chat that concern stored conversations: /sessions, /resume, /branch, /rename.
#include <fmt/core.h>

#include <charconv>

#include "base/error.h"
#include "cli/chat_parameters.h"
#include "cli/chat_session.h"
#include "cli/notes.h"
#include "cli/session_lines.h"

namespace tessera::cli {
namespace {

constexpr std::int64_t kMostLines = 20;

std::string without_end(std::string lines) {
  if (lines.ends_with('\n')) lines.pop_back();
  return lines;
}

}  // namespace

SavedConversation& ChatSession::saved() {
  if (!saved_) fail(ErrorKind::bad_usage, "this conversation is not saved (--no-save, or see the start)");
  return *saved_;
}

store::SessionId ChatSession::saved_session() {
  const std::optional<store::SessionId> session = saved().session();
  if (!session) fail(ErrorKind::bad_usage, "this conversation has no messages yet");
  return *session;
}

// A store that fails must not end a conversation: it is said, and tried again with the next message.
void ChatSession::remember(const engine::GenerationResult* answer) {
  if (!saved_) return;
  try {
    try {
      saved_->follow(conversation_.messages(), answer);
    } catch (const Error& error) {
      // Deleted by another program meanwhile: what goes on here is a session of its own.
      if (error.kind() != ErrorKind::bad_usage) throw;
      saved_->begin_anew();
      saved_->follow(conversation_.messages(), answer);
    }
  } catch (const Error& error) {
    show_error(fmt::format("not saved: {}", error.what()));
  }
}

void ChatSession::remember_parameters() {
  if (!saved_) return;
  try {
    saved_->set_parameters(parameters_json(options_, saved_->parameters()));
  } catch (const Error& error) {
    show_error(fmt::format("not saved: {}", error.what()));
  }
}

void ChatSession::show_messages() const {
  for (const engine::Message& message : conversation_.messages()) {
    show_note(fmt::format("{}: {}", message.role, excerpt(message.content)));
  }
}

void ChatSession::sessions(const std::string& argument, LineEditor&) {
  store::SessionStore& store = saved().store();
  if (argument.empty()) {
    const store::SessionPage page = store.list(saved().user(), {.limit = kMostLines});
    if (page.sessions.empty()) return show_note("no conversation is saved yet");
    show_note(session_lines(page.sessions, saved().session()) +
              (page.next ? "there are older ones: /sessions WORDS searches them all\n" : "") +
              "/resume N goes on with one");
    return;
  }
  const store::SearchPage page = store.search(saved().user(), argument, {.limit = kMostLines});
  if (page.hits.empty()) return show_note("found nothing");
  show_note(without_end(hit_lines(page.hits)));
  if (page.next) show_note("there are more; further words find fewer");
}

// How a resumed conversation is answered: as it was. Each answer that is stored took a seed of its own.
void ChatSession::restore(const store::Session& session, const std::set<std::string>& fixed) {
  const auto unusable =
      restore_parameters(options_, session.parameters,
                         static_cast<std::int64_t>(generator_->tokenizer().vocabulary_size()), fixed);
  for (const std::string& name : unusable) {
    show_error(fmt::format("the session's '{}' cannot be used here and stays as it is", name));
  }
  answers_ = 0;
  for (const store::Message& message : saved().store().messages(session.id)) {
    if (message.role == "assistant") ++answers_;
  }
}

void ChatSession::resume(const std::string& number, const std::set<std::string>& fixed) {
  const store::SessionId id = session_number(number);
  const store::Session session = saved().store().session(id);
  if (is_story(session.parameters)) {
    fail(ErrorKind::bad_usage, "session {} is a story, which the page of 'tessera serve' goes on with",
         number);
  }
  const std::vector<store::Message> path = saved().store().path(id);
  conversation_.set_messages(saved().accept(session, path));
  restore(session, fixed);
  show_messages();
  std::string note = fmt::format("{} messages of '{}'", path.size(), session.title);
  if (!session.model.empty() && session.model != generator_->loaded().name) {
    note += fmt::format("; it was begun with {}", session.model);
  }
  show_note(note);
}

void ChatSession::branch(const std::string& argument, LineEditor&) {
  const store::SessionId session = saved_session();
  const std::vector<store::Message> leaves = saved().store().leaves(session);
  if (argument.empty()) {
    std::string lines;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      lines += fmt::format("{}{:>5}  {}  {}: {}\n", leaves[i].id == saved().leaf() ? '*' : ' ', i + 1,
                           local_time_text(leaves[i].created_at), leaves[i].role, excerpt(leaves[i].content));
    }
    show_note(lines + "each branch by its last message; /branch N goes there");
    return;
  }
  std::size_t number = 0;
  const auto [end, problem] = std::from_chars(argument.data(), argument.data() + argument.size(), number);
  if (problem != std::errc() || end != argument.data() + argument.size() || number < 1 ||
      number > leaves.size()) {
    fail(ErrorKind::bad_usage, "expected a branch from 1 to {}, found '{}'", leaves.size(),
         printable(argument));
  }
  const std::vector<store::Message> path = saved().store().path_to(session, leaves[number - 1].id);
  conversation_.set_messages(saved().accept(saved().store().session(session), path));
  show_messages();
  show_note(fmt::format("branch {} of {}", number, leaves.size()));
}

void ChatSession::rename(const std::string& argument, LineEditor&) {
  if (argument.empty()) fail(ErrorKind::bad_usage, "expected a title: /rename TITLE");
  saved().store().rename(saved_session(), argument);
  show_note("the title is set");
}

}  // namespace tessera::cli
