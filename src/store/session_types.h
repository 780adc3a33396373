// What the session store keeps: users, sessions, and messages that form a tree in each session.
#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::store {

// Ids are never used again, also after a deletion.
enum class UserId : std::int64_t {};
enum class SessionId : std::int64_t {};
enum class MessageId : std::int64_t {};

// All texts are UTF-8; all times milliseconds since 1970.
struct NewMessage {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
  std::string model = {};          // that wrote it; empty for what a person wrote
  std::string finish_reason = {};  // "stop", "length", "cancelled", ...
  std::optional<std::int64_t> prompt_tokens = {};
  std::optional<std::int64_t> completion_tokens = {};
  std::optional<double> prefill_seconds = {};
  std::optional<double> decode_seconds = {};
  friend bool operator==(const NewMessage&, const NewMessage&) = default;
};

struct Message : NewMessage {
  MessageId id{};
  std::optional<MessageId> parent;  // none: it begins the conversation
  std::int64_t created_at = 0;
  bool has_tokens = false;  // SessionStore::token_record() is not empty
  friend bool operator==(const Message&, const Message&) = default;
};

struct NewSession {
  std::string title;
  std::string model = {};
  std::string parameters = "{}";  // a JSON object
};

struct Session : NewSession {
  SessionId id{};
  UserId user{};
  std::int64_t created_at = 0;
  std::int64_t updated_at = 0;
  bool archived = false;
  std::optional<MessageId> leaf;  // the last message of the path that is shown; none: it is empty
  std::int64_t message_count = 0;
};

// What is to be changed of a session; what is absent stays.
struct SessionChange {
  std::optional<std::string> title = {};
  std::optional<std::string> parameters = {};
  std::optional<bool> archived = {};
  std::optional<std::optional<MessageId>> leaf = {};
};

// Where a page of the list ends; the next one begins after it, whatever changed in between.
struct ListCursor {
  std::int64_t updated_at = 0;
  SessionId id{};
};
struct ListOptions {
  std::int64_t limit = 50;
  bool archived = false;  // those instead of the others
  std::optional<ListCursor> after = {};
};
struct SessionPage {
  std::vector<Session> sessions;   // newest first
  std::optional<ListCursor> next;  // none: there are no more
};

struct TextSpan {
  std::size_t begin = 0, end = 0;  // bytes
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};
struct SearchHit {
  SessionId session{};
  std::string title;
  std::optional<MessageId> message;  // none: the title itself matches
  std::string role = {};
  std::int64_t created_at = 0;
  std::string snippet;               // the text around the first words
  std::vector<TextSpan> highlights;  // of the snippet
};
struct SearchOptions {
  std::int64_t limit = 50;
  std::optional<MessageId> after = {};  // the last hit of the page before
};
struct SearchPage {
  std::vector<SearchHit> hits;    // titles (on the first page only), then messages, newest first
  std::optional<MessageId> next;  // none: there are no more
};

// A whole session as it goes into or comes out of a file.
struct TreeMessage : NewMessage {
  std::optional<std::size_t> parent;  // an index below its own
  std::int64_t created_at = 0;
};
struct SessionTree : NewSession {
  std::int64_t created_at = 0;
  std::int64_t updated_at = 0;
  bool archived = false;
  std::optional<std::size_t> leaf;
  std::vector<TreeMessage> messages;
};

}  // namespace tessera::store
