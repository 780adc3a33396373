// A model's chat template (Jinja) rendered to a prompt, remembering which characters came from the template
// and which from the conversation, so that control tokens can come only from the template.
#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

struct TemplateBudget {
  std::size_t steps = 10'000'000;  // interpreted operations
  std::size_t output_bytes = 64 << 20;
  std::size_t memory_bytes = 256 << 20;  // of the template's own values alive at once
  std::size_t depth = 200;               // macros and recursive loops within each other
  std::size_t range = 100'000;           // longest range(): as in Jinja's sandbox
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
  // Strings of the context are the user's, but for the top-level bos_token, eos_token and the like. `now`:
  // the local time for strftime_now; the clock's when absent. Error bad_input: the template called
  // raise_exception or misused a value; limit: a budget was reached. May be called from several threads at
  // once.
  RenderedPrompt render(std::string_view context_json, const TemplateBudget& budget = {},
                        std::optional<std::tm> now = std::nullopt) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace tessera::text
