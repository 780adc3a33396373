#include "store/session_store.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/standard_folders.h"
#include "store/json.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/text_check.h"

namespace tessera::store {
namespace {

constexpr std::string_view kSessionColumns =
    "SELECT s.id, s.user_id, s.title, s.model, s.parameters, s.created_at, s.updated_at, s.archived, "
    "s.leaf_id, "
    "(SELECT count(*) FROM messages m WHERE m.session_id = s.id) FROM sessions s ";

Session read_session(const Statement& row) {
  Session session;
  session.id = SessionId{row.integer(0)};
  session.user = UserId{row.integer(1)};
  session.title = row.text(2);
  session.model = row.text(3);
  session.parameters = row.text(4);
  session.created_at = row.integer(5);
  session.updated_at = row.integer(6);
  session.archived = row.integer(7) != 0;
  session.leaf = message_id(row.optional_integer(8));
  session.message_count = row.integer(9);
  return session;
}

void check_parameters(std::string_view text) {
  check_text(text, kLongestParameters, "the session's parameters");
  if (!parse_json(text, "the session's parameters").is_object()) {
    fail(ErrorKind::bad_input, "the session's parameters: expected a JSON object, found '{}'",
         printable(text));
  }
}

void check_session(const NewSession& session) {
  check_text(session.title, kLongestTitle, "the session's title");
  check_text(session.model, kLongestName, "the session's model");
  check_parameters(session.parameters);
}

}  // namespace

std::string default_sessions_path() { return (data_folder() / "tessera" / "sessions.db").string(); }

SessionStore::SessionStore(std::string path, StoreOptions options)
    : database_(std::move(path), options.database), clock_(std::move(options.clock)) {
  migrate(database_, session_migrations());
}

std::int64_t SessionStore::now() const {
  if (clock_) return clock_();
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

void SessionStore::require_session(SessionId id) {
  Statement statement(database_, "SELECT 1 FROM sessions WHERE id = ?");
  if (!statement.bind(number(id)).step()) fail(ErrorKind::bad_usage, "there is no session {}", number(id));
}

std::string key_user(std::string_view name) { return "key:" + std::string(name); }

UserId SessionStore::user(std::string_view name) {
  check_text(name, kLongestName, "the user's name");
  const auto find = [&]() -> std::optional<UserId> {
    Statement statement(database_, "SELECT id FROM users WHERE name = ?");
    if (!statement.bind(name).step()) return std::nullopt;
    return UserId{statement.integer(0)};
  };
  if (const auto known = find()) return *known;
  WriteTransaction transaction(database_);
  if (const auto known = find()) return *known;  // another process was faster
  Statement(database_, "INSERT INTO users (name, created_at) VALUES (?, ?)").bind(name, now()).run();
  const UserId id{database_.last_insert_id()};
  transaction.commit();
  return id;
}

SessionId SessionStore::insert_session(UserId user, const NewSession& session, std::int64_t created_at,
                                       std::int64_t updated_at, bool archived) {
  check_session(session);
  Statement known(database_, "SELECT 1 FROM users WHERE id = ?");
  if (!known.bind(number(user)).step()) fail(ErrorKind::bad_usage, "there is no user {}", number(user));
  Statement(database_,
            "INSERT INTO sessions (user_id, title, model, parameters, created_at, updated_at, archived) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(number(user), session.title, session.model, session.parameters, created_at, updated_at,
            archived ? 1 : 0)
      .run();
  // The search tables are filled by triggers, which keep their own last id.
  return SessionId{database_.last_insert_id()};
}

SessionId SessionStore::create(UserId user, const NewSession& session) {
  WriteTransaction transaction(database_);
  const std::int64_t time = now();
  const SessionId id = insert_session(user, session, time, time, false);
  transaction.commit();
  return id;
}

Session SessionStore::session(SessionId id) {
  Statement statement(database_, std::string(kSessionColumns) + "WHERE s.id = ?");
  if (!statement.bind(number(id)).step()) fail(ErrorKind::bad_usage, "there is no session {}", number(id));
  return read_session(statement);
}

SessionPage SessionStore::list(UserId user, const ListOptions& options) {
  if (options.limit < 1 || options.limit > kLongestPage) {
    fail(ErrorKind::bad_usage, "sessions a page: expected 1 to {}, found {}", kLongestPage, options.limit);
  }
  const std::string order =
      " AND s.archived = ? ORDER BY s.updated_at DESC, s.id DESC LIMIT ?";  // one more tells whether there is
                                                                            // a next
  SessionPage page;
  const auto read = [&](Statement& statement) {
    while (statement.step()) page.sessions.push_back(read_session(statement));
  };
  if (options.after) {
    Statement statement(database_, std::string(kSessionColumns) +
                                       "WHERE s.user_id = ? AND (s.updated_at, s.id) < (?, ?)" + order);
    read(statement.bind(number(user), options.after->updated_at, number(options.after->id),
                        options.archived ? 1 : 0, options.limit + 1));
  } else {
    Statement statement(database_, std::string(kSessionColumns) + "WHERE s.user_id = ?" + order);
    read(statement.bind(number(user), options.archived ? 1 : 0, options.limit + 1));
  }
  if (static_cast<std::int64_t>(page.sessions.size()) > options.limit) {
    page.sessions.pop_back();
    page.next = ListCursor{page.sessions.back().updated_at, page.sessions.back().id};
  }
  return page;
}

// `assignment` is a literal of this file; the value is bound.
void SessionStore::update_session(SessionId id, std::string_view assignment, std::string_view value) {
  WriteTransaction transaction(database_);
  require_session(id);
  Statement(database_, fmt::format("UPDATE sessions SET {} WHERE id = ?", assignment))
      .bind(value, number(id))
      .run();
  transaction.commit();
}

void SessionStore::rename(SessionId id, std::string_view title) {
  check_text(title, kLongestTitle, "the session's title");
  update_session(id, "title = ?", title);
}

void SessionStore::set_model(SessionId id, std::string_view model) {
  check_text(model, kLongestName, "the session's model");
  update_session(id, "model = ?", model);
}

void SessionStore::set_parameters(SessionId id, std::string_view json) {
  check_parameters(json);
  update_session(id, "parameters = ?", json);
}

void SessionStore::set_archived(SessionId id, bool archived) {
  WriteTransaction transaction(database_);
  require_session(id);
  Statement(database_, "UPDATE sessions SET archived = ? WHERE id = ?")
      .bind(archived ? 1 : 0, number(id))
      .run();
  transaction.commit();
}

void SessionStore::change(SessionId id, const SessionChange& change) {
  if (change.title) check_text(*change.title, kLongestTitle, "the session's title");
  if (change.parameters) check_parameters(*change.parameters);
  WriteTransaction transaction(database_);
  require_session(id);
  if (change.leaf && *change.leaf) require_message(id, **change.leaf);
  const std::optional<std::int64_t> archived =
      change.archived ? std::optional<std::int64_t>(*change.archived ? 1 : 0) : std::nullopt;
  Statement(database_,
            "UPDATE sessions SET title = coalesce(?, title), parameters = coalesce(?, parameters), "
            "archived = coalesce(?, archived) WHERE id = ?")
      .bind(change.title, change.parameters, archived, number(id))
      .run();
  if (change.leaf) move_leaf(id, *change.leaf, now());
  transaction.commit();
}

std::optional<SessionId> SessionStore::find_title(UserId user, std::string_view title) {
  Statement statement(
      database_,
      "SELECT id FROM sessions WHERE user_id = ? AND title = ? ORDER BY updated_at DESC, id DESC "
      "LIMIT 1");
  if (!statement.bind(number(user), title).step()) return std::nullopt;
  return SessionId{statement.integer(0)};
}

void SessionStore::erase(SessionId id) {
  WriteTransaction transaction(database_);
  require_session(id);
  Statement(database_, "DELETE FROM sessions WHERE id = ?").bind(number(id)).run();
  transaction.commit();
}

std::vector<std::string> SessionStore::integrity_errors() {
  std::vector<std::string> errors;
  Statement pages(database_, "PRAGMA integrity_check");
  while (pages.step()) {
    if (pages.text(0) != "ok") errors.push_back(pages.text(0));
  }
  Statement references(database_, "PRAGMA foreign_key_check");
  while (references.step()) {
    errors.push_back(fmt::format("table {}, row {}: refers to nothing in {}", references.text(0),
                                 references.integer(1), references.text(2)));
  }
  for (const char* table : {"message_search", "title_search"}) {
    try {
      WriteTransaction transaction(database_);
      database_.execute(
          fmt::format("INSERT INTO {0} ({0}, rank) VALUES ('integrity-check', 1)", table).c_str());
    } catch (const Error& error) {
      errors.push_back(fmt::format("{}: {}", table, error.what()));
    }
  }
  return errors;
}

}  // namespace tessera::store
