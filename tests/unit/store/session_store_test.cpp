#include "store/session_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "store/text_check.h"
#include "store_test_support.h"
#include "support/error_of.h"

namespace tessera::store {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SessionStoreTest : public StoreTest {
 protected:
  MessageId say(SessionId id, std::optional<MessageId> parent, std::string content) {
    return store_.append(id, parent, {.role = parent ? "assistant" : "user", .content = std::move(content)});
  }

  SessionStore store_{path(), ticking_clock()};
  UserId user_ = store_.user(kLocalUser);
};

TEST_F(SessionStoreTest, AMessageComesBackAsItWas) {
  const SessionId id = store_.create(user_, {.title = "t", .model = "m", .parameters = R"({"seed":7})"});
  const NewMessage question{.role = "user", .content = std::string("nul \0 and \xF0\x9F\x99\x82", 14)};
  const NewMessage answer{.role = "assistant",
                          .content = "",
                          .model = "SmolLM2",
                          .finish_reason = "length",
                          .prompt_tokens = 12,
                          .completion_tokens = 0,
                          .prefill_seconds = 0.25,
                          .decode_seconds = 1.5};
  const MessageId first = store_.append(id, std::nullopt, question);
  const MessageId second = store_.append(id, first, answer);
  SessionStore other(path());
  const std::vector<Message> path = other.path(id);
  ASSERT_EQ(path.size(), 2U);
  EXPECT_EQ(static_cast<const NewMessage&>(path[0]), question);
  EXPECT_EQ(static_cast<const NewMessage&>(path[1]), answer);
  EXPECT_EQ(path[0].parent, std::nullopt);
  EXPECT_EQ(path[1].parent, first);
  EXPECT_EQ(other.message(id, second), path[1]);
  const Session session = other.session(id);
  EXPECT_EQ(session.title, "t");
  EXPECT_EQ(session.model, "m");
  EXPECT_EQ(session.parameters, R"({"seed":7})");
  EXPECT_EQ(session.leaf, second);
  EXPECT_EQ(session.message_count, 2);
  EXPECT_GT(session.updated_at, session.created_at);
}

TEST_F(SessionStoreTest, BranchesKeepEachOther) {
  const SessionId id = store_.create(user_, {.title = "t"});
  const MessageId root = say(id, {}, "root");
  const MessageId a = say(id, root, "a");
  const MessageId a1 = say(id, a, "a1");
  const MessageId b = say(id, root, "b");
  EXPECT_THAT(contents(store_.path(id)), ElementsAre("root", "b"));
  EXPECT_THAT(contents(store_.path_to(id, a1)), ElementsAre("root", "a", "a1"));
  EXPECT_THAT(contents(store_.siblings(id, a)), ElementsAre("a", "b"));
  EXPECT_THAT(contents(store_.siblings(id, root)), ElementsAre("root"));
  EXPECT_THAT(contents(store_.leaves(id)), ElementsAre("a1", "b"));
  EXPECT_EQ(store_.newest_below(id, a), a1);
  EXPECT_EQ(store_.newest_below(id, root), b);
  store_.set_leaf(id, a);
  EXPECT_THAT(contents(store_.path(id)), ElementsAre("root", "a"));
  const MessageId other_root = say(id, {}, "other root");
  EXPECT_THAT(contents(store_.siblings(id, root)), ElementsAre("root", "other root"));
  EXPECT_EQ(store_.newest_below(id, other_root), other_root);
  EXPECT_THAT(contents(store_.messages(id)), ElementsAre("root", "a", "a1", "b", "other root"));
  store_.set_leaf(id, std::nullopt);
  EXPECT_THAT(store_.path(id), IsEmpty());
  EXPECT_EQ(store_.session(id).message_count, 5);
}

TEST_F(SessionStoreTest, DeletingABranchMovesTheLeafToItsParent) {
  const SessionId id = store_.create(user_, {.title = "t"});
  const MessageId root = say(id, {}, "root");
  const MessageId a = say(id, root, "a");
  say(id, a, "a1");
  const MessageId b = say(id, root, "b");
  store_.set_leaf(id, store_.newest_below(id, a));
  EXPECT_EQ(store_.erase_branch(id, a), 2);
  EXPECT_THAT(contents(store_.path(id)), ElementsAre("root"));
  EXPECT_THAT(contents(store_.messages(id)), ElementsAre("root", "b"));
  store_.set_leaf(id, b);
  EXPECT_EQ(store_.erase_branch(id, root), 2);
  EXPECT_EQ(store_.session(id).leaf, std::nullopt);
  EXPECT_THAT(store_.integrity_errors(), IsEmpty());
}

TEST_F(SessionStoreTest, AConversationOfThousandsOfMessagesIsReadAndDeleted) {
  SessionTree tree;
  tree.title = "long";
  for (std::size_t i = 0; i < 5000; ++i) {
    TreeMessage& message = tree.messages.emplace_back();
    message.role = "user";
    message.content = "m" + std::to_string(i);
    if (i > 0) message.parent = i - 1;
  }
  tree.leaf = 4999;
  const std::vector<SessionId> ids = store_.add_trees(user_, std::vector{tree, tree});
  EXPECT_EQ(store_.path(ids[0]).size(), 5000U);
  EXPECT_EQ(store_.erase_branch(ids[0], store_.path(ids[0])[1].id), 4999);
  store_.erase(ids[1]);
  EXPECT_THAT(error_of([&] { store_.session(ids[1]); }), HasSubstr("there is no session"));
  EXPECT_THAT(store_.integrity_errors(), IsEmpty());
}

TEST_F(SessionStoreTest, TheListIsPagedNewestFirst) {
  std::vector<SessionId> ids;
  for (int i = 0; i < 7; ++i) ids.push_back(store_.create(user_, {.title = std::to_string(i)}));
  say(ids[2], {}, "x");  // the newest now
  store_.set_archived(ids[5], true);
  store_.create(store_.user("somebody else"), {.title = "not ours"});
  std::vector<std::string> titles;
  ListOptions options{.limit = 2};
  int pages = 0;
  for (;; ++pages) {
    const SessionPage page = store_.list(user_, options);
    for (const Session& session : page.sessions) titles.push_back(session.title);
    if (!page.next) break;
    options.after = page.next;
    if (pages == 0) store_.create(user_, {.title = "new one"});  // moves no border of a page
  }
  EXPECT_EQ(pages, 2);
  EXPECT_THAT(titles, ElementsAre("2", "6", "4", "3", "1", "0"));
  const SessionPage archived = store_.list(user_, {.archived = true});
  ASSERT_EQ(archived.sessions.size(), 1U);
  EXPECT_EQ(archived.sessions[0].id, ids[5]);
  EXPECT_TRUE(archived.sessions[0].archived);
  EXPECT_THAT(error_of([&] { store_.list(user_, {.limit = 0}); }), HasSubstr("expected 1 to 1000, found 0"));
}

TEST_F(SessionStoreTest, TitleModelAndParametersChange) {
  const SessionId id = store_.create(user_, {.title = "t"});
  store_.rename(id, "été");
  store_.set_model(id, "Qwen");
  store_.set_parameters(id, R"({"temperature": 0.5})");
  const Session session = store_.session(id);
  EXPECT_EQ(session.title, "été");
  EXPECT_EQ(session.model, "Qwen");
  EXPECT_EQ(session.parameters, R"({"temperature": 0.5})");
  EXPECT_EQ(store_.user(kLocalUser), user_);
}

TEST_F(SessionStoreTest, WhatDoesNotExistIsNamed) {
  const SessionId id = store_.create(user_, {.title = "t"});
  const SessionId other = store_.create(user_, {.title = "other"});
  const MessageId foreign = say(other, {}, "foreign");
  const auto missing = SessionId{99};
  EXPECT_EQ(error_of([&] { store_.append(missing, {}, {.role = "user", .content = ""}); }),
            "there is no session 99");
  EXPECT_EQ(error_of([&] { store_.rename(missing, "x"); }), "there is no session 99");
  EXPECT_EQ(error_of([&] { store_.erase(missing); }), "there is no session 99");
  EXPECT_EQ(error_of([&] { store_.path(missing); }), "there is no session 99");
  EXPECT_EQ(error_of([&] { store_.tree(missing); }), "there is no session 99");
  EXPECT_EQ(error_of([&] { store_.create(UserId{5}, {.title = "x"}); }), "there is no user 5");
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { store_.append(id, foreign, {.role = "user", .content = ""}); },
           [&] { store_.set_leaf(id, foreign); }, [&] { store_.message(id, foreign); },
           [&] { store_.path_to(id, foreign); }, [&] { store_.siblings(id, foreign); },
           [&] { store_.newest_below(id, foreign); }, [&] { store_.erase_branch(id, foreign); }}) {
    EXPECT_EQ(error_of(call), "session 1 has no message 1");
  }
  EXPECT_EQ(store_.session(id).message_count, 0);
}

TEST_F(SessionStoreTest, TextsAreCheckedBeforeTheyAreStored) {
  const SessionId id = store_.create(user_, {.title = "t"});
  for (const char* bad : {"a\xff", "a\xc0\xaf", "a\xed\xa0\x80", "a\xf4\x90\x80\x80", "a\xe2\x82", "a\x80"}) {
    EXPECT_THAT(error_of([&] { store_.rename(id, bad); }),
                AllOf(HasSubstr("the session's title: expected UTF-8, found \\x"), HasSubstr("at byte 1")));
    EXPECT_THAT(error_of([&] { say(id, {}, bad); }), HasSubstr("the message: expected UTF-8"));
  }
  EXPECT_THAT(error_of([&] { store_.rename(id, std::string(kLongestTitle + 1, 'x')); }),
              HasSubstr("expected at most 1024 bytes, found 1025"));
  EXPECT_THAT(error_of([&] { say(id, {}, std::string(kLongestContent + 1, 'x')); }),
              HasSubstr("at most 16777216"));
  EXPECT_THAT(error_of([&] { store_.set_parameters(id, "[]"); }), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of([&] { store_.set_parameters(id, "{"); }),
              HasSubstr("expected JSON, found something else at byte 1"));
  std::string deep = R"({"a":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  for (int i = 0; i < 100'000; ++i) deep += ']';
  EXPECT_THAT(error_of([&] { store_.set_parameters(id, deep + "}"); }), HasSubstr("at most 64 levels"));
  EXPECT_THAT(error_of([&] { store_.append(id, {}, {.role = "root", .content = ""}); }),
              HasSubstr("expected system, user, assistant or tool, found 'root'"));
  EXPECT_EQ(store_.session(id).title, "t");
  EXPECT_EQ(store_.session(id).message_count, 0);
}

TEST_F(SessionStoreTest, AStoredMessageCannotBeChangedByAnySql) {
  const SessionId id = store_.create(user_, {.title = "t"});
  say(id, {}, "as it was");
  Database database(path());
  EXPECT_THAT(error_of([&] { database.execute("UPDATE messages SET content = 'other'"); }),
              HasSubstr("a stored message never changes"));
  EXPECT_THAT(contents(store_.path(id)), ElementsAre("as it was"));
}

TEST_F(SessionStoreTest, AWholeTreeGoesInAndComesOut) {
  const SessionId id = store_.create(user_, {.title = "t", .model = "m", .parameters = R"({"a":1})"});
  const MessageId root = say(id, {}, "root");
  const MessageId a = say(id, root, "a");
  say(id, root, "b");
  say(id, {}, "other root");
  store_.set_leaf(id, a);
  const SessionTree tree = store_.tree(id);
  const SessionId copy = store_.add_trees(user_, std::vector{tree}).front();
  const SessionTree again = store_.tree(copy);
  EXPECT_THAT(contents(store_.path(copy)), ElementsAre("root", "a"));
  EXPECT_EQ(again.updated_at, tree.updated_at);
  ASSERT_EQ(again.messages.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(static_cast<const NewMessage&>(again.messages[i]), tree.messages[i]);
    EXPECT_EQ(again.messages[i].parent, tree.messages[i].parent);
    EXPECT_EQ(again.messages[i].created_at, tree.messages[i].created_at);
  }
}

TEST_F(SessionStoreTest, OfSeveralTreesAllAreStoredOrNone) {
  SessionTree good;
  good.title = "good";
  SessionTree bad = good;
  bad.messages.resize(2);
  bad.messages[0].role = bad.messages[1].role = "user";
  bad.messages[0].parent = 1;
  EXPECT_THAT(error_of([&] { store_.add_trees(user_, std::vector{good, bad}); }),
              HasSubstr("the parent of message 0: expected the index of an earlier message, found 1"));
  EXPECT_THAT(store_.list(user_).sessions, IsEmpty());
}

TEST_F(SessionStoreTest, OnlyTheOwnerMayReadTheFile) {
  struct stat status{};
  for (const char* suffix : {"", "-wal", "-lock"}) {
    ASSERT_EQ(::stat((path() + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << suffix;
  }
}

}  // namespace
}  // namespace tessera::store
