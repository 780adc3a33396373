// The plain form of a chat: a user's name and words in, text out, one conversation a user that the server
// remembers. For shells and small programs.
#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/conversation.h"
#include "serve/exchange.h"
#include "serve/metrics.h"
#include "serve/openai_api.h"

namespace tessera::serve {

class PlainChat : public std::enable_shared_from_this<PlainChat> {
 public:
  // Conversations are kept in memory, those of the last `most_users` who wrote. `served` and `metrics` must
  // outlive this.
  PlainChat(const ServedModel& served, Metrics& metrics, std::size_t most_users = 10'000);

  // POST /chat {"user_id", "user_input", "restart"}: the answer as HTTP chunks of plain text. ApiError 400
  // naming the field, with counts when the conversation is too long; 409: this user's last answer is still
  // being made.
  void answer(const std::shared_ptr<Exchange>& exchange);

 private:
  using UserName = std::pair<std::string, std::string>;  // the client's, then the user's
  struct User {
    std::vector<engine::Message> messages;
    bool answering = false;
    std::list<UserName>::iterator use;
  };
  struct Turn;
  std::vector<engine::Message> begin_turn(const UserName& name, const std::string& input, bool restart);
  void end_turn(const UserName& name, const std::vector<engine::Message>* messages);
  void forget_oldest();

  const ServedModel& served_;
  Metrics* metrics_;
  std::size_t most_users_;
  std::mutex mutex_;
  std::map<UserName, User> users_;
  std::list<UserName> uses_;  // who wrote last is at the end
};

}  // namespace tessera::serve
