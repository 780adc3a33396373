#include "cli/saved_conversation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/chat_parameters.h"
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

// Without what stands in the parameters; a change of that is stored there.
std::vector<engine::Message> SavedConversation::stored_form(const std::vector<engine::Message>& messages) {
  if (!system_) return messages;
  const bool has_system = !messages.empty() && messages.front().role == "system";
  const std::string system = has_system ? messages.front().content : std::string();
  if (system != *system_) {
    set_parameters(with_system_parameter(parameters_, system));
    system_ = system;
  }
  std::vector<engine::Message> stored(messages.begin() + (has_system ? 1 : 0), messages.end());
  if (hidden_) stored.insert(stored.begin(), *hidden_);
  return stored;
}

void SavedConversation::set_parameters(std::string parameters) {
  if (session_ && parameters != parameters_) store_->set_parameters(*session_, parameters);
  parameters_ = std::move(parameters);
}

void SavedConversation::follow(const std::vector<engine::Message>& shown,
                               const engine::GenerationResult* answer) {
  const std::vector<engine::Message> messages = stored_form(shown);
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
  // A session begun here keeps its system message among its messages.
  if (system_) parameters_ = without_system_parameter(parameters_);
  system_.reset();
  hidden_.reset();
}

std::vector<engine::Message> SavedConversation::accept(const store::Session& session,
                                                       const std::vector<store::Message>& path) {
  if (!path.empty() && path.back().id != store_->session(session.id).leaf) {
    store_->set_leaf(session.id, path.back().id);
  }
  session_ = session.id;
  parameters_ = session.parameters;
  system_ = system_parameter(parameters_);
  hidden_.reset();
  path_.clear();
  std::vector<engine::Message> conversation;
  for (const store::Message& message : path) {
    path_.push_back({message.id, {message.role, message.content}});
    conversation.push_back({message.role, message.content});
  }
  if (!system_) return conversation;
  if (!conversation.empty() && conversation.front().role == "system") {
    hidden_ = conversation.front();
    conversation.erase(conversation.begin());
  }
  if (!system_->empty()) conversation.insert(conversation.begin(), {"system", *system_});
  return conversation;
}

}  // namespace tessera::cli
