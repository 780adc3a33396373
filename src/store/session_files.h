// Sessions as files: JSON that holds everything, Markdown to be read by people; both can be read back.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/session_store.h"

namespace tessera::store {

// {"format": "tessera-sessions", "version": 1, "sessions": [...]} with every branch (docs/sessions.md).
std::string sessions_as_json(std::span<const SessionTree> trees);

// The path to the leaf, without the other branches: "# TITLE", the model and the time, and each message below
// "## User" and the like. A line of a message that looks like one of these gets a backslash before it.
std::string session_as_markdown(const SessionTree& tree);
// Reads one or several of these: titles, roles and texts, but for blank lines around them; the model, which
// all answers have then. Error bad_input with the line.
std::vector<SessionTree> sessions_from_markdown(std::string_view text, std::string_view file,
                                                std::int64_t now);
bool is_markdown(std::string_view text);  // begins as these do, and not as JSON

// Reads what sessions_as_json() wrote, and the one conversation that '/save' of a chat writes: {"messages":
// [{"role", "content"}, ...]}. `file` names it in errors; `now` is the time of what has none. Error
// bad_input, limit.
std::vector<SessionTree> sessions_from_json(std::string_view text, std::string_view file, std::int64_t now);

// A title made of the beginning of a conversation's first message.
std::string title_from(std::string_view message);

}  // namespace tessera::store
