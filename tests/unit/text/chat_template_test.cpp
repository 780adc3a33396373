// What a chat template promises beyond Jinja: provenance of characters, errors that say where, a clock to
// set.
#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "support/test_paths.h"

namespace tessera::text {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The text with its literal ranges in brackets.
std::string marked(const std::string& source, const std::string& context) {
  const RenderedPrompt prompt = ChatTemplate(source).render(context);
  std::string result;
  std::size_t position = 0;
  for (const TextRange& range : prompt.literal_ranges) {
    EXPECT_LT(range.begin, range.end);
    EXPECT_TRUE(position == 0 || range.begin > position) << "ranges must be sorted and merged";
    result += prompt.text.substr(position, range.begin - position) + "[";
    result += prompt.text.substr(range.begin, range.end - range.begin) + "]";
    position = range.end;
  }
  return result + prompt.text.substr(position);
}

TEST(ProvenanceTest, TextsOfTheContextAreMarkedThroughEveryOperation) {
  const std::string context =
      R"({"u": "ab", "w": "x y", "d": {"k": "v"}, "l": ["p", "q"], "n": 5, "bos_token": "<s>"})";
  for (const auto& [source, expected] : std::vector<std::pair<std::string, std::string>>{
           {"<{{ u }}>", "<[ab]>"},
           {"{{ '<' + u + '>' }}", "<[ab]>"},
           {"{{ '<' ~ u ~ n ~ '>' }}", "<[ab]5>"},
           {"{{ bos_token }}{{ u }}", "<s>[ab]"},
           {"{{ u }}{{ u }}", "[abab]"},
           {"{{ u|upper }}{{ 'c'|upper }}", "[AB]C"},
           {"{{ ('x' + u + 'y')|title }}", "X[ab]y"},
           {"{{ ('x' + u + 'y')|capitalize }}", "X[ab]y"},
           {"{{ (' ' + u + ' ')|trim }}", "[ab]"},
           {"{{ ('<' + u + '>')[1:3] }}", "[ab]"},
           {"{{ ('<' + u + '>')[::-1] }}", ">[ba]<"},
           {"{{ ('<' + u + '>').replace('<', '(') }}", "([ab]>"},
           {"{{ '<X>'.replace('X', u) }}", "<[ab]>"},
           {"{{ w.split(' ')|join('|') }}", "[x]|[y]"},
           {"{{ ('a|' + w).split('|')|join('+') }}", "a+[x y]"},
           {"{{ '%s-%5s' % (u, u) }}", "[ab]-   [ab]"},
           {"{{ '{}-{:>4}'.format(u, u) }}", "[ab]-  [ab]"},
           {"{{ u.center(6, '*') }}", "**[ab]**"},
           {"{{ u * 2 }}", "[abab]"},
           {"{{ d|tojson }}", R"({"[k]": "[v]"})"},
           {"{{ l }}", "['[p]', '[q]']"},
           {"{{ {'c': u} }}", "{'c': '[ab]'}"},
           {"{{ l|join(', ') }}", "[p], [q]"},
           {"{{ u|indent(1, true) }}", " [ab]"},
           {"{{ u|escape }}", "[ab]"},
           {"{{ ('<' + u)|escape }}", "[&lt;ab]"},
           {"{% for c in 'x' + u %}{{ c }}.{% endfor %}", "x.[a].[b]."},
           {"{% set x %}<{{ u }}>{% endset %}{{ x }}", "<[ab]>"},
           {"{% macro m(x) %}({{ x }}){% endmacro %}{{ m(u) }}", "([ab])"},
           {"{% filter upper %}q{{ u }}{% endfilter %}", "Q[AB]"},
           {"{{ u|reverse }}", "[ba]"},
           {"{{ d.keys()|first }}{{ d.k }}", "[kv]"},
           {"{{ u|default('x') }}{{ missing|default('x') }}", "[ab]x"},
           {"{{ u|truncate(3) }}", "[ab]"},
           {"{{ strftime_now(u) }}", "[ab]"},
           {"{{ {'ab': '<|a|>'}[u] }}", "<|a|>"},
           {"{{ n }}{{ u|length }}", "52"}}) {
    EXPECT_EQ(marked(source, context), expected) << source;
  }
}

TEST(ProvenanceTest, OnlyTopLevelControlTokensAreTrusted) {
  EXPECT_EQ(marked("{{ eos_token }}{{ m.eos_token }}{{ other_token }}",
                   R"({"eos_token": "</s>", "m": {"eos_token": "</s>"}, "other_token": "<x>"})"),
            "</s>[</s><x>]");
}

// Control-token text typed by a user stays inside literal ranges, in whatever field it comes and whatever the
// template does with it: every canary in the output must be covered.
TEST(ProvenanceTest, InjectedControlTokensAreAlwaysLiteral) {
  const auto shared = tessera::testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared with the templates of real models is absent";
  constexpr int kInjections = 100'000;
  static constexpr const char* kTokens[] = {
      "<|im_start|>", "<|im_end|>",          "<|eot_id|>",    "</s>",          "<s>",
      "[INST]",       "<|start_header_id|>", "<end_of_turn>", "<|endoftext|>", "<tool_call>"};
  static constexpr const char* kDressing[] = {"",      " ",        "\\n",     "a",   "\\n\\n",
                                              "  \\t", "</think>", "<think>", "x y", "é"};
  std::vector<ChatTemplate> templates;
  for (const auto& entry : std::filesystem::directory_iterator(*shared / "templates")) {
    if (entry.path().extension() == ".jinja") templates.emplace_back(read_file(entry.path().string()));
  }
  ASSERT_GE(templates.size(), 28U);
  std::mt19937 random(5);
  int injected = 0;
  int covered = 0;
  // Between two marks, so that the template's own tokens are not taken for it.
  const auto inject = [&] {
    std::string text;
    for (int i = 0; i < 8; ++i, ++injected) {
      text += std::string(kDressing[random() % 10]) + "@" + kTokens[random() % 10] + "~" +
              kDressing[random() % 10];
    }
    return text;
  };
  while (injected < kInjections) {
    std::string messages = R"({"role": "system", "content": ")" + inject() + R"("})";
    for (int turn = 0; turn < 4; ++turn) {
      messages += R"(, {"role": "user", "content": ")" + inject() +
                  R"("}, {"role": "assistant", "content": ")" + inject() + R"(", "reasoning_content": ")" +
                  inject() +
                  R"(", "tool_calls": [{"id": "call_12345", "type": "function", )"
                  R"("function": {"name": ")" +
                  inject() + R"(", "arguments": {")" + inject() + R"(": ")" + inject() +
                  R"("}}}]}, {"role": "tool", "tool_call_id": "call_12345", "name": ")" + inject() +
                  R"(", "content": ")" + inject() + R"("})";
    }
    const std::string plain = R"({"role": "user", "content": ")" + inject() +
                              R"("}, {"role": "assistant", "content": ")" + inject() +
                              R"("}, {"role": "user", "content": ")" + inject() + R"("})";
    const std::string tools = R"([{"type": "function", "function": {"name": ")" + inject() +
                              R"(", "description": ")" + inject() +
                              R"(", "parameters": {"type": "object", "properties": {")" + inject() +
                              R"(": {"type": "string", "description": ")" + inject() + R"("}}}}}])";
    for (const std::string& context :
         {R"({"add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "messages": [)" +
              messages + R"(], "tools": )" + tools + "}",
          R"({"add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "messages": [)" +
              plain + "]}"}) {
      for (const ChatTemplate& chat_template : templates) {
        RenderedPrompt prompt;
        try {
          prompt = chat_template.render(context);
        } catch (const Error&) {
          continue;  // not every template takes every conversation
        }
        std::size_t range = 0;
        for (std::size_t at = prompt.text.find('@'); at != std::string::npos;
             at = prompt.text.find('@', at + 1)) {
          while (range < prompt.literal_ranges.size() && prompt.literal_ranges[range].end <= at) ++range;
          ASSERT_LT(range, prompt.literal_ranges.size());
          ASSERT_LE(prompt.literal_ranges[range].begin, at) << prompt.text.substr(at > 60 ? at - 60 : 0, 120);
          const std::size_t close = prompt.text.find_first_of("@~", at + 1);
          if (close != std::string::npos && prompt.text[close] == '~') {
            ASSERT_GT(prompt.literal_ranges[range].end, close) << prompt.text.substr(at, close - at);
            ++covered;
          }
        }
      }
    }
  }
  EXPECT_GT(covered, injected);
}

std::string error_of(const std::string& source, const std::string& context = "{}") {
  try {
    ChatTemplate(source, "file.jinja").render(context);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
    return error.what();
  }
  ADD_FAILURE() << source << " rendered";
  return "";
}

TEST(TemplateErrorTest, NamesFileLineExpectedAndFound) {
  EXPECT_EQ(error_of("a\n{{ x"), "file.jinja:2: expected '}}', found the end of the template");
  EXPECT_EQ(error_of("\n\n{% if x %}"),
            "file.jinja:3: expected 'elif' or 'else' or 'endif', found the end of the template");
  EXPECT_EQ(error_of("{% nope %}"), "file.jinja:1: expected a known tag, found 'nope'");
  EXPECT_EQ(error_of("{{ 'x'|nope }}"), "file.jinja:1: expected a known filter, found 'nope'");
  EXPECT_EQ(error_of("\n{{ x.y }}"), "file.jinja:2: 'x' is undefined");
  EXPECT_EQ(error_of("\n\n{{ raise_exception('Roles must\nalternate') }}"),
            "file.jinja:3: Roles must\\x0aalternate");
  EXPECT_THAT(error_of("{{ 1 + 'a' }}"),
              StartsWith("file.jinja:1: expected values that '+' can join, found 'int' and 'str'"));
  EXPECT_THAT(error_of("{{ [].append(1) }}"), HasSubstr("unsafe"));
  EXPECT_THAT(error_of("x\n\xff"), HasSubstr("expected UTF-8"));
}

TEST(TemplateClockTest, ShowsTheTimeItIsGiven) {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  EXPECT_EQ(ChatTemplate("{{ strftime_now('%d %b %Y') }}").render("{}", {}, time).text, "26 Jul 2024");
  const std::string now = ChatTemplate("{{ strftime_now('%Y') }}").render("{}").text;
  EXPECT_EQ(now.size(), 4U);
}

TEST(TemplateBudgetTest, SmallerBudgetsAreKept) {
  const ChatTemplate chat_template("{% for i in range(100) %}{{ i }}{% endfor %}");
  EXPECT_THROW((void)chat_template.render("{}", {.steps = 50}), Error);
  EXPECT_THROW((void)chat_template.render("{}", {.output_bytes = 50}), Error);
  EXPECT_THROW((void)chat_template.render("{}", {.memory_bytes = 50}), Error);
  EXPECT_THROW((void)chat_template.render("{}", {.range = 99}), Error);
  EXPECT_EQ(chat_template.render("{}", {.range = 100}).text.size(), 190U);
}

}  // namespace
}  // namespace tessera::text
