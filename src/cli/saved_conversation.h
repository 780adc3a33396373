// The stored form of the conversation in the terminal: after each change the stored path is made the same as
// the conversation, by new branches where they differ.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/conversation.h"
#include "store/session_store.h"

namespace tessera::cli {

class SavedConversation {
 public:
  // `model` and `parameters` (JSON) describe the sessions that are begun here.
  SavedConversation(std::unique_ptr<store::SessionStore> store, std::string model, std::string parameters);

  store::SessionStore& store() { return *store_; }
  store::UserId user() const { return user_; }
  // None before the first message.
  std::optional<store::SessionId> session() const { return session_; }
  std::optional<store::MessageId> leaf() const;

  // Stores what the conversation has and the path has not, below what they share, and moves the leaf to its
  // end. A conversation without a user's message is not worth a session yet. `answer` tells about the last
  // message. Error: those of the store; the next call then tries again.
  void follow(const std::vector<engine::Message>& messages, const engine::GenerationResult* answer = nullptr);
  // The next message begins another session.
  void begin_anew();

  // From here the conversation is this path of this session; its leaf moves there. What the terminal's
  // conversation then is: with the system message that the session's parameters may have.
  std::vector<engine::Message> accept(const store::Session& session, const std::vector<store::Message>& path);

  // JSON; of this session and of those that are begun here.
  const std::string& parameters() const { return parameters_; }
  void set_parameters(std::string parameters);

 private:
  struct Stored {
    store::MessageId id{};
    engine::Message message;
  };
  std::vector<engine::Message> stored_form(const std::vector<engine::Message>& messages);
  void append(store::SessionId session, const engine::Message& message,
              const engine::GenerationResult* answer);

  std::unique_ptr<store::SessionStore> store_;
  store::UserId user_;
  std::string model_;
  std::string parameters_;
  std::optional<store::SessionId> session_;
  std::vector<Stored> path_;
  // The system message that stands in the parameters, and the one of the path that it stands for.
  std::optional<std::string> system_;
  std::optional<engine::Message> hidden_;
};

}  // namespace tessera::cli
