// Random trees against the plainest model of them: lists in memory.
#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <random>

#include "store_test_support.h"

namespace tessera::store {
namespace {

struct ModelMessage {
  MessageId id{};
  std::optional<MessageId> parent;
  std::string content;
};
struct ModelSession {
  SessionId id{};
  std::string title;
  std::optional<MessageId> leaf;
  std::vector<ModelMessage> messages;

  const ModelMessage& at(MessageId wanted) const {
    return *std::ranges::find(messages, wanted, &ModelMessage::id);
  }
  bool is_below(MessageId message, MessageId top) const {
    for (std::optional<MessageId> at_id = message; at_id; at_id = at(*at_id).parent) {
      if (*at_id == top) return true;
    }
    return false;
  }
  template <typename Keep>
  std::vector<std::string> where(const Keep& keep) const {
    std::vector<std::string> texts;
    for (const ModelMessage& message : messages) {
      if (keep(message)) texts.push_back(message.content);
    }
    return texts;
  }
};

class RandomTreeTest : public StoreTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  ModelSession& some_session() { return model_[below(model_.size())]; }
  std::optional<MessageId> some_message(const ModelSession& session) {
    const std::size_t index = below(session.messages.size() + 1);
    if (index == session.messages.size()) return std::nullopt;
    return session.messages[index].id;
  }
  // The model keeps the sessions in the order of their last change.
  void touch(SessionId id) {
    const auto place = std::ranges::find(model_, id, &ModelSession::id);
    std::rotate(place, place + 1, model_.end());
  }

  void change() {
    const std::size_t choice = model_.empty() ? 0 : below(100);
    if (choice < 4) {
      const std::string title = "session " + std::to_string(++count_);
      model_.push_back({store_->create(user_, {.title = title}), title, {}, {}});
    } else if (choice < 70) {
      append(some_session());
    } else if (choice < 84) {
      ModelSession& session = some_session();
      session.leaf = some_message(session);
      store_->set_leaf(session.id, session.leaf);
      touch(session.id);
    } else if (choice < 92) {
      erase_branch(some_session());
    } else if (choice < 95) {
      ModelSession& session = some_session();
      session.title = "renamed " + std::to_string(++count_);
      store_->rename(session.id, session.title);
    } else if (choice < 96) {
      const std::size_t index = below(model_.size());
      store_->erase(model_[index].id);
      model_.erase(model_.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (choice < 98) {
      copy(some_session().id);
    } else {
      store_.reset();
      store_ = std::make_unique<SessionStore>(path(), options_);
    }
  }

  void append(ModelSession& session) {
    // Mostly at the leaf, as a conversation grows.
    const std::optional<MessageId> parent = below(3) > 0 ? session.leaf : some_message(session);
    const std::string content =
        "text " + std::to_string(++count_) + std::string(below(50) == 0 ? 9000 : 0, '.');
    const MessageId id = store_->append(session.id, parent, {.role = "user", .content = content});
    session.messages.push_back({id, parent, content});
    session.leaf = id;
    touch(session.id);
  }

  void erase_branch(ModelSession& session) {
    const std::optional<MessageId> top = some_message(session);
    if (!top) return;
    const std::optional<MessageId> parent = session.at(*top).parent;
    const ModelSession before = session;
    const auto removed =
        std::erase_if(session.messages, [&](const ModelMessage& m) { return before.is_below(m.id, *top); });
    if (session.leaf && before.is_below(*session.leaf, *top)) session.leaf = parent;
    EXPECT_EQ(store_->erase_branch(session.id, *top), static_cast<std::int64_t>(removed));
    touch(session.id);
  }

  void copy(SessionId source) {
    SessionTree tree = store_->tree(source);
    tree.updated_at = options_.clock();
    ModelSession twin = *std::ranges::find(model_, source, &ModelSession::id);
    twin.id = store_->add_trees(user_, std::vector{tree}).front();
    const std::vector<Message> stored = store_->messages(twin.id);
    ASSERT_EQ(stored.size(), twin.messages.size());
    const std::vector<ModelMessage> old = twin.messages;
    const auto renumbered = [&](std::optional<MessageId> id) -> std::optional<MessageId> {
      if (!id) return std::nullopt;
      return stored[static_cast<std::size_t>(std::ranges::find(old, *id, &ModelMessage::id) - old.begin())]
          .id;
    };
    for (ModelMessage& message : twin.messages) {
      message.id = *renumbered(message.id);
      message.parent = renumbered(message.parent);
    }
    twin.leaf = renumbered(twin.leaf);
    model_.push_back(std::move(twin));
  }

  void compare(const ModelSession& session) {
    EXPECT_EQ(store_->session(session.id).title, session.title);
    EXPECT_EQ(store_->session(session.id).leaf, session.leaf);
    EXPECT_EQ(contents(store_->messages(session.id)), session.where([](const auto&) { return true; }));
    EXPECT_EQ(contents(store_->path(session.id)), session.where([&](const ModelMessage& m) {
      return session.leaf && session.is_below(*session.leaf, m.id);
    }));
    EXPECT_EQ(contents(store_->leaves(session.id)), session.where([&](const ModelMessage& m) {
      return std::ranges::find(session.messages, std::optional(m.id), &ModelMessage::parent) ==
             session.messages.end();
    }));
    const std::optional<MessageId> chosen = some_message(session);
    if (!chosen) return;
    const ModelMessage& message = session.at(*chosen);
    EXPECT_EQ(contents(store_->siblings(session.id, *chosen)),
              session.where([&](const ModelMessage& m) { return m.parent == message.parent; }));
    EXPECT_EQ(contents(store_->path_to(session.id, *chosen)),
              session.where([&](const ModelMessage& m) { return session.is_below(*chosen, m.id); }));
    EXPECT_EQ(store_->message(session.id, store_->newest_below(session.id, *chosen)).content,
              session.where([&](const ModelMessage& m) { return session.is_below(m.id, *chosen); }).back());
    // Its number may begin longer ones; it is found in any case.
    const auto hits =
        store_->search(user_, message.content.substr(0, message.content.find('.')), {.limit = 1000}).hits;
    EXPECT_TRUE(std::ranges::any_of(hits, [&](const SearchHit& hit) { return hit.message == chosen; }));
  }

  void compare_list() {
    std::vector<SessionId> expected, listed;
    for (const ModelSession& session : model_) expected.insert(expected.begin(), session.id);
    for (const Session& session : store_->list(user_, {.limit = 1000}).sessions) listed.push_back(session.id);
    EXPECT_EQ(listed, expected);
  }

  std::mt19937 random_{GetParam()};
  StoreOptions options_ = [] {
    StoreOptions options;
    // One clock for all who copy the options.
    options.clock = [time = std::make_shared<std::int64_t>(0)] { return ++*time; };
    options.database.pages_between_checkpoints = 50;
    return options;
  }();
  std::unique_ptr<SessionStore> store_ = std::make_unique<SessionStore>(path(), options_);
  UserId user_ = store_->user(kLocalUser);
  std::vector<ModelSession> model_;
  int count_ = 0;
};

TEST_P(RandomTreeTest, BehavesAsTheModel) {
  for (int step = 0; step < 150; ++step) {
    ASSERT_NO_FATAL_FAILURE(change());
    if (!model_.empty()) compare(some_session());
    if (step % 10 == 0) compare_list();
    if (HasFailure()) FAIL() << "at step " << step << " of seed " << GetParam();
  }
  for (const ModelSession& session : model_) compare(session);
  EXPECT_THAT(store_->integrity_errors(), ::testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTreeTest, ::testing::Range(0U, 6U));

}  // namespace
}  // namespace tessera::store
