#include "cli/saved_conversation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "store/session_files.h"

namespace tessera::cli {

SavedConversation::SavedConversation(std::unique_ptr<store::SessionStore> store, std::string model,
                                     std::string parameters)
    : store_(std::move(store)),
      user_(store_->user(store::kLocalUser)),
      model_(std::move(model)),
      parameters_(std::move(parameters)) {}

std::optional<store::MessageId> SavedConversation::leaf() const {
  return path_.empty() ? std::nullopt : std::optional(path_.back().id);
}

void SavedConversation::follow(const std::vector<engine::Message>& messages,
                               const engine::GenerationResult* answer) {
  if (!session_) {
    const auto first = std::ranges::find(messages, "user", &engine::Message::role);
    if (first == messages.end()) return;
    session_ = store_->create(
        user_, {.title = store::title_from(first->content), .model = model_, .parameters = parameters_});
  }
  const store::SessionId session = *session_;
  const auto shared = std::ranges::mismatch(
      messages, path_,
      [](const engine::Message& message, const Stored& stored) { return message == stored.message; });
  const auto count = static_cast<std::size_t>(shared.in1 - messages.begin());
  if (count == messages.size()) {
    if (count == path_.size()) return;
    store_->set_leaf(session, count == 0 ? std::nullopt : std::optional(path_[count - 1].id));
  }
  path_.resize(count);
  for (std::size_t i = count; i < messages.size(); ++i) {
    append(session, messages[i], i + 1 == messages.size() ? answer : nullptr);
  }
}

void SavedConversation::append(store::SessionId session, const engine::Message& message,
                               const engine::GenerationResult* answer) {
  store::NewMessage stored{.role = message.role, .content = message.content};
  if (message.role == "assistant") stored.model = model_;
  if (message.role == "assistant" && answer != nullptr) {
    stored.finish_reason = engine::finish_reason_name(answer->finish_reason);
    stored.prompt_tokens = answer->usage.prompt_tokens;
    stored.completion_tokens = answer->usage.completion_tokens;
    stored.prefill_seconds = answer->timings.prefill_seconds;
    stored.decode_seconds = answer->timings.decode_seconds;
  }
  const store::MessageId id = store_->append(session, leaf(), stored);
  path_.push_back({id, message});
}

void SavedConversation::begin_anew() {
  session_.reset();
  path_.clear();
}

void SavedConversation::accept(store::SessionId session, const std::vector<store::Message>& path) {
  if (!path.empty() && path.back().id != store_->session(session).leaf) {
    store_->set_leaf(session, path.back().id);
  }
  session_ = session;
  path_.clear();
  for (const store::Message& message : path) path_.push_back({message.id, {message.role, message.content}});
}

std::vector<engine::Message> as_conversation(const std::vector<store::Message>& path) {
  std::vector<engine::Message> messages;
  messages.reserve(path.size());
  for (const store::Message& message : path) messages.push_back({message.role, message.content});
  return messages;
}

}  // namespace tessera::cli
