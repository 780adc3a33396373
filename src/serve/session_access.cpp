#include "serve/session_access.h"

#include <algorithm>
#include <limits>

#include "serve/query_fields.h"
#include "serve/session_format.h"

namespace tessera::serve {

std::string path_part(const std::string& path, std::size_t index) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < index && begin < path.size(); ++i) {
    begin = std::min(path.find('/', begin), path.size() - 1) + 1;
  }
  return path.substr(begin, std::min(path.find('/', begin), path.size()) - begin);
}

store::Session SessionCall::session() const {
  const std::string text = path_part(request.path, 3);
  const ApiError missing(404, fmt::format("there is no session {}", printable(text, 40)), "", "not_found");
  const auto id = decimal_number(text);
  if (!id) throw missing;
  try {
    store::Session found = store.session(store::SessionId{*id});
    if (found.user == user) return found;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_usage) throw;
  }
  throw missing;
}

bool SessionCall::has_message(store::SessionId session, store::MessageId message) const {
  try {
    store.message(session, message);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_usage) throw;
    return false;
  }
}

std::optional<store::MessageId> read_message_id(JsonFields& fields, const std::string& name) {
  const auto id = fields.integer(name, 1, std::numeric_limits<std::int64_t>::max());
  return id ? std::optional(store::MessageId{*id}) : std::nullopt;
}

}  // namespace tessera::serve
