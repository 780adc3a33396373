// Everything against Jinja2 itself: tools/make_golden_templates.py wrote down what it renders.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "support/test_paths.h"
#include "text/chat_template.h"

namespace tessera::text {
namespace {

// The script's clock: 2025-01-31 12:34:56, a Friday.
std::tm golden_clock() {
  std::tm now{};
  now.tm_year = 125;
  now.tm_mon = 0;
  now.tm_mday = 31;
  now.tm_hour = 12;
  now.tm_min = 34;
  now.tm_sec = 56;
  now.tm_wday = 5;
  now.tm_yday = 30;
  return now;
}

struct Outcome {
  std::optional<std::string> text;
  std::string error;
};

Outcome render(std::string_view source, std::string_view context) {
  try {
    return {ChatTemplate(source, "golden").render(context, {}, golden_clock()).text, ""};
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::internal) << error.what();
    return {std::nullopt, error.what()};
  }
}

// FNV-1a, 64 bits, as the script writes it.
std::string fnv1a(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325U;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return fmt::format("{:016x}", value);
}

std::string read_golden(const char* name) {
  return read_file((testing::golden_dir() / "templates" / name).string());
}

TEST(JinjaGoldenTest, SnippetsRenderAsInJinja2) {
  simdjson::dom::parser parser;
  const simdjson::padded_string json(read_golden("snippets.json"));
  const simdjson::dom::element golden = parser.parse(json);
  const std::string context = simdjson::minify(golden["context"]);
  std::size_t count = 0;
  for (const simdjson::dom::element snippet : simdjson::dom::array(golden["snippets"])) {
    const std::string_view source = snippet.at(0);
    std::optional<std::string> expected;
    if (std::string_view text; snippet.at(1).get(text) == simdjson::SUCCESS) expected = text;
    const Outcome outcome = render(source, context);
    EXPECT_EQ(outcome.text, expected) << "template: " << source << "\n   error: " << outcome.error;
    ++count;
  }
  EXPECT_GT(count, 1000U);
}

TEST(JinjaGoldenTest, RealTemplatesRenderAsInJinja2) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared with the templates of real models is absent";
  simdjson::dom::parser chat_parser;
  const simdjson::padded_string chat_json(read_golden("chats.json"));
  const simdjson::dom::element chats = chat_parser.parse(chat_json);
  simdjson::dom::parser parser;
  const simdjson::padded_string json(read_golden("expected.json"));
  const simdjson::dom::element golden = parser.parse(json);
  std::size_t templates = 0;
  for (const auto entry : simdjson::dom::object(golden["expected"])) {
    const auto path = *shared / "templates" / (std::string(entry.key) + ".jinja");
    ASSERT_TRUE(std::filesystem::exists(path)) << path;
    const std::string source = read_file(path.string());
    ++templates;
    for (const simdjson::dom::element chat : simdjson::dom::array(chats["chats"])) {
      const std::string_view name = chat["name"];
      const Outcome outcome = render(source, simdjson::minify(chat["context"]));
      const simdjson::dom::element expected = entry.value[name];
      std::string_view digest;
      const bool renders = expected["fnv1a"].get(digest) == simdjson::SUCCESS;
      EXPECT_EQ(outcome.text.has_value(), renders) << entry.key << " with " << name << ": " << outcome.error;
      if (!renders || !outcome.text) continue;
      EXPECT_EQ(std::int64_t(expected["bytes"]), static_cast<std::int64_t>(outcome.text->size()))
          << entry.key << " with " << name;
      EXPECT_EQ(fnv1a(*outcome.text), digest) << entry.key << " with " << name << " gave:\n" << *outcome.text;
    }
  }
  EXPECT_EQ(templates, 28U);
}

}  // namespace
}  // namespace tessera::text
