// Reading the store's rows into its types; for the .cpp files of this room.
#pragma once
#include <vector>

#include "store/session_types.h"
#include "store/sqlite.h"

namespace tessera::store {

constexpr std::int64_t number(UserId id) { return static_cast<std::int64_t>(id); }
constexpr std::int64_t number(SessionId id) { return static_cast<std::int64_t>(id); }
constexpr std::int64_t number(MessageId id) { return static_cast<std::int64_t>(id); }

inline std::optional<std::int64_t> number(std::optional<MessageId> id) {
  return id ? std::optional(number(*id)) : std::nullopt;
}
inline std::optional<MessageId> message_id(std::optional<std::int64_t> value) {
  return value ? std::optional(MessageId{*value}) : std::nullopt;
}

// The columns that read_message() reads, of a table or query named m.
#define TESSERA_MESSAGE_COLUMNS                                                                            \
  "m.id, m.parent_id, m.role, m.content, m.model, m.finish_reason, m.prompt_tokens, m.completion_tokens, " \
  "m.prefill_seconds, m.decode_seconds, m.created_at, "                                                    \
  "EXISTS (SELECT 1 FROM message_tokens t WHERE t.message_id = m.id)"

inline Message read_message(const Statement& row) {
  Message message;
  message.id = MessageId{row.integer(0)};
  message.parent = message_id(row.optional_integer(1));
  message.role = row.text(2);
  message.content = row.text(3);
  message.model = row.text(4);
  message.finish_reason = row.text(5);
  message.prompt_tokens = row.optional_integer(6);
  message.completion_tokens = row.optional_integer(7);
  message.prefill_seconds = row.optional_real(8);
  message.decode_seconds = row.optional_real(9);
  message.created_at = row.integer(10);
  message.has_tokens = row.integer(11) != 0;
  return message;
}

inline std::vector<Message> read_messages(Statement& statement) {
  std::vector<Message> messages;
  while (statement.step()) messages.push_back(read_message(statement));
  return messages;
}

}  // namespace tessera::store
