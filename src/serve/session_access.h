// One request about stored sessions, in a thread of the store: whose it is, and what its path and body name.
// For .cpp files of this room only.
#pragma once
#include <optional>
#include <string>

#include "serve/http_message.h"
#include "serve/json_fields.h"
#include "store/session_store.h"

namespace tessera::serve {

struct SessionCall {
  const HttpRequest& request;
  store::SessionStore& store;
  store::UserId user;

  // The session that the path names ("/api/sessions/12/..."). ApiError 404: there is none, or it is somebody
  // else's: the two look alike.
  store::Session session() const;
  // Whether the session has this message.
  bool has_message(store::SessionId session, store::MessageId message) const;
};

// The part of a path after `index` slashes: 3 in "/api/sessions/12/messages" is "12".
std::string path_part(const std::string& path, std::size_t index);

// A member that is a message's id or null. ApiError 400 naming it.
std::optional<store::MessageId> read_message_id(JsonFields& fields, const std::string& name);

}  // namespace tessera::serve
