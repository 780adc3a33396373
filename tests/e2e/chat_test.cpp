// `tessera chat` as a person uses it, in a terminal of its own, and as a script does, through pipes. With the
// default model, which set-up fetches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/mapped_file.h"
#include "support/pty_session.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kInterrupt = "\x03";
constexpr const char* kEndOfFile = "\x04";
constexpr const char* kUp = "\x1b[A";

class ChatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = testing::default_model();
    if (!model_) GTEST_SKIP() << "the default model is not there; ./quickstart fetches it";
  }

  std::vector<std::pair<std::string, std::string>> environment() const {
    return {{"XDG_DATA_HOME", folder_.path().string()},
            {"XDG_CONFIG_HOME", folder_.path().string()},
            {"NO_COLOR", "1"},
            {"TERM", "xterm"},
            {"TESSERA_TEMP", "0"}};
  }

  // A chat whose answers are the most probable ones, and short.
  testing::PtySession start(std::vector<std::string> flags = {"-n", "24"}) {
    flags.insert(flags.begin(), {testing::tessera_binary(), "chat", "-m", model_->string()});
    return testing::PtySession(flags, environment());
  }

  // Sends a message and waits for its answer's figures: what stood between, and the figures.
  static std::pair<std::string, std::string> ask(testing::PtySession& chat, const std::string& message) {
    chat.prompt();
    chat.line(message);
    std::string answer = chat.expect("\r\n[");
    // A slow prefill draws a bar and erases it: the answer is what follows the last erasure.
    constexpr std::string_view kErased = "\r\x1b[K";
    const std::size_t bar = answer.rfind(kErased);
    if (bar != std::string::npos) answer.erase(0, bar + kErased.size());
    return {answer, chat.expect("]")};
  }

  static std::string prefilled(const std::string& figures) {
    const std::size_t begin = figures.find("prefill ");
    return figures.substr(begin, figures.find(" tokens", begin) - begin);
  }

  testing::CommandResult pipe(const std::string& input, std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"chat", "-m", model_->string()});
    auto variables = environment();
    variables.pop_back();  // without TESSERA_TEMP: pipes are greedy by themselves
    return testing::run_tessera(flags, {.input = input, .environment = variables, .timeout_seconds = 120});
  }

  std::optional<fs::path> model_;
  testing::TemporaryFolder folder_;
};

TEST_F(ChatTest, APipeGetsTheAnswerAndNothingElse) {
  const auto result = pipe("What is the capital of France?\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, HasSubstr("Paris"));
  EXPECT_THAT(result.output, EndsWith("\n"));
  EXPECT_EQ(result.errors, "");
  EXPECT_EQ(pipe("What is the capital of France?").output, result.output);
}

TEST_F(ChatTest, TheDefaultModelIsUsedWithoutAFlag) {
  const auto result =
      testing::run_tessera({"chat"}, {.input = "What is the capital of France?", .environment = {}});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("Paris"));
}

TEST_F(ChatTest, SeveralLinesInAPipeAreOneMessage) {
  const auto result = pipe("Here is a question.\nWhat is the capital of France?\n\n");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, HasSubstr("Paris"));
}

TEST_F(ChatTest, AnEmptyPipeIsBadUsage) {
  for (const char* input : {"", "\n", "  \n\n"}) {
    const auto result = pipe(input);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, HasSubstr("standard input is empty"));
  }
}

TEST_F(ChatTest, ACutAnswerIsSaid) {
  const auto limited = pipe("Write a long story.", {"-n", "5"});
  EXPECT_EQ(limited.exit_code, 0);
  EXPECT_THAT(limited.errors, HasSubstr("cut after 5 tokens"));
  const auto full = pipe("Write a very long story about a dog and a cat.", {"-c", "64"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_NE(full.output, "");
  EXPECT_THAT(full.errors, HasSubstr("the context is full (64 of 64 tokens)"));
  std::string long_text = "Say yes.";
  for (int i = 0; i < 100; ++i) long_text += " word";
  const auto too_long = pipe(long_text, {"-c", "64"});
  EXPECT_EQ(too_long.exit_code, 1);
  EXPECT_EQ(too_long.output, "");
  EXPECT_THAT(too_long.errors, HasSubstr("64"));
}

TEST_F(ChatTest, FlagsOutOfRangeAreBadUsage) {
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{{"--temp", "-1"},
                                             {"--top-p", "2"},
                                             {"-n", "0"},
                                             {"-c", "-5"},
                                             {"--temp", "x"},
                                             {"--logit-bias", "1"},
                                             {"--logit-bias", "999999:1"},
                                             {"--seed", "-7"}}) {
    const auto result = pipe("Hello", flags);
    EXPECT_EQ(result.exit_code, 2) << flags.front() << " " << flags.back() << ": " << result.errors;
    EXPECT_EQ(result.output, "");
  }
}

TEST_F(ChatTest, AMissingModelNamesIt) {
  const auto result =
      testing::run_tessera({"chat", "-m", "no-such-model"}, {.input = "hi", .environment = environment()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("no model 'no-such-model'"));
}

TEST_F(ChatTest, TurnsShareTheCacheAndUndoComputesNothing) {
  auto chat = start();
  chat.expect("context 8192 tokens. /help lists the commands, Ctrl-D leaves.");
  const auto [paris, first] = ask(chat, "What is the capital of France?");
  EXPECT_THAT(paris, HasSubstr("Paris"));
  const auto [berlin, second] = ask(chat, "And of Germany?");
  EXPECT_THAT(berlin, HasSubstr("Berlin"));
  EXPECT_NE(prefilled(first), prefilled(second));

  chat.prompt();
  chat.line("/stats");
  const std::string before = chat.expect("generated");
  chat.prompt();
  chat.line("/undo");
  chat.expect("took back \"And of Germany?\"");
  chat.prompt();
  chat.line("/stats");
  const std::string after = chat.expect("generated");
  const auto computed = [](const std::string& stats) {
    const std::size_t begin = stats.find("prompt tokens");
    return stats.substr(begin, stats.find(" computed") - begin);
  };
  EXPECT_EQ(computed(after), computed(before));

  // The same message again costs the same few tokens and brings the same answer.
  const auto [again, third] = ask(chat, "And of Germany?");
  EXPECT_EQ(prefilled(third), prefilled(second));
  EXPECT_EQ(again, berlin);
  chat.prompt();
  chat.type(kEndOfFile);
  EXPECT_EQ(chat.wait(), 0);
}

TEST_F(ChatTest, CtrlCStopsTheAnswerKeepsItAndClearsTheLine) {
  // Without its two ends the answer lasts until it is stopped, however late that is.
  auto chat = start({"-n", "-1", "--logit-bias", "0:-inf", "--logit-bias", "2:-inf"});
  chat.prompt();
  chat.line("Write a long story about a dog.");
  chat.expect("dog named");
  chat.type(kInterrupt);
  chat.expect("[stopped; ");
  chat.prompt();
  chat.type("never sent");
  chat.expect("sent");
  chat.type(kInterrupt);
  chat.expect("Ctrl-D or /exit leaves");
  chat.prompt();
  chat.type(kInterrupt);  // and once more, on an empty line
  chat.expect("Ctrl-D or /exit leaves");
  const fs::path file = folder_.path() / "talk.json";
  chat.prompt();
  chat.line("/save " + file.string());
  chat.expect("2 messages written");
  EXPECT_THAT(read_file(file.string()), HasSubstr("assistant"));
  EXPECT_THAT(read_file(file.string()), Not(HasSubstr("never")));
  chat.prompt();
  chat.line("/exit");
  EXPECT_EQ(chat.wait(), 0);
}

TEST_F(ChatTest, ThreeQuotationMarksAndPastesKeepLines) {
  auto chat = start({"-n", "8"});
  chat.prompt();
  chat.line("\"\"\"first line");
  chat.expect("... ");
  chat.line("second line");
  chat.expect("... ");
  chat.line("\"\"\"");
  chat.expect("\r\n[");
  chat.prompt();
  chat.type("\x1b[200~pasted one\rpasted two\r\x1b[201~");
  chat.expect("two");
  chat.line("");
  chat.expect("\r\n[");
  const fs::path file = folder_.path() / "talk.json";
  chat.prompt();
  chat.line("/save " + file.string());
  chat.expect("4 messages written");
  EXPECT_THAT(read_file(file.string()), HasSubstr("\"first line\\nsecond line\""));
  EXPECT_THAT(read_file(file.string()), HasSubstr("\"pasted one\\npasted two\""));
}

TEST_F(ChatTest, OtherScriptsCanBeTypedInAnyLocale) {
  auto variables = environment();
  variables.insert(variables.end(), {{"LC_ALL", "C"}, {"LANG", "C"}});
  testing::PtySession chat({testing::tessera_binary(), "chat", "-m", model_->string(), "-n", "8"}, variables);
  chat.prompt();
  chat.line("你好, été 🙂");
  chat.expect("\r\n[");
  const fs::path file = folder_.path() / "talk.json";
  chat.prompt();
  chat.line("/save " + file.string());
  chat.expect("messages written");
  EXPECT_THAT(read_file(file.string()), HasSubstr("你好, été 🙂"));
}

TEST_F(ChatTest, RetryEditAndNew) {
  auto chat = start();
  const auto [paris, first] = ask(chat, "What is the capital of France?");
  const auto [retried, second] = ask(chat, "/retry");
  EXPECT_THAT(retried, HasSubstr("Paris"));  // greedy: the same answer
  const auto [berlin, third] = ask(chat, "/edit What is the capital of Germany?");
  EXPECT_THAT(berlin, HasSubstr("Berlin"));
  chat.prompt();
  chat.line("/edit");
  chat.expect("What is the capital of Germany?");  // ready to be changed
  chat.type(std::string(8, '\x7f') + "Japan?\r");
  chat.expect("\r\n");
  EXPECT_THAT(chat.expect("\r\n["), HasSubstr("Tokyo"));
  chat.prompt();
  chat.line("/new");
  chat.expect("a new conversation; context 0 of");
  chat.prompt();
  chat.line("/undo");
  chat.expect("nothing to take back");
  chat.prompt();
  chat.line("/retry");
  chat.expect("no message to answer");
}

TEST_F(ChatTest, SystemIsShownSetAndRemoved) {
  auto chat = start({"--system", "You are a pirate.", "-n", "8"});
  chat.prompt();
  chat.line("/system");
  chat.expect("system: You are a pirate.");
  chat.prompt();
  chat.line("/system Answer in one word.");
  chat.expect("is set");
  chat.prompt();
  chat.line("/system");
  chat.expect("system: Answer in one word.");
  chat.prompt();
  chat.line("/system -");
  chat.expect("is removed");
  chat.prompt();
  chat.line("/system");
  chat.expect("none set");
}

TEST_F(ChatTest, SavedConversationsGoOnAndHostileOnesAreShownSafely) {
  const fs::path file = folder_.path() / "saved.json";
  std::ofstream(file) << R"({"messages": [{"role": "user", "content": "My name is Ada."},
    {"role": "assistant", "content": "Hello \u001b[31mAda\u001b]0;owned\u0007!"}]})";
  auto chat = start();
  chat.prompt();
  chat.line("/load " + file.string());
  const std::string shown = chat.expect("2 messages loaded");
  EXPECT_THAT(shown, HasSubstr("␛[31mAda"));
  EXPECT_THAT(shown, Not(HasSubstr("\x1b[31m")));
  EXPECT_THAT(shown, Not(HasSubstr("\x1b]0")));
  chat.prompt();
  chat.line("/load /no/such/file.json");
  chat.expect("/no/such/file.json");
  std::ofstream(file) << "[]";
  chat.prompt();
  chat.line("/load " + file.string());
  chat.expect("expected");
  const auto [answer, figures] = ask(chat, "What is my name?");
  EXPECT_THAT(answer, HasSubstr("Ada"));  // what was loaded first is still there
}

TEST_F(ChatTest, AFullContextIsSaidWithCountsAndWaysOut) {
  auto chat = start({"-c", "96", "-n", "-1"});
  chat.prompt();
  chat.line("Count from 1 to 1000.");
  chat.expect("The context is full: 96 of 96 tokens");
  const std::string advice = chat.prompt();
  EXPECT_THAT(advice, HasSubstr("/undo"));
  EXPECT_THAT(advice, HasSubstr("-c allows up to "));
  chat.line("Another message that finds no room.");
  chat.expect("The context is full: ");
  EXPECT_THAT(chat.prompt(), HasSubstr("was not sent"));
  chat.line("/undo");
  chat.expect("took back \"Count from 1 to 1000.\"");
  const auto [answer, figures] = ask(chat, "What is the capital of France?");
  EXPECT_THAT(answer, HasSubstr("Paris"));
}

TEST_F(ChatTest, ParametersAreShownSetAndChecked) {
  auto chat = start({"-n", "8", "--seed", "7"});
  const auto reply = [&chat](const std::string& line, const std::string& expected) {
    chat.prompt();
    chat.line(line);
    chat.expect(expected);
  };
  reply("/params", "seed               7");
  reply("/params temp 0.25", "temp               0.25");
  reply("/params top-k=3", "top-k              3");
  reply("/params tmep 1", "did you mean 'temp'?");
  reply("/params temp hot", "expected a number");
  reply("/params temp 1000", "temperature");
  reply("/params", "temp               0.25");
  reply("/udno", "did you mean /undo?");
  reply("/usr/bin is a folder", "no command '/usr/bin'");
}

TEST_F(ChatTest, TheSameSeedGivesTheSameConversation) {
  const auto talk = [this] {
    auto chat = start({"--temp", "1", "--seed", "42", "-n", "24"});
    std::string all = ask(chat, "Invent a name for a ship.").first;
    all += ask(chat, "/retry").first;
    return all + ask(chat, "Another one.").first;
  };
  EXPECT_EQ(talk(), talk());
}

TEST_F(ChatTest, HistoryLastsAndTabCompletes) {
  {
    auto chat = start({"-n", "4"});
    ask(chat, "A message to remember");
    chat.prompt();
    chat.type(kEndOfFile);
    EXPECT_EQ(chat.wait(), 0);
  }
  const fs::path history = folder_.path() / "tessera" / "chat_history";
  EXPECT_EQ(fs::status(history).permissions() & fs::perms(0077), fs::perms::none);
  auto chat = start({"-n", "4"});
  chat.prompt();
  chat.type(kUp);
  chat.expect("A message to remember");
  chat.type("\x15/par\t");  // Ctrl-U, then Tab
  chat.expect("ams");
  chat.line("");
  chat.expect("repeat-penalty");
  chat.prompt();
  chat.type(kEndOfFile);
  EXPECT_EQ(chat.wait(), 0);
}

TEST_F(ChatTest, ABaseModelIsSentToGenerate) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is absent";
  const auto result = testing::run_tessera({"chat", "-m", (*shared / "models" / "tinystories-656k").string()},
                                           {.input = "hi", .environment = environment()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("no chat template"));
  EXPECT_THAT(result.errors, HasSubstr("tessera generate"));
}

}  // namespace
}  // namespace tessera
