// Conversations that are saved: in a chat (/sessions, /resume, /branch, /undo, /rename), and by 'tessera
// sessions'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/mapped_file.h"
#include "support/pty_session.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SessionsTest : public ::testing::Test {
 protected:
  std::vector<std::pair<std::string, std::string>> environment() const {
    return {{"XDG_DATA_HOME", folder_.path().string()},
            {"XDG_CONFIG_HOME", folder_.path().string()},
            {"NO_COLOR", "1"},
            {"TERM", "xterm"},
            {"TESSERA_TEMP", "0"},
            {"TZ", "UTC"}};
  }
  testing::CommandResult sessions(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "sessions");
    return testing::run_tessera(arguments, {.input = "", .environment = environment()});
  }
  std::string database() const { return (folder_.path() / "tessera" / "sessions.db").string(); }
  std::string file(const std::string& name, const std::string& content) const {
    const fs::path path = folder_.path() / name;
    std::ofstream(path) << content;
    return path.string();
  }
  // Two sessions, the second with two branches.
  void import_two() const {
    const auto result =
        sessions({"import", file("two.json", R"({"format": "tessera-sessions", "version": 1, "sessions": [
      {"title": "Soup", "created_at": 1000, "updated_at": 1000, "messages": [
        {"id": 1, "role": "user", "content": "Which soup is best?"}], "current": 1},
      {"title": "Capitals", "created_at": 2000, "updated_at": 2000, "messages": [
        {"id": 1, "role": "user", "content": "What is the capital of France?"},
        {"id": 2, "parent": 1, "role": "assistant", "content": "It is \u001b[31mParis."},
        {"id": 3, "parent": 1, "role": "assistant", "content": "Lyon, I think."}], "current": 2}]})")});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, AllOf(HasSubstr("Soup"), HasSubstr("Capitals")));
  }
  testing::TemporaryFolder folder_;
};

TEST_F(SessionsTest, AreListedShownAndSearched) {
  EXPECT_THAT(sessions({}).errors, HasSubstr("no sessions in " + database()));
  import_two();
  const auto listed = sessions({});
  EXPECT_EQ(
      listed.output,
      "     2  1970-01-01 00:00     3 messages  Capitals\n     1  1970-01-01 00:00     1 message   Soup\n");
  EXPECT_EQ(sessions({"list"}).output, listed.output);
  EXPECT_THAT(sessions({"list", "--json"}).output,
              AllOf(HasSubstr("\"id\": 2"), HasSubstr("\"title\": \"Soup\"")));
  const auto limited = sessions({"list", "-n", "1"});
  EXPECT_THAT(limited.output, Not(HasSubstr("Soup")));
  EXPECT_THAT(limited.errors, HasSubstr("-n 2 shows more"));
  const auto shown = sessions({"show", "2"});
  EXPECT_THAT(shown.output,
              AllOf(HasSubstr("# Capitals"), HasSubstr("## User\n\nWhat is the capital of France?\n"),
                    HasSubstr("Paris."), Not(HasSubstr("Lyon"))));
  EXPECT_THAT(sessions({"search", "capital", "FRANCE"}).output,
              HasSubstr("     2  Capitals\n        user: What is the capital of France?\n"));
  EXPECT_THAT(sessions({"search", "so"}).output, HasSubstr("Which soup is best?"));
  const auto nothing = sessions({"search", "\"AND (NEAR"});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_THAT(nothing.errors, HasSubstr("found nothing"));
}

TEST_F(SessionsTest, GoOutAndComeIn) {
  import_two();
  const fs::path out = folder_.path() / "out.json";
  EXPECT_EQ(sessions({"export", "--all", "-o", out.string()}).exit_code, 0);
  EXPECT_EQ(sessions({"import", out.string()}).exit_code, 0);
  EXPECT_EQ(sessions({"export", "3", "4"}).output, read_file(out.string(), 1 << 20));
  const std::string markdown = sessions({"export", "2", "--markdown"}).output;
  EXPECT_THAT(markdown, HasSubstr("## Assistant"));
  EXPECT_EQ(sessions({"export"}).exit_code, 2);
  const auto wrong = sessions({"import", file("wrong.json", "{}")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.errors, HasSubstr("wrong.json: expected \"format\""));
  EXPECT_THAT(sessions({"list", "--json"}).output, Not(HasSubstr("\"id\": 5")));
  EXPECT_EQ(sessions({"import", file("talk.md", markdown)}).exit_code, 0);
  const std::string again = sessions({"export", "5", "--markdown"}).output;  // the time is another
  EXPECT_EQ(again.substr(again.find("\n## ")), markdown.substr(markdown.find("\n## ")));
}

TEST_F(SessionsTest, AreDeletedOnlyWhenAsked) {
  import_two();
  EXPECT_EQ(sessions({"delete", "1"}).exit_code, 2);
  EXPECT_THAT(sessions({"delete", "9", "--yes"}).errors, HasSubstr("there is no session 9"));
  EXPECT_EQ(sessions({"delete", "x", "--yes"}).exit_code, 2);
  EXPECT_EQ(sessions({"delete", "1", "--yes"}).exit_code, 0);
  EXPECT_THAT(sessions({}).output, Not(HasSubstr("Soup")));
}

TEST_F(SessionsTest, ADamagedFileIsNamedAndStays) {
  fs::create_directories(folder_.path() / "tessera");
  const std::string bytes(5000, 'x');
  std::ofstream(database()) << bytes;
  const auto result = sessions({});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, AllOf(HasSubstr(database()), HasSubstr("damaged")));
  EXPECT_EQ(read_file(database(), 1 << 20), bytes);
}

class SavedChatTest : public SessionsTest {
 protected:
  void SetUp() override {
    model_ = testing::default_model();
    if (!model_) GTEST_SKIP() << "the default model is not there; ./quickstart fetches it";
  }
  testing::PtySession start(std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {testing::tessera_binary(), "chat", "-m", model_->string(), "-n", "12"});
    return testing::PtySession(flags, environment());
  }
  // Types a line and returns what comes up to `expected`, which only its reply holds.
  static std::string say(testing::PtySession& chat, const std::string& line, const std::string& expected) {
    chat.prompt();
    chat.line(line);
    return chat.expect(expected);
  }
  static std::string ask(testing::PtySession& chat, const std::string& message) {
    return say(chat, message, "\r\n[");
  }

  std::optional<fs::path> model_;
};

TEST_F(SavedChatTest, AConversationGoesOnAfterTheProgramWasKilled) {
  {
    auto chat = start();
    EXPECT_THAT(ask(chat, "What is the capital of France?"), HasSubstr("Paris"));
    chat.prompt();
  }  // killed
  EXPECT_THAT(sessions({}).output, HasSubstr("2 messages  What is the capital of France?"));
  auto chat = start();
  say(chat, "/sessions", "/resume N goes on with one");
  EXPECT_THAT(say(chat, "/resume 1", "2 messages of 'What is the capital of France?'"), HasSubstr("Paris"));
  EXPECT_THAT(ask(chat, "And of Germany?"), HasSubstr("Berlin"));
  say(chat, "/rename Capitals", "the title is set");
  say(chat, "/sessions Berlin", "assistant:");
  say(chat, "/exit", "\r\n");
  EXPECT_EQ(chat.wait(), 0);
  EXPECT_THAT(sessions({}).output, HasSubstr("4 messages  Capitals"));
  const auto exported = sessions({"export", "1"}).output;
  EXPECT_THAT(exported, AllOf(HasSubstr("\"completion_tokens\""), HasSubstr("\"finish_reason\""),
                              HasSubstr("\"temperature\": 0"), HasSubstr("SmolLM2")));
}

TEST_F(SavedChatTest, AResumedConversationGoesOnAsIfItHadNotBeenLeft) {
  const auto say_parameters = [](testing::PtySession& chat) {
    say(chat, "/params temp 0.9", "temp               0.9");
    say(chat, "/params seed 11", "seed               11");
    say(chat, "/params predict 16", "predict            16");
  };
  std::string expected;
  {
    auto chat = start({"--no-save"});
    say_parameters(chat);
    ask(chat, "Invent a name for a ship.");
    expected = ask(chat, "Another one.");
  }
  {
    auto chat = start();
    say_parameters(chat);
    ask(chat, "Invent a name for a ship.");
    say(chat, "/exit", "\r\n");
    EXPECT_EQ(chat.wait(), 0);
  }
  auto chat = start();
  say(chat, "/resume 1", "2 messages of");
  const std::string parameters = say(chat, "/params", "predict            16");
  EXPECT_THAT(parameters, AllOf(HasSubstr("temp               0.9"), HasSubstr("seed               11")));
  EXPECT_EQ(ask(chat, "Another one."), expected);
}

// As the page keeps it: the system message is a parameter, not a message.
TEST_F(SavedChatTest, ASystemMessageAmongTheParametersCountsAndStaysThere) {
  const auto imported =
      sessions({"import", file("page.json", R"({"format": "tessera-sessions", "version": 1, "sessions": [
      {"title": "Page", "parameters": {"mode": "chat", "system": "You are a pirate.", "temperature": 0, "max_tokens": 5},
       "messages": [{"id": 1, "role": "user", "content": "Hello"},
                    {"id": 2, "parent": 1, "role": "assistant", "content": "Ahoy!"}], "current": 2},
      {"title": "Tale", "parameters": {"mode": "story"}, "messages": [
        {"id": 1, "role": "user", "content": "Once"}], "current": 1}]})")});
  ASSERT_EQ(imported.exit_code, 0) << imported.errors;
  auto chat = start();
  EXPECT_THAT(say(chat, "/resume 1", "2 messages of 'Page'"), HasSubstr("system: You are a pirate."));
  ask(chat, "Who are you?");
  say(chat, "/system Be brief.", "is set");
  ask(chat, "And now?");
  say(chat, "/resume 2", "is a story");
  say(chat, "/exit", "\r\n");
  EXPECT_EQ(chat.wait(), 0);
  const std::string exported = sessions({"export", "1"}).output;
  EXPECT_THAT(exported, AllOf(HasSubstr("\"system\": \"Be brief.\""), HasSubstr("\"mode\": \"chat\""),
                              Not(HasSubstr("\"role\": \"system\"")), HasSubstr("And now?")));
}

TEST_F(SavedChatTest, UndoRetryAndEditLeaveBranches) {
  auto chat = start();
  ask(chat, "What is the capital of France?");
  ask(chat, "And of Germany?");
  say(chat, "/undo", "took back");
  ask(chat, "And of Japan?");
  const std::string branches = say(chat, "/branch", "/branch N goes there");
  EXPECT_THAT(branches, HasSubstr("    1  "));
  EXPECT_THAT(branches, HasSubstr("*    2  "));
  EXPECT_THAT(say(chat, "/branch 1", "branch 1 of 2"), HasSubstr("And of Germany?"));
  EXPECT_THAT(ask(chat, "/retry"), HasSubstr("Berlin"));
  ask(chat, "/edit And of Spain?");
  say(chat, "/branch 9", "expected a branch from 1 to 4");
  say(chat, "/system Be brief.", "is set");
  ask(chat, "And of Italy?");  // a new root, with all that went before
  say(chat, "/exit", "\r\n");
  EXPECT_EQ(chat.wait(), 0);
  const std::string shown = sessions({"show", "1"}).output;
  EXPECT_THAT(shown, AllOf(HasSubstr("## System\n\nBe brief."), HasSubstr("France"), HasSubstr("Spain"),
                           HasSubstr("Italy"), Not(HasSubstr("Germany")), Not(HasSubstr("Japan"))));
  const std::string all = sessions({"export", "1"}).output;
  EXPECT_THAT(all, AllOf(HasSubstr("Germany"), HasSubstr("Japan")));
  EXPECT_THAT(sessions({}).output, HasSubstr("     1  "));
  EXPECT_THAT(sessions({}).output, Not(HasSubstr("     2  ")));  // one session all along
}

TEST_F(SavedChatTest, NewBeginsAnotherSessionAndResumeIsAFlagToo) {
  {
    auto chat = start();
    ask(chat, "Say yes.");
    say(chat, "/new", "a new conversation");
    ask(chat, "Say no.");
    say(chat, "/exit", "\r\n");
    EXPECT_EQ(chat.wait(), 0);
  }
  EXPECT_THAT(sessions({}).output, AllOf(HasSubstr("     1  "), HasSubstr("     2  ")));
  auto chat = start({"--resume", "1"});
  chat.expect("2 messages of 'Say yes.'");
  auto missing = start({"--resume", "7"});
  missing.expect("there is no session 7");
  EXPECT_EQ(missing.wait(), 2);
}

TEST_F(SavedChatTest, NothingIsSavedWithNoSaveOrThroughAPipe) {
  auto chat = start({"--no-save"});
  ask(chat, "Say yes.");
  say(chat, "/sessions", "is not saved");
  say(chat, "/exit", "\r\n");
  EXPECT_EQ(chat.wait(), 0);
  EXPECT_EQ(testing::run_tessera({"chat", "-m", model_->string(), "-n", "4"},
                                 {.input = "Say yes.", .environment = environment()})
                .exit_code,
            0);
  EXPECT_FALSE(fs::exists(database()));
}

TEST_F(SavedChatTest, AStoreThatFailsDoesNotEndTheChat) {
  fs::create_directories(folder_.path() / "tessera");
  std::ofstream(database()) << std::string(5000, 'x');
  auto chat = start();
  chat.expect("this conversation will not be saved");
  chat.expect("damaged file");
  EXPECT_THAT(ask(chat, "What is the capital of France?"), HasSubstr("Paris"));
  fs::remove_all(folder_.path() / "tessera");
  auto second = start();
  ask(second, "Say yes.");
  EXPECT_EQ(sessions({"delete", "1", "--yes"}).exit_code, 0);  // under its feet
  ask(second, "Say no.");
  say(second, "/exit", "\r\n");
  EXPECT_EQ(second.wait(), 0);
  EXPECT_THAT(sessions({"show", "2"}).output, AllOf(HasSubstr("Say yes."), HasSubstr("Say no.")));
}

}  // namespace
}  // namespace tessera
