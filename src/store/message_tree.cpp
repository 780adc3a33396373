// The messages of a session: append, branch, and the ways through the tree.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "store/rows.h"
#include "store/session_store.h"
#include "store/text_check.h"

namespace tessera::store {
namespace {

constexpr std::string_view kMessages = "SELECT " TESSERA_MESSAGE_COLUMNS " FROM messages m ";

void check_message(const NewMessage& message) {
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  if (std::ranges::find(kRoles, message.role) == kRoles.end()) {
    fail(ErrorKind::bad_input, "the message's role: expected system, user, assistant or tool, found '{}'",
         printable(message.role));
  }
  check_text(message.content, kLongestContent, "the message");
  check_text(message.model, kLongestName, "the message's model");
  check_text(message.finish_reason, kLongestName, "the message's finish reason");
}

}  // namespace

void SessionStore::require_message(SessionId id, MessageId message) {
  require_session(id);
  Statement statement(database_, "SELECT 1 FROM messages WHERE session_id = ? AND id = ?");
  if (statement.bind(number(id), number(message)).step()) return;
  fail(ErrorKind::bad_usage, "session {} has no message {}", number(id), number(message));
}

MessageId SessionStore::insert_message(SessionId id, std::optional<MessageId> parent,
                                       const NewMessage& message, std::int64_t created_at) {
  check_message(message);
  Statement(
      database_,
      "INSERT INTO messages (session_id, parent_id, role, content, model, finish_reason, prompt_tokens, "
      "completion_tokens, prefill_seconds, decode_seconds, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
      "?)")
      .bind(number(id), number(parent), message.role, message.content, message.model, message.finish_reason,
            message.prompt_tokens, message.completion_tokens, message.prefill_seconds, message.decode_seconds,
            created_at)
      .run();
  return MessageId{database_.last_insert_id()};
}

void SessionStore::move_leaf(SessionId id, std::optional<MessageId> leaf, std::int64_t time) {
  Statement(database_, "UPDATE sessions SET leaf_id = ?, updated_at = ? WHERE id = ?")
      .bind(number(leaf), time, number(id))
      .run();
}

MessageId SessionStore::append(SessionId id, std::optional<MessageId> parent, const NewMessage& message,
                               std::string_view token_record) {
  WriteTransaction transaction(database_);
  require_session(id);
  if (parent) require_message(id, *parent);
  const std::int64_t time = now();
  const MessageId added = insert_message(id, parent, message, time);
  if (!token_record.empty()) {
    Statement(database_, "INSERT INTO message_tokens (message_id, tokens) VALUES (?, ?)")
        .bind(number(added), Blob{token_record})
        .run();
  }
  move_leaf(id, added, time);
  transaction.commit();
  return added;
}

std::string SessionStore::token_record(SessionId id, MessageId message) {
  require_message(id, message);
  Statement statement(database_, "SELECT tokens FROM message_tokens WHERE message_id = ?");
  return statement.bind(number(message)).step() ? statement.blob(0) : std::string();
}

void SessionStore::set_leaf(SessionId id, std::optional<MessageId> leaf) {
  WriteTransaction transaction(database_);
  require_session(id);
  if (leaf) require_message(id, *leaf);
  move_leaf(id, leaf, now());
  transaction.commit();
}

Message SessionStore::message(SessionId id, MessageId message) {
  Statement statement(database_, std::string(kMessages) + "WHERE m.session_id = ? AND m.id = ?");
  if (!statement.bind(number(id), number(message)).step()) require_message(id, message);
  return read_message(statement);
}

std::vector<Message> SessionStore::path(SessionId id) {
  const ReadTransaction transaction(database_);
  const Session found = session(id);
  return found.leaf ? path_to(id, *found.leaf) : std::vector<Message>();
}

std::vector<Message> SessionStore::path_to(SessionId id, MessageId last) {
  // A parent's id is the smaller one; asking for it again makes the walk end in a damaged file, too.
  Statement statement(
      database_,
      "WITH RECURSIVE up (id) AS (SELECT ?2 UNION ALL SELECT m.parent_id FROM up JOIN messages m "
      "ON m.session_id = ?1 AND m.id = up.id WHERE m.parent_id < m.id) "
      "SELECT " TESSERA_MESSAGE_COLUMNS
      " FROM up JOIN messages m ON m.session_id = ?1 AND m.id = up.id ORDER BY m.id");
  std::vector<Message> messages = read_messages(statement.bind(number(id), number(last)));
  if (messages.empty()) require_message(id, last);
  return messages;
}

std::vector<Message> SessionStore::siblings(SessionId id, MessageId message) {
  Statement statement(database_,
                      std::string(kMessages) +
                          "WHERE m.session_id = ?1 AND m.parent_id IS (SELECT parent_id FROM messages "
                          "WHERE session_id = ?1 AND id = ?2) AND EXISTS (SELECT 1 FROM messages "
                          "WHERE session_id = ?1 AND id = ?2) ORDER BY m.id");
  std::vector<Message> messages = read_messages(statement.bind(number(id), number(message)));
  if (messages.empty()) require_message(id, message);
  return messages;
}

namespace {

// The ids at or below message ?2 of session ?1.
constexpr std::string_view kBelow =
    "WITH RECURSIVE below (id) AS (SELECT id FROM messages WHERE session_id = ?1 AND id = ?2 UNION "
    "SELECT m.id FROM below JOIN messages m ON m.session_id = ?1 AND m.parent_id = below.id) ";

}  // namespace

MessageId SessionStore::newest_below(SessionId id, MessageId message) {
  Statement statement(database_, std::string(kBelow) + "SELECT max(id) FROM below");
  statement.bind(number(id), number(message)).step();
  if (statement.is_null(0)) require_message(id, message);
  return MessageId{statement.integer(0)};
}

std::vector<Message> SessionStore::leaves(SessionId id) {
  require_session(id);
  Statement statement(database_, std::string(kMessages) +
                                     "WHERE m.session_id = ? AND NOT EXISTS (SELECT 1 FROM messages c WHERE "
                                     "c.session_id = m.session_id AND c.parent_id = m.id) ORDER BY m.id");
  return read_messages(statement.bind(number(id)));
}

std::vector<Message> SessionStore::messages(SessionId id) {
  require_session(id);
  Statement statement(database_, std::string(kMessages) + "WHERE m.session_id = ? ORDER BY m.id");
  return read_messages(statement.bind(number(id)));
}

std::int64_t SessionStore::erase_branch(SessionId id, MessageId message) {
  WriteTransaction transaction(database_);
  require_message(id, message);
  Statement(
      database_,
      std::string(kBelow) +
          "UPDATE sessions SET leaf_id = (SELECT parent_id FROM messages WHERE id = ?2) WHERE id = ?1 AND "
          "leaf_id IN below")
      .bind(number(id), number(message))
      .run();
  Statement remove(database_,
                   std::string(kBelow) + "DELETE FROM messages WHERE session_id = ?1 AND id IN below");
  remove.bind(number(id), number(message)).run();
  const std::int64_t count = database_.changes();
  Statement(database_, "UPDATE sessions SET updated_at = ? WHERE id = ?").bind(now(), number(id)).run();
  transaction.commit();
  return count;
}

SessionTree SessionStore::tree(SessionId id) {
  const ReadTransaction transaction(database_);
  const Session found = session(id);
  SessionTree tree;
  static_cast<NewSession&>(tree) = found;
  tree.created_at = found.created_at;
  tree.updated_at = found.updated_at;
  tree.archived = found.archived;
  std::vector<MessageId> ids;
  const auto index_of = [&](std::optional<MessageId> wanted) -> std::optional<std::size_t> {
    const auto place = wanted ? std::ranges::lower_bound(ids, *wanted) : ids.end();
    if (place == ids.end() || *place != *wanted) return std::nullopt;
    return static_cast<std::size_t>(place - ids.begin());
  };
  for (Message& message : messages(id)) {
    TreeMessage& copy = tree.messages.emplace_back();
    copy.parent = index_of(message.parent);
    copy.created_at = message.created_at;
    ids.push_back(message.id);
    static_cast<NewMessage&>(copy) = std::move(message);
  }
  tree.leaf = index_of(found.leaf);
  return tree;
}

SessionId SessionStore::insert_tree(UserId user, const SessionTree& tree) {
  const SessionId id = insert_session(user, tree, tree.created_at, tree.updated_at, tree.archived);
  std::vector<MessageId> ids;
  const auto id_of = [&](std::optional<std::size_t> index,
                         std::string_view what) -> std::optional<MessageId> {
    if (!index) return std::nullopt;
    if (*index >= ids.size()) {
      fail(ErrorKind::bad_input, "{}: expected the index of an earlier message, found {}", what, *index);
    }
    return ids[*index];
  };
  for (const TreeMessage& message : tree.messages) {
    ids.push_back(insert_message(id,
                                 id_of(message.parent, fmt::format("the parent of message {}", ids.size())),
                                 message, message.created_at));
  }
  move_leaf(id, id_of(tree.leaf, "the current message"), tree.updated_at);
  return id;
}

std::vector<SessionId> SessionStore::add_trees(UserId user, std::span<const SessionTree> trees) {
  WriteTransaction transaction(database_);
  std::vector<SessionId> ids;
  ids.reserve(trees.size());
  for (const SessionTree& tree : trees) ids.push_back(insert_tree(user, tree));
  transaction.commit();
  return ids;
}

}  // namespace tessera::store
