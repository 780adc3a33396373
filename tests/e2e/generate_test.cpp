// tessera generate, perplexity and bench on real models: text, streams, exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

testing::CommandResult generate(std::vector<std::string> arguments,
                                const testing::CommandOptions& options = {}) {
  arguments.insert(arguments.begin(), "generate");
  return testing::run_tessera(arguments, options);
}

TEST(Generate, TinyStoriesContinuesGreedilyAsItsAuthorsModelDoes) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "needs ../shared/models/tinystories-656k (or TESSERA_SHARED)";
  const std::string model = (*shared / "models" / "tinystories-656k").string();
  for (const char* threads : {"1", "2"}) {
    const auto result =
        generate({"-m", model, "-p", "Once upon a time", "--temp", "0", "-n", "80", "-t", threads});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(
        result.output,
        StartsWith(", a little girl named Lily lived in a small house with her mom, dad, and her dog, Spot, "
                   "Spot, loved to play all day. One day, Lily saw a small bird on the ground."));
  }
}

class GenerateWithDefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::default_model()) GTEST_SKIP() << "the default model is not there; ./quickstart gets it";
  }

  static json generate_json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const auto result = generate(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return json::parse(result.output);
  }
};

TEST_F(GenerateWithDefaultModel, JsonTellsTextTokensReasonUsageAndTimings) {
  const json result =
      generate_json({"-p", "The capital of France is", "-n", "8", "--temp", "0", "--logprobs", "3"});
  EXPECT_THAT(result["text"].get<std::string>(), HasSubstr("Paris"));
  EXPECT_EQ(result["prompt"], "The capital of France is");
  EXPECT_EQ(result["finish_reason"], "length");
  EXPECT_EQ(result["usage"]["completion_tokens"], 8);
  EXPECT_EQ(result["usage"]["total_tokens"], 8 + result["usage"]["prompt_tokens"].get<int>());
  EXPECT_GT(result["timings"]["decode_tokens_per_second"], 0);
  ASSERT_EQ(result["logprobs"].size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) {
    const json& entry = result["logprobs"][i];
    EXPECT_EQ(entry["id"], result["tokens"][i]);
    ASSERT_EQ(entry["top_logprobs"].size(), 3U);
    EXPECT_EQ(entry["top_logprobs"][0]["id"], entry["id"]);  // greedy
    EXPECT_LE(entry["top_logprobs"][1]["logprob"], entry["logprob"]);
    EXPECT_LE(entry["logprob"], 0);
  }
}

TEST_F(GenerateWithDefaultModel, TheSameSeedGivesTheSameTextOnAnyThreads) {
  const std::vector<std::string> arguments{"-p", "Once upon a time", "-n", "24", "--temp", "1", "--seed"};
  const auto run = [&](const std::string& seed, const std::string& threads) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {seed, "-t", threads});
    return generate(all).output;
  };
  const std::string first = run("7", "1");
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(run("7", "2"), first);
  EXPECT_NE(run("8", "2"), first);
}

TEST_F(GenerateWithDefaultModel, StandardInputIsThePrompt) {
  const auto piped =
      generate({"-n", "12", "--temp", "0"}, {.input = "The capital of France is\n", .environment = {}});
  const auto given = generate({"-n", "12", "--temp", "0", "-p", "The capital of France is"});
  EXPECT_EQ(piped.exit_code, 0) << piped.errors;
  EXPECT_EQ(piped.output, given.output);
  EXPECT_THAT(given.output, HasSubstr("Paris"));
}

TEST_F(GenerateWithDefaultModel, StopStringsEndTheTextBeforeThem) {
  const json result =
      generate_json({"-p", "One, two, three, four,", "-n", "40", "--temp", "0", "--stop", "seven"});
  EXPECT_EQ(result["finish_reason"], "stop");
  EXPECT_EQ(result["stop"], "seven");
  EXPECT_THAT(result["text"].get<std::string>(), ::testing::Not(HasSubstr("seven")));
  EXPECT_THAT(result["text"].get<std::string>(), HasSubstr("six"));
}

TEST_F(GenerateWithDefaultModel, ABiasForcesAToken) {
  const json plain = generate_json({"-p", "The capital of France is", "-n", "1", "--temp", "0"});
  const auto id = plain["tokens"][0].get<int>();
  const json biased = generate_json({"-p", "The capital of France is", "-n", "1", "--temp", "0",
                                     "--logit-bias", std::to_string(id) + ":-inf"});
  EXPECT_NE(biased["tokens"][0], id);
}

TEST_F(GenerateWithDefaultModel, AFullContextAndALongPromptAreSaid) {
  const auto full = generate({"-p", "One two three", "-c", "16", "-n", "-1", "--ignore-eos"});
  EXPECT_EQ(full.exit_code, 0);
  EXPECT_THAT(full.errors, HasSubstr("16 of 16 tokens"));
  const auto prompt_too_long =
      generate({"-p", "one two three four five six seven eight nine ten", "-c", "8"});
  EXPECT_EQ(prompt_too_long.exit_code, 1);
  EXPECT_THAT(prompt_too_long.errors, HasSubstr("holds 8"));
}

TEST_F(GenerateWithDefaultModel, AGrammarBindsTheText) {
  const std::string schema =
      R"({"type": "object", "properties": {"color": {"enum": ["red", "green"]}, "size": {"type": "integer"}},
          "required": ["color", "size"]})";
  for (const char* seed : {"1", "2", "3"}) {
    const json result =
        generate_json({"-p", "A box:", "-n", "80", "--temp", "1.5", "--seed", seed, "--json-schema", schema});
    const json box = json::parse(result["text"].get<std::string>(), nullptr, false);
    ASSERT_TRUE(box.is_object()) << result["text"];
    EXPECT_TRUE(box["color"] == "red" || box["color"] == "green");
    EXPECT_TRUE(box["size"].is_number_integer());
    EXPECT_EQ(result["finish_reason"], "stop");
  }
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "answer.gbnf").string();
  std::ofstream(path) << "root ::= \" yes\" | \" no\"\n";
  const auto answer = generate({"-p", "Is the sky blue?", "--grammar-file", path});
  EXPECT_TRUE(answer.output == " yes\n" || answer.output == " no\n") << answer.output;
  std::ofstream(path) << "root ::= [\n";
  const auto broken = generate({"-p", "x", "--grammar-file", path});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.errors, HasSubstr("grammar: line 1, column 10"));
}

// A terminal of its own: prompt, a passage, Enter for the next one, a word to steer, Ctrl-D.
TEST_F(GenerateWithDefaultModel, StoryModeGoesOnWithEnterAndEndsWithControlD) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string program = testing::tessera_binary();
    ::execl(program.c_str(), "tessera", "generate", "-p", "Once upon a time", "-n", "6", "--temp", "0",
            nullptr);
    ::_exit(127);
  }
  std::string seen;
  const auto read_until_prompts = [&](int count) {
    char buffer[4096];
    const auto prompts = [&] {
      int found = 0;
      for (std::size_t at = seen.find("\n> "); at != std::string::npos; at = seen.find("\n> ", at + 1))
        ++found;
      return found;
    };
    while (prompts() < count) {
      const ssize_t got = ::read(terminal, buffer, sizeof buffer);
      if (got <= 0) return false;
      seen.append(buffer, static_cast<std::size_t>(got));
    }
    return true;
  };
  const auto type = [&](const std::string& keys) {
    return ::write(terminal, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size());
  };
  EXPECT_TRUE(read_until_prompts(1)) << seen;
  EXPECT_TRUE(type("\n"));
  EXPECT_TRUE(read_until_prompts(2)) << seen;
  EXPECT_TRUE(type("Then a dragon\n"));
  EXPECT_TRUE(read_until_prompts(3)) << seen;
  EXPECT_TRUE(type("\x04"));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(terminal);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(GenerateWithDefaultModel, PerplexityOfGoodTextIsBelowThatOfShuffledWords) {
  const testing::TemporaryFolder folder;
  const auto measure = [&](const std::string& text) {
    const std::string path = (folder.path() / "text.txt").string();
    std::ofstream(path) << text;
    const auto result = testing::run_tessera({"perplexity", "-f", path, "-c", "32", "--stride", "16"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, StartsWith("perplexity "));
    EXPECT_THAT(result.errors, HasSubstr("[1/"));
    return std::stod(result.output.substr(std::string("perplexity ").size()));
  };
  const double good = measure(
      "Water boils at one hundred degrees Celsius at sea level. When it is cooled below zero degrees it "
      "freezes and "
      "becomes ice, which is lighter than water and therefore swims on it.");
  const double shuffled = measure(
      "degrees is at one lighter sea and level Water When zero below it boils therefore freezes Celsius "
      "hundred which "
      "becomes it cooled at ice is than it water on and swims degrees.");
  EXPECT_GT(good, 1);
  EXPECT_LT(good * 4, shuffled);
}

TEST_F(GenerateWithDefaultModel, BenchReportsEveryCase) {
  const auto result = testing::run_tessera(
      {"bench", "--prefill", "8", "--depths", "0,16", "-n", "2", "--repetitions", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const json report = json::parse(result.output);
  ASSERT_EQ(report["cases"].size(), 3U);
  for (const json& item : report["cases"]) {
    EXPECT_GT(item["tokens_per_second"], 0);
    EXPECT_GT(item["share_of_peak_bandwidth"], 0);
    EXPECT_GT(item["share_of_peak_flops"], 0);
  }
  const auto table =
      testing::run_tessera({"bench", "--prefill", "8", "--depths", "0", "-n", "2", "--repetitions", "1"});
  EXPECT_THAT(table.output, HasSubstr("prefill 8"));
  EXPECT_THAT(table.output, HasSubstr("decode @0"));
}

// Known to be wrong before any model is looked for.
TEST(GenerateUsage, ValuesOutOfRangeEndWithTwoAndAHint) {
  const std::vector<std::vector<std::string>> cases{
      {"--temp", "nan"},
      {"--temp", "-1"},
      {"--temp", "1e9"},
      {"--temp", "warm"},
      {"--top-k", "-3"},
      {"--top-k", "1.5"},
      {"--top-p", "0"},
      {"--top-p", "1.1"},
      {"--top-p", "inf"},
      {"--min-p", "-0.1"},
      {"--min-p", "2"},
      {"--typical", "0"},
      {"--repeat-penalty", "0"},
      {"--repeat-penalty", "nan"},
      {"--presence-penalty", "1e30"},
      {"--frequency-penalty", "nan"},
      {"--repeat-last-n", "-2"},
      {"--seed", "-5"},
      {"--seed", "x"},
      {"--logit-bias", "5"},
      {"--logit-bias", "-1:2"},
      {"--logit-bias", "1:nan"},
      {"--logprobs", "-2"},
      {"--logprobs", "100000"},
      {"-n", "-2"},
      {"-n", "99999999999999999999"},
      {"--stop", ""},
      {"-t", "-1"},
      {"-t", "100000"},
      {"-c", "-1"},
      {"--cache-type", "q3"},
      {"--cache-type-k", "q4_0"},
      {"--cache-type-v", "int"},
      {"--no-such-flag"},
      {"stray"},
  };
  for (std::vector<std::string> arguments : cases) {
    const std::string shown = arguments[0] + " " + (arguments.size() > 1 ? arguments[1] : "");
    arguments.insert(arguments.begin(), {"-p", "x"});
    const auto result = generate(arguments);
    EXPECT_EQ(result.exit_code, 2) << shown << ": " << result.errors;
    EXPECT_THAT(result.errors, StartsWith("error: ")) << shown;
    EXPECT_EQ(result.output, "") << shown;
  }
}

TEST(GenerateUsage, PerplexityAndBenchCheckTheirNumbersToo) {
  EXPECT_EQ(testing::run_tessera({"perplexity"}).exit_code, 2);
  EXPECT_EQ(testing::run_tessera({"perplexity", "-f", "/no/such/file"}).exit_code, 1);
  EXPECT_EQ(testing::run_tessera({"perplexity", "-f", "/dev/null", "--stride", "-1"}).exit_code, 2);
  EXPECT_EQ(testing::run_tessera({"bench", "--prefill", "x"}).exit_code, 2);
}

}  // namespace
}  // namespace tessera
