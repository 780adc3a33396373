// Sessions as files: JSON that holds everything and can be read back, Markdown to be read by people.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/session_store.h"

namespace tessera::store {

// {"format": "tessera-sessions", "version": 1, "sessions": [...]} with every branch (docs/sessions.md).
std::string sessions_as_json(std::span<const SessionTree> trees);

// The path to the leaf, without the other branches.
std::string session_as_markdown(const SessionTree& tree);

// Reads what sessions_as_json() wrote, and the one conversation that '/save' of a chat writes: {"messages":
// [{"role", "content"}, ...]}. `file` names it in errors; `now` is the time of what has none. Error
// bad_input, limit.
std::vector<SessionTree> sessions_from_json(std::string_view text, std::string_view file, std::int64_t now);

// A title made of the beginning of a conversation's first message.
std::string title_from(std::string_view message);

}  // namespace tessera::store
