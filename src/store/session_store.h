// Conversations that outlive the program: sessions as trees of messages in one SQLite file, which several
// processes may use at once. What a call has returned from is on the disk.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/session_types.h"
#include "store/sqlite.h"

namespace tessera::store {

// ${XDG_DATA_HOME:-~/.local/share}/tessera/sessions.db
std::string default_sessions_path();

// The owner of the sessions of the command line.
constexpr std::string_view kLocalUser = "local";
// The owner of the sessions of an API key's name: never the one above, whatever the name.
std::string key_user(std::string_view name);

struct StoreOptions {
  DatabaseOptions database = {};
  std::function<std::int64_t()> clock = {};  // milliseconds since 1970; the system's unless given
};

// For one thread at a time; each thread may open its own, and so must a process that was forked. Every call
// but the readers is one transaction. Errors: those of Database; bad_usage naming a session or message that
// does not exist; bad_input for a text that is not UTF-8; limit (text_check.h).
class SessionStore {
 public:
  explicit SessionStore(std::string path, StoreOptions options = {});

  const std::string& path() const { return database_.path(); }

  // The user of this name, made when new.
  UserId user(std::string_view name);

  // --- sessions
  SessionId create(UserId user, const NewSession& session);
  Session session(SessionId id);
  SessionPage list(UserId user, const ListOptions& options = {});
  void rename(SessionId id, std::string_view title);
  void set_model(SessionId id, std::string_view model);
  void set_parameters(SessionId id, std::string_view json);
  void set_archived(SessionId id, bool archived);
  void change(SessionId id, const SessionChange& change);  // all of it or nothing
  void erase(SessionId id);                                // with all its messages
  // The newest session of this user with exactly this title.
  std::optional<SessionId> find_title(UserId user, std::string_view title);

  // --- messages. Nothing replaces one: a changed or repeated message is a sibling.
  // A new message below `parent` (none: a new beginning), to which the session's leaf moves. It branches
  // where `parent` has children. `token_record`: bytes that are kept with it, of no meaning here; empty:
  // none.
  MessageId append(SessionId id, std::optional<MessageId> parent, const NewMessage& message,
                   std::string_view token_record = {});
  // Empty: none was kept. Files of whole sessions have none.
  std::string token_record(SessionId id, MessageId message);
  void set_leaf(SessionId id, std::optional<MessageId> leaf);
  Message message(SessionId id, MessageId message);
  std::vector<Message> path(SessionId id);                     // from the beginning to the leaf
  std::vector<Message> path_to(SessionId id, MessageId last);  // from the beginning to `last`
  // Those with the same parent, itself included, oldest first.
  std::vector<Message> siblings(SessionId id, MessageId message);
  // The newest message at or below `message`: where a switch to its branch leads. It has no children.
  MessageId newest_below(SessionId id, MessageId message);
  std::vector<Message> leaves(SessionId id);    // the ends of all branches, oldest first
  std::vector<Message> messages(SessionId id);  // the whole tree, parents before their children
  // Deletes a message and all below it; the leaf moves to its parent if it was there. How many were deleted.
  std::int64_t erase_branch(SessionId id, MessageId message);

  // Messages and titles that contain all of the words, as parts of words and in either case (of Latin letters
  // only for words of one or two characters). No character has a special meaning. An empty query finds
  // nothing.
  SearchPage search(UserId user, std::string_view words, const SearchOptions& options = {});

  // --- whole sessions
  SessionTree tree(SessionId id);
  // All are stored, or none. New ids; times stay.
  std::vector<SessionId> add_trees(UserId user, std::span<const SessionTree> trees);

  // Milliseconds since 1970, by the store's clock.
  std::int64_t now() const;

  // SQLite's own check of every page, index and reference, and of the search tables; empty: all is well.
  std::vector<std::string> integrity_errors();

 private:
  void require_session(SessionId id);
  void require_message(SessionId id, MessageId message);
  void update_session(SessionId id, std::string_view assignment, std::string_view value);
  MessageId insert_message(SessionId id, std::optional<MessageId> parent, const NewMessage& message,
                           std::int64_t created_at);
  SessionId insert_session(UserId user, const NewSession& session, std::int64_t created_at,
                           std::int64_t updated_at, bool archived);
  void move_leaf(SessionId id, std::optional<MessageId> leaf, std::int64_t time);
  SessionId insert_tree(UserId user, const SessionTree& tree);

  Database database_;
  std::function<std::int64_t()> clock_;
};

}  // namespace tessera::store
