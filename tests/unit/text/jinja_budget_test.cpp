// Hostile templates end in an Error, whatever they try.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "text/chat_template.h"

namespace tessera::text {
namespace {

using ::testing::HasSubstr;

std::string repeated(std::string_view part, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += part;
  return text;
}

// The kind of Error, or nullopt when it renders.
std::optional<ErrorKind> outcome(const std::string& source, const TemplateBudget& budget = {}) {
  try {
    ChatTemplate(source, "hostile").render("{}", budget);
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("hostile"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
    return error.kind();
  }
}

class HostileTemplateTest : public ::testing::TestWithParam<const char*> {};

TEST_P(HostileTemplateTest, ReachesABudget) {
  EXPECT_EQ(outcome(GetParam(), {.steps = 1'000'000}), ErrorKind::limit) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(
    Budgets, HostileTemplateTest,
    ::testing::Values(
        // time
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(i=0) %}{% for a in range(99999) %}{% for b in range(99999) %}{% set n.i = n.i "
        "+ 1 %}"
        "{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% if 'x' * 1000000 == 'y' %}{% endif %}{% endfor %}",
        "{% set s = 'a' * 50000000 %}{% for a in range(99999) %}{% if s == s %}{% endif %}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% for a in range(99999) %}{% if s + 'b' in s %}{% endif %}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% for a in range(99999) %}{% set x = s.upper() %}{% endfor %}",
        "{% set s = 'a' * 9000000 %}{% for a in range(99999) %}{% set x = s|length %}{% set x = s.rfind('b') "
        "%}{% endfor %}",
        "{% set l = range(99999)|list %}{% for a in range(99999) %}{% set x = l|sort %}{% endfor %}",
        "{% set l = range(99999)|list %}{% for a in range(99999) %}{% set x = l|unique|list %}{% endfor %}",
        "{% set l = range(99999)|list %}{% for a in range(99999) %}{% set x = l == l %}{% endfor %}",
        // memory
        "{{ 'x' * 10 ** 12 }}", "{{ 'xy' * 9223372036854775807 }}", "{{ [1] * 10 ** 12 }}",
        "{{ (1, 2) * 9223372036854775807 }}",
        "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(l=[0]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
        "{% set n = namespace(l=[0]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l "
        "}}",
        "{{ 'x'.center(10 ** 12) }}", "{{ 'x'.zfill(10 ** 12) }}", "{{ '%1000000000d' % 1 }}",
        "{{ '%99999999999999999999d' % 1 }}", "{{ '{:1000000000}'.format(1) }}",
        "{{ '%.1000000000f' % 1.5 }}", "{{ '{:>99999999999999999999}'.format('x') }}",
        "{{ 'x'|indent(10 ** 12, true) }}", "{{ 'a\tb'.expandtabs(10 ** 12) }}",
        "{{ [1]|batch(10 ** 12, 0)|list }}", "{{ [1]|slice(10 ** 12)|list }}",
        "{{ ('a' * 99999).replace('', 'b' * 99999) }}", "{{ ('b' * 99999).join('a' * 99999) }}",
        "{{ 'x'|center(10 ** 12) }}", "{{ [1]|tojson(indent=10 ** 9) }}",
        // output
        "{% set s = 'a' * 1000000 %}{% for a in range(99999) %}{{ s }}{% endfor %}",
        // range and integers
        "{{ range(10 ** 12) }}", "{{ range(100001) }}",
        "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ 2 ** 64 }}",
        "{{ 9223372036854775807 + 1 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
        "{{ 9223372036854775807 * 2 }}", "{{ -(-9223372036854775807 - 1) }}", "{{ 10 ** 1000000000000 }}",
        // depth
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% macro m() %}{% call m() %}{% endcall %}{{ caller }}{% endmacro %}{{ m() }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = [n.l] %}{% endfor %}",
        "{% set n = namespace(l={}) %}{% for i in range(99999) %}{% set n.l = {1: n.l} %}{% endfor %}",
        "{% set n = namespace(l=[]) %}{% for i in range(99999) %}{% set n.l = n.l|map('string') %}{% endfor "
        "%}{{ n.l|list }}",
        "{% set n = namespace(j='') %}{% for i in range(99999) %}{% set n.j = joiner(n.j) %}{% endfor %}",
        "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
        "{% set n = namespace(p=none) %}{% for i in range(9999) %}{% set n.p = namespace(p=n.p) %}{% endfor "
        "%}{{ n }}"));

TEST(HostileSourceTest, NestingIsBounded) {
  constexpr std::size_t kDeep = 100'000;
  for (const auto& [open, close] : std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                                                    {"[", "]"},
                                                                                    {"{1:", "}"},
                                                                                    {"not ", ""},
                                                                                    {"-", ""},
                                                                                    {"x if x else ", "x"},
                                                                                    {"f(", ")"},
                                                                                    {"x[", "]"}}) {
    EXPECT_EQ(outcome("{{ " + repeated(open, kDeep) + "x" + repeated(close, kDeep) + " }}"), ErrorKind::limit)
        << open;
  }
  for (const std::string chain : {".x", "|upper", " + x", " * x", "()", "[0]", " and x", " or x", " ** x"}) {
    EXPECT_EQ(outcome("{{ x" + repeated(chain, kDeep / 2) + " }}"), ErrorKind::limit) << chain;
  }
  EXPECT_EQ(outcome(repeated("{% if x %}", kDeep)), ErrorKind::limit);
  EXPECT_EQ(outcome(repeated("{% for x in y %}", 50'000)), ErrorKind::limit);
  EXPECT_EQ(outcome("{% for " + repeated("(", kDeep) + "a" + repeated(")", kDeep) + " in x %}{% endfor %}"),
            ErrorKind::limit);
  EXPECT_EQ(outcome(std::string(2 << 20, 'x')), ErrorKind::limit);
}

// What Python manages must not be refused.
TEST(HostileSourceTest, OrdinaryNestingRenders) {
  EXPECT_EQ(outcome("{{ " + repeated("(", 40) + "1" + repeated(")", 40) + " }}"), std::nullopt);
  EXPECT_EQ(outcome("{{ 1" + repeated(" + 1", 150) + " }}"), std::nullopt);
  EXPECT_EQ(outcome("{{ 'a'" + repeated(" ~ 'b'", 5000) + " }}"), std::nullopt);
  EXPECT_EQ(outcome(repeated("{% if t %}", 50) + "x" + repeated("{% endif %}", 50)), std::nullopt);
  EXPECT_EQ(outcome("{% if x %}" + repeated("{% elif y %}", 5000) + "{% endif %}"), std::nullopt);
  EXPECT_EQ(outcome("{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(100) }}"),
            std::nullopt);
}

TEST(HostileSourceTest, ManyNamesAndBranchesAreAnalysedInTime) {
  std::string source;
  for (int i = 0; i < 20'000; ++i) source += "{% if a" + std::to_string(i) + " %}{% endif %}";
  EXPECT_EQ(outcome(source), std::nullopt);
}

TEST(HostileContextTest, BrokenOrDeepContextsAreErrors) {
  const ChatTemplate chat_template("{{ x }}", "hostile");
  for (const std::string& context :
       {std::string(), std::string("[]"), std::string("{"), std::string("{\"x\": 18446744073709551615}"),
        std::string("{\"x\": \"\xff\"}"), "{\"x\": " + repeated("[", 500) + repeated("]", 500) + "}",
        "{\"x\": " + repeated("[", 100'000)}) {
    EXPECT_THROW((void)chat_template.render(context), Error) << context.substr(0, 30);
  }
}

}  // namespace
}  // namespace tessera::text
