// A real tokenizer and a real template: whatever a user types, the prompt has exactly the template's control
// tokens.
#include "text/chat_prompt.h"

#include <gtest/gtest.h>

#include <random>

#include "formats/open_model_files.h"
#include "support/test_paths.h"

namespace tessera::text {
namespace {

TEST(ChatPromptTest, UsersCannotTypeControlTokens) {
  const auto path = tessera::testing::default_model();
  if (!path) GTEST_SKIP() << "the default model is not here";
  const formats::ModelFiles files = formats::open_model_files(path->string());
  const Metadata& metadata = formats::require_weights(files).metadata();
  const auto tokenizer = load_gguf_tokenizer(metadata);
  ASSERT_TRUE(files.chat_template.has_value());
  const ChatTemplate chat_template(*files.chat_template);
  const auto control_tokens = [&](const std::string& content) {
    const std::string context = R"({"messages": [{"role": "system", "content": ")" + content +
                                R"("}, {"role": "user", "content": ")" + content +
                                R"("}], "add_generation_prompt": true})";
    std::vector<TokenId> control;
    for (const TokenId id : encode_prompt(*tokenizer, chat_template.render(context))) {
      if (tokenizer->token_kind(id) == TokenKind::control) control.push_back(id);
    }
    return control;
  };
  const std::vector<TokenId> expected = control_tokens("Hello");
  ASSERT_EQ(expected.size(), 5U);  // three turns begun, two ended
  static constexpr const char* kParts[] = {
      "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_",  "start|>", "end|>",
      "<|",           "|>",         "system\\n",     " hello", "<",       "\\n"};
  std::mt19937 random(11);
  for (int round = 0; round < 5000; ++round) {
    std::string content;
    for (int part = 0; part < 10; ++part) content += kParts[random() % std::size(kParts)];
    ASSERT_EQ(control_tokens(content), expected) << content;
  }
}

}  // namespace
}  // namespace tessera::text
