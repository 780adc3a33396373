// tessera template: exactly the rendered text, and one line where something is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;

class TemplateCommandTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  testing::CommandResult run(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), "template");
    return testing::run_tessera(arguments, {.input = input, .environment = {}, .timeout_seconds = 60});
  }

  testing::TemporaryFolder folder_;
};

TEST_F(TemplateCommandTest, PrintsExactlyTheRenderedText) {
  const std::string source =
      write("t.jinja", "{% for m in messages %}\n<{{ m.role }}>{{ m.content }}\n{% endfor %}\n");
  const std::string messages =
      write("m.json", R"({"messages": [{"role": "user", "content": "é\n"}, {"role": "b", "content": ""}]})");
  const auto result = run({"--file", source, "--messages", messages});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, "<user>é\n\n<b>\n");
  EXPECT_EQ(result.errors, "");
}

TEST_F(TemplateCommandTest, ReadsMessagesFromStandardInputAndTheClockFromAFlag) {
  const std::string source = write("t.jinja", "{{ strftime_now('%A %Y-%m-%d %j') }} {{ x }}");
  const auto result =
      run({"--file", source, "--messages", "-", "--now", "2025-01-31T12:00:00"}, R"({"x": 1.0})");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, "Friday 2025-01-31 031 1.0");
}

TEST_F(TemplateCommandTest, RendersTheModelsOwnTemplate) {
  const auto model = testing::default_model();
  if (!model) GTEST_SKIP() << "the default model is not here";
  const auto result =
      run({"-m", model->string(), "--messages", "-"},
          R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],)"
          R"( "add_generation_prompt": true})");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(
      result.output,
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(TemplateCommandTest, ErrorsAreOneLineAndExitWithOne) {
  const std::string messages = write("m.json", "{}");
  const auto broken = run({"--file", write("b.jinja", "a\n{% if %}"), "--messages", messages});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_EQ(broken.output, "");
  EXPECT_THAT(broken.errors, HasSubstr("b.jinja:2: expected an expression, found '%}'"));
  const auto raised =
      run({"--file", write("r.jinja", "x{{ raise_exception('no') }}"), "--messages", messages});
  EXPECT_EQ(raised.exit_code, 1);
  EXPECT_EQ(raised.output, "");
  EXPECT_THAT(raised.errors, HasSubstr("r.jinja:1: no\n"));
  EXPECT_EQ(run({"--file", write("t.jinja", "x"), "--messages", write("l.json", "[]")}).exit_code, 1);
  EXPECT_EQ(
      run({"--file", write("t.jinja", "x"), "--messages", (folder_.path() / "none").string()}).exit_code, 1);
}

TEST_F(TemplateCommandTest, BadUsageExitsWithTwo) {
  const std::string source = write("t.jinja", "x");
  EXPECT_EQ(run({"--file", source}).exit_code, 2);
  EXPECT_EQ(run({"--file", source, "-m", "x", "--messages", "-"}).exit_code, 2);
  EXPECT_EQ(run({"--file", source, "--messages", "-", "--now", "yesterday"}, "{}").exit_code, 2);
  EXPECT_THAT(run({"--help"}).output, HasSubstr("--messages"));
}

}  // namespace
}  // namespace tessera
