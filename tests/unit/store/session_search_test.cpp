#include <gmock/gmock.h>

#include "store_test_support.h"
#include "support/error_of.h"

namespace tessera::store {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SessionSearchTest : public StoreTest {
 protected:
  void add(const std::string& title, const std::vector<std::string>& texts) {
    const SessionId id = store_.create(user_, {.title = title});
    std::optional<MessageId> parent;
    for (const std::string& text : texts) {
      parent = store_.append(id, parent, {.role = "user", .content = text});
      texts_[*parent] = text;
    }
  }

  // The text of each hit; a title in brackets.
  std::vector<std::string> found(const std::string& words) {
    std::vector<std::string> texts;
    for (const SearchHit& hit : store_.search(user_, words).hits) {
      texts.push_back(hit.message ? texts_.at(*hit.message) : "[" + hit.title + "]");
    }
    return texts;
  }

  SessionStore store_{path(), ticking_clock()};
  UserId user_ = store_.user(kLocalUser);
  std::map<MessageId, std::string> texts_;
};

TEST_F(SessionSearchTest, FindsMessagesAndTitlesByPartsOfWords) {
  add("Capitals", {"What is the capital of France?", "Paris."});
  add("Soup", {"Which soup is French?", "Onion soup, in CAPITAL letters."});
  EXPECT_THAT(found("capital"),
              ElementsAre("[Capitals]", "Onion soup, in CAPITAL letters.", "What is the capital of France?"));
  EXPECT_THAT(found("apit Franc"), ElementsAre("What is the capital of France?"));
  EXPECT_THAT(found("soup French"), ElementsAre("Which soup is French?"));
  EXPECT_THAT(found("nowhere"), IsEmpty());
  EXPECT_THAT(found(""), IsEmpty());
  EXPECT_THAT(found(" \t\n"), IsEmpty());
}

TEST_F(SessionSearchTest, FindsShortWordsAndOtherScripts) {
  add("旅行", {"北京是中国的首都", "Où est l'été?", "C++ or Go?", "100% sure", "a_b"});
  EXPECT_THAT(found("首都"), ElementsAre("北京是中国的首都"));
  EXPECT_THAT(found("中国的首"), ElementsAre("北京是中国的首都"));
  EXPECT_THAT(found("旅行"), ElementsAre("[旅行]"));
  EXPECT_THAT(found("ÉTÉ"), ElementsAre("Où est l'été?"));
  EXPECT_THAT(found("go"), ElementsAre("C++ or Go?"));
  EXPECT_THAT(found("c++ go"), ElementsAre("C++ or Go?"));
  EXPECT_THAT(found("%"), ElementsAre("100% sure"));
  EXPECT_THAT(found("_"), ElementsAre("a_b"));
}

TEST_F(SessionSearchTest, NoCharacterOfAQueryIsSyntax) {
  const std::vector<std::string> texts = {"say \"hello\" AND wave",
                                          "NEAR(foo, 2)",
                                          "col:umn content:x",
                                          "star* ^caret",
                                          "-minus NOT this",
                                          "(open {brace} [x]",
                                          "back\\slash'quote",
                                          "semi; DROP TABLE messages; --",
                                          "\"\"\"",
                                          "a OR b"};
  add("t", texts);
  for (const std::string& text : texts) EXPECT_THAT(found(text), ElementsAre(text)) << text;
  for (const char* part :
       {"\"hello\"", "NEAR(foo", "content:x", "star*", "^caret", "-minus", "(open", "{brace}"}) {
    EXPECT_EQ(found(part).size(), 1U) << part;
  }
  // Every byte as a query: found or not, never an error of SQL.
  for (int byte = 1; byte < 128; ++byte) {
    const std::string character(1, static_cast<char>(byte));
    EXPECT_NO_THROW(found(character));
    EXPECT_NO_THROW(found(character + character + character));
    EXPECT_NO_THROW(found("x" + character + "yz"));
  }
  EXPECT_NO_THROW(found(std::string("nul\0nul", 7)));
  EXPECT_THAT(error_of([&] { found("\xff\xff\xff"); }), HasSubstr("the search: expected UTF-8"));
  EXPECT_THAT(error_of([&] { found(std::string(5000, 'x')); }), HasSubstr("at most 4096 bytes"));
  std::string many;
  for (int i = 0; i < 33; ++i) many += "word ";
  EXPECT_THAT(error_of([&] { found(many); }), HasSubstr("at most 32 words"));
}

TEST_F(SessionSearchTest, SnippetsShowTheWordsInTheirPlace) {
  std::string longer;
  for (int i = 0; i < 200; ++i) longer += "très ";
  add("t", {longer + "needle in hay, go" + longer});
  for (const char* word : {"needle", "go"}) {
    const SearchPage page = store_.search(user_, word);
    ASSERT_EQ(page.hits.size(), 1U);
    const SearchHit& hit = page.hits[0];
    EXPECT_LT(hit.snippet.size(), 300U);
    ASSERT_EQ(hit.highlights.size(), 1U);
    const TextSpan span = hit.highlights[0];
    EXPECT_EQ(hit.snippet.substr(span.begin, span.end - span.begin), word);
    EXPECT_TRUE(hit.snippet.starts_with("…"));
    EXPECT_TRUE(hit.snippet.ends_with("…"));
  }
  add("marks", {"\x03\x02 stray \x02 marks \x03\x03"});
  EXPECT_EQ(store_.search(user_, "stray").hits.at(0).snippet, " stray  marks ");
}

TEST_F(SessionSearchTest, PagesFollowEachOther) {
  std::vector<std::string> texts;
  for (int i = 0; i < 25; ++i) texts.push_back("number " + std::to_string(i));
  add("t", texts);
  for (const char* word : {"number", "nu"}) {
    std::vector<std::string> seen;
    SearchOptions options{.limit = 10};
    int pages = 0;
    do {
      const SearchPage page = store_.search(user_, word, options);
      for (const SearchHit& hit : page.hits) seen.push_back(texts_.at(hit.message.value()));
      options.after = page.next;
      ++pages;
    } while (options.after);
    EXPECT_EQ(pages, 3);
    std::vector<std::string> expected(texts.rbegin(), texts.rend());
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(SessionSearchTest, FollowsRenamesAndDeletionsAndKeepsUsersApart) {
  const SessionId id = store_.create(user_, {.title = "before"});
  const MessageId root = store_.append(id, {}, {.role = "user", .content = "treasure"});
  texts_[root] = "treasure";
  const UserId other = store_.user("other");
  EXPECT_THAT(store_.search(other, "treasure").hits, IsEmpty());
  EXPECT_THAT(store_.search(other, "tr").hits, IsEmpty());
  store_.rename(id, "afterwards");
  EXPECT_THAT(found("before"), IsEmpty());
  EXPECT_THAT(found("afterw"), ElementsAre("[afterwards]"));
  store_.erase_branch(id, root);
  EXPECT_THAT(found("treasure"), IsEmpty());
  store_.erase(id);
  EXPECT_THAT(found("afterw"), IsEmpty());
  EXPECT_THAT(store_.integrity_errors(), IsEmpty());
}

}  // namespace
}  // namespace tessera::store
