// Sessions and messages of the store as the JSON of /api. For .cpp files of this room only.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "serve/json_fields.h"
#include "store/session_types.h"

namespace tessera::serve {

Json session_json(const store::Session& session);
Json message_json(const store::Message& message);
// Highlights count characters (code points), not bytes.
Json search_json(const store::SearchPage& page);

// Where a page of the list ends, as one opaque word; and back. ApiError 400: it is no such word.
std::string cursor_text(const store::ListCursor& cursor);
store::ListCursor read_cursor(std::string_view text);

constexpr std::int64_t number(store::SessionId id) { return static_cast<std::int64_t>(id); }
constexpr std::int64_t number(store::MessageId id) { return static_cast<std::int64_t>(id); }

}  // namespace tessera::serve
