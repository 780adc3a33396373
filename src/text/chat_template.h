// A model's chat template (Jinja) rendered to a prompt, remembering which characters came from the template
// and which from the conversation, so that control tokens can come only from the template.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

struct TemplateBudget {
  std::size_t steps = 10'000'000;  // interpreted operations
  std::size_t output_bytes = 64 << 20;
  std::size_t depth = 200;        // nesting of blocks, macros, expressions
  std::size_t range = 1'000'000;  // longest range()
};

struct RenderedPrompt {
  std::string text;
  std::vector<TextRange> literal_ranges;  // the characters that came from the context's strings
};

class ChatTemplate {
 public:
  // Parses Jinja source. Error bad_input with `name`, line and what was expected.
  explicit ChatTemplate(std::string_view source, std::string name = "chat template");
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `context_json`: an object with the template's variables (messages, tools, add_generation_prompt,
  // bos_token, ...). Output equals Jinja2's with trim_blocks and lstrip_blocks, as Hugging Face sets it up.
  // Error bad_input: the template called raise_exception or misused a value; limit: a budget was reached.
  RenderedPrompt render(std::string_view context_json, const TemplateBudget& budget = {}) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace tessera::text
