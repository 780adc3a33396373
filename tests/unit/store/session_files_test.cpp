#include "store/session_files.h"

#include <gmock/gmock.h>

#include <array>

#include "store_test_support.h"
#include "support/error_of.h"

namespace tessera::store {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SessionTree branched_tree() {
  SessionTree tree;
  tree.title = "A \"title\"\nof two lines";
  tree.model = "SmolLM2";
  tree.parameters = R"({"stop":["x"],"temperature":0.5})";
  tree.created_at = 1'700'000'000'123;
  tree.updated_at = 1'700'000'001'000;
  tree.archived = true;
  tree.messages.resize(4);
  const char* texts[] = {"question", "answer \xF0\x9F\x99\x82\n", "other answer", "again"};
  for (std::size_t i = 0; i < 4; ++i) {
    tree.messages[i].role = i % 3 == 0 ? "user" : "assistant";
    tree.messages[i].content = texts[i];
    tree.messages[i].created_at = tree.created_at + static_cast<std::int64_t>(i);
  }
  tree.messages[1].model = "SmolLM2";
  tree.messages[1].finish_reason = "eos";
  tree.messages[1].prompt_tokens = 12;
  tree.messages[1].completion_tokens = 3;
  tree.messages[1].prefill_seconds = 0.1;
  tree.messages[1].decode_seconds = 2;
  tree.messages[1].parent = tree.messages[2].parent = 0;
  tree.messages[3].parent = 1;
  tree.leaf = 3;
  return tree;
}

void expect_equal(const SessionTree& found, const SessionTree& expected) {
  EXPECT_EQ(found.title, expected.title);
  EXPECT_EQ(found.model, expected.model);
  EXPECT_EQ(found.parameters, expected.parameters);
  EXPECT_EQ(found.created_at, expected.created_at);
  EXPECT_EQ(found.updated_at, expected.updated_at);
  EXPECT_EQ(found.archived, expected.archived);
  EXPECT_EQ(found.leaf, expected.leaf);
  ASSERT_EQ(found.messages.size(), expected.messages.size());
  for (std::size_t i = 0; i < found.messages.size(); ++i) {
    EXPECT_EQ(static_cast<const NewMessage&>(found.messages[i]), expected.messages[i]);
    EXPECT_EQ(found.messages[i].parent, expected.messages[i].parent);
    EXPECT_EQ(found.messages[i].created_at, expected.messages[i].created_at);
  }
}

TEST(SessionFilesTest, JsonComesBackAsItWas) {
  SessionTree empty;
  empty.title = "empty";
  const std::vector<SessionTree> trees = {branched_tree(), empty};
  const std::string text = sessions_as_json(trees);
  const std::vector<SessionTree> again = sessions_from_json(text, "f.json", 5);
  ASSERT_EQ(again.size(), 2U);
  expect_equal(again[0], trees[0]);
  EXPECT_EQ(again[1].title, "empty");
  EXPECT_THAT(again[1].messages, IsEmpty());
  EXPECT_EQ(sessions_as_json(again), text);
}

TEST(SessionFilesTest, WhatAChatSavesCanBeRead) {
  const auto trees = sessions_from_json(R"({"model": "m", "messages": [{"role": "system", "content": "s"},
      {"role": "user", "content": "What is\n the capital?"}, {"role": "assistant", "content": "x"}]})",
                                        "f.json", 77);
  ASSERT_EQ(trees.size(), 1U);
  EXPECT_EQ(trees[0].title, "What is the capital?");
  EXPECT_EQ(trees[0].model, "m");
  EXPECT_EQ(trees[0].created_at, 77);
  ASSERT_EQ(trees[0].messages.size(), 3U);
  EXPECT_EQ(trees[0].messages[2].parent, 1U);
  EXPECT_EQ(trees[0].leaf, 2U);
}

TEST(SessionFilesTest, MarkdownShowsThePathToTheLeaf) {
  EXPECT_EQ(
      session_as_markdown(branched_tree()),
      "# A \"title\" of two lines\n\nSmolLM2, 2023-11-14 22:13 UTC\n\n## User\n\nquestion\n\n## Assistant\n\n"
      "answer \xF0\x9F\x99\x82\n\n## User\n\nagain\n");
}

TEST(SessionFilesTest, MarkdownComesBackWhateverTheMessagesSay) {
  SessionTree tree = branched_tree();
  tree.title = "One line";
  tree.messages[0].content = "# One\n\n2025-01-02 03:04 UTC\n## User\n\\## Assistant\n\n## Users\n## user";
  tree.messages[1].content = "# Heading\n\n* text\n\n\n\\\\# A\n\nm, 2025-01-02 03:04 UTC";
  tree.messages[3].content = "## Tool";
  SessionTree empty;
  empty.title = "empty";
  const std::string text = session_as_markdown(tree) + "\n" + session_as_markdown(empty);
  ASSERT_TRUE(is_markdown(text));
  const std::vector<SessionTree> again = sessions_from_markdown(text, "f.md", 5);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0].title, "One line");
  EXPECT_EQ(again[0].model, "SmolLM2");
  ASSERT_EQ(again[0].messages.size(), 3U);  // the path
  const std::array<std::size_t, 3> path = {0, 1, 3};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(again[0].messages[i].role, tree.messages[path.at(i)].role);
    EXPECT_EQ(again[0].messages[i].content, tree.messages[path.at(i)].content);
    EXPECT_EQ(again[0].messages[i].parent, i == 0 ? std::nullopt : std::optional(i - 1));
  }
  EXPECT_EQ(again[0].leaf, 2U);
  EXPECT_EQ(again[1].title, "empty");
  EXPECT_THAT(again[1].messages, IsEmpty());
  EXPECT_FALSE(is_markdown(sessions_as_json(again)));
  EXPECT_THAT(error_of([] { sessions_from_markdown("# A diary\n\nMonday\n", "f.md", 5); }),
              HasSubstr("f.md: line 1: expected '# TITLE'"));
}

TEST(SessionFilesTest, WhatIsWrongInAFileIsNamed) {
  const auto error = [](const std::string& text) {
    return error_of([&] { sessions_from_json(text, "f.json", 0); });
  };
  const auto in_session = [&](const std::string& fields) {
    return error(R"({"format":"tessera-sessions","version":1,"sessions":[{)" + fields + "}]}");
  };
  EXPECT_EQ(error("{\"a\": nope}"), "f.json: expected JSON, found something else at byte 7");
  EXPECT_THAT(error(std::string("{\"a\": \"\xff\"}")), HasSubstr("expected JSON"));
  EXPECT_THAT(error("[]"), HasSubstr("f.json: expected an object"));
  EXPECT_THAT(error("{}"), HasSubstr("expected \"format\": \"tessera-sessions\""));
  EXPECT_THAT(error(R"({"format":"tessera-sessions","version":2})"),
              HasSubstr("expected version 1, found 2"));
  EXPECT_THAT(error(R"({"format":"tessera-sessions","version":1})"), HasSubstr("expected a list 'sessions'"));
  EXPECT_THAT(error(std::string(100'000, '[')), HasSubstr("at most 64 levels"));
  EXPECT_THAT(in_session(R"("messages":3)"), HasSubstr("f.json: session 1: expected a list 'messages'"));
  EXPECT_THAT(in_session(R"("messages":[],"parameters":[])"), HasSubstr("expected an object 'parameters'"));
  EXPECT_THAT(in_session(R"("messages":[],"created_at":-1)"), HasSubstr("'created_at'"));
  EXPECT_THAT(in_session(R"("messages":[],"created_at":18446744073709551615)"), HasSubstr("'created_at'"));
  EXPECT_THAT(in_session(R"("messages":[],"archived":1)"), HasSubstr("expected true or false 'archived'"));
  EXPECT_THAT(in_session(R"("messages":[{"id":1,"role":"user"}])"),
              HasSubstr("message 1: expected a text 'content'"));
  const std::string first = R"({"id":1,"role":"user","content":"x"})";
  EXPECT_THAT(in_session(R"("messages":[)" + first + "," + first + "]"),
              HasSubstr("expected an id of its own"));
  EXPECT_THAT(in_session(R"("messages":[{"id":1,"parent":1,"role":"user","content":"x"}])"),
              HasSubstr("expected the id of an earlier message 'parent'"));
  EXPECT_THAT(in_session(R"("current":9,"messages":[)" + first + "]"), HasSubstr("'current'"));
  EXPECT_THAT(in_session(R"("messages":[)" + first + R"(,{"role":"user","content":"x"}])"),
              HasSubstr("expected all messages to have an id, or none"));
}

TEST(SessionFilesTest, TitlesAreOneShortLine) {
  EXPECT_EQ(title_from("  two\n\n lines\t"), "two lines");
  EXPECT_EQ(title_from(""), "");
  std::string accents;
  for (int i = 0; i < 100; ++i) accents += "é";
  std::string cut;
  for (int i = 0; i < 60; ++i) cut += "é";
  EXPECT_EQ(title_from(accents), cut + "…");
}

class ImportTest : public StoreTest {};

TEST_F(ImportTest, AnExportGoesIntoAnotherStore) {
  SessionStore store(path());
  const UserId user = store.user(kLocalUser);
  const std::vector<SessionTree> read =
      sessions_from_json(sessions_as_json(std::vector{branched_tree()}), "f", 0);
  const SessionId id = store.add_trees(user, read).front();
  expect_equal(store.tree(id), branched_tree());
  EXPECT_THAT(contents(store.path(id)), ElementsAre("question", "answer \xF0\x9F\x99\x82\n", "again"));
  EXPECT_THAT(store.integrity_errors(), IsEmpty());
}

}  // namespace
}  // namespace tessera::store
