// The plain form of a chat: a user's name and words in, text out, one stored conversation a user. For shells
// and small programs.
#pragma once
#include <memory>

#include "serve/session_reply.h"

namespace tessera::serve {

class PlainChat {
 public:
  // `replies` must outlive the chat.
  explicit PlainChat(SessionReplies& replies) : replies_(&replies) {}

  // POST /chat {"user_id", "user_input", "restart"}: the answer as HTTP chunks of plain text. The
  // conversation is the session of the client with the title "chat: USER_ID". ApiError 400 naming the field,
  // with counts when the conversation is too long; 409: this user's last answer is still being made.
  void answer(const std::shared_ptr<Exchange>& exchange);

 private:
  SessionReplies* replies_;
};

}  // namespace tessera::serve
