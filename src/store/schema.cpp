#include "store/schema.h"

#include <fmt/core.h>

#include <array>

#include "base/error.h"

namespace tessera::store {
namespace {

constexpr std::int64_t kApplicationId = 0x54535331;  // "TSS1"; so that another program's file is recognised

// A message's id is greater than its parent's (also after an import), so that every walk to a root ends.
// Parents are checked when a transaction ends, because a branch is deleted in any order: a cascade along the
// chain would nest one trigger a message, and SQLite allows 1,000. The search tables keep no text of their
// own.
constexpr const char* kVersion1 = R"(
CREATE TABLE users (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL  -- milliseconds since 1970, as all times
) STRICT;

CREATE TABLE sessions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  title      TEXT NOT NULL,
  model      TEXT NOT NULL,
  parameters TEXT NOT NULL,  -- a JSON object
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  archived   INTEGER NOT NULL CHECK (archived IN (0, 1)),
  leaf_id    INTEGER,  -- where the conversation stands
  FOREIGN KEY (id, leaf_id) REFERENCES messages (session_id, id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX sessions_by_time ON sessions (user_id, updated_at, id);

CREATE TABLE messages (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id        INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  parent_id         INTEGER CHECK (parent_id < id),
  role              TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  content           TEXT NOT NULL,
  model             TEXT NOT NULL,
  finish_reason     TEXT NOT NULL,
  prompt_tokens     INTEGER,
  completion_tokens INTEGER,
  prefill_seconds   REAL,
  decode_seconds    REAL,
  created_at        INTEGER NOT NULL,
  UNIQUE (session_id, id),
  FOREIGN KEY (session_id, parent_id) REFERENCES messages (session_id, id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX messages_by_parent ON messages (session_id, parent_id, id);
CREATE TRIGGER messages_never_change BEFORE UPDATE ON messages
BEGIN SELECT RAISE(ABORT, 'a stored message never changes'); END;

CREATE VIRTUAL TABLE message_search USING fts5 (content, content = 'messages', content_rowid = 'id', tokenize = 'trigram');
CREATE TRIGGER message_search_insert AFTER INSERT ON messages
BEGIN INSERT INTO message_search (rowid, content) VALUES (new.id, new.content); END;
CREATE TRIGGER message_search_delete AFTER DELETE ON messages
BEGIN INSERT INTO message_search (message_search, rowid, content) VALUES ('delete', old.id, old.content); END;

CREATE VIRTUAL TABLE title_search USING fts5 (title, content = 'sessions', content_rowid = 'id', tokenize = 'trigram');
CREATE TRIGGER title_search_insert AFTER INSERT ON sessions
BEGIN INSERT INTO title_search (rowid, title) VALUES (new.id, new.title); END;
CREATE TRIGGER title_search_update AFTER UPDATE OF title ON sessions
BEGIN
  INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.id, old.title);
  INSERT INTO title_search (rowid, title) VALUES (new.id, new.title);
END;
CREATE TRIGGER title_search_delete AFTER DELETE ON sessions
BEGIN INSERT INTO title_search (title_search, rowid, title) VALUES ('delete', old.id, old.title); END;
)";

// Probabilities of an answer's tokens, apart from the messages because lists of those need none. And owners
// by API key, whose names are no longer mixed with the terminal's.
constexpr const char* kVersion2 = R"(
CREATE TABLE message_tokens (
  message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
  tokens     BLOB NOT NULL
) STRICT;
CREATE TRIGGER message_tokens_never_change BEFORE UPDATE ON message_tokens
BEGIN SELECT RAISE(ABORT, 'a stored message never changes'); END;
UPDATE users SET name = 'key:' || name WHERE name <> 'local';
)";

constexpr std::array kMigrations = {kVersion1, kVersion2};

// The file's version; Error when it is not ours to change.
std::int64_t checked_version(Database& database, std::int64_t newest) {
  const std::int64_t version = database.integer("PRAGMA user_version");
  const std::int64_t application = database.integer("PRAGMA application_id");
  const bool empty =
      version == 0 && application == 0 && database.integer("SELECT count(*) FROM sqlite_schema") == 0;
  if (empty) return 0;
  if (application != kApplicationId) {
    fail(ErrorKind::bad_input,
         "{}: expected Tessera's sessions, found a database of another program (application id {}); it was "
         "left as "
         "it is: move it away",
         database.path(), application);
  }
  if (version < 1 || version > newest) {
    fail(ErrorKind::unsupported,
         "{}: expected schema version 1 to {}, found {}: a newer Tessera has written it; use that one",
         database.path(), newest, version);
  }
  return version;
}

}  // namespace

std::span<const char* const> session_migrations() { return kMigrations; }

void migrate(Database& database, std::span<const char* const> migrations) {
  const auto newest = static_cast<std::int64_t>(migrations.size());
  if (checked_version(database, newest) == newest) return;
  WriteTransaction transaction(database);
  // Another process may have been here while this one waited.
  for (std::int64_t version = checked_version(database, newest); version < newest; ++version) {
    database.execute(migrations[static_cast<std::size_t>(version)]);
  }
  database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str());
  database.execute(fmt::format("PRAGMA user_version = {}", newest).c_str());
  transaction.commit();
}

}  // namespace tessera::store
