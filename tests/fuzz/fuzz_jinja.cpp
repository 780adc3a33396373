// Any bytes as a chat template: an Error of one line, or a text whose literal ranges are sorted, apart and
// inside it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  constexpr std::string_view kContext =
      R"({"messages": [{"role": "user", "content": "Hi é"}, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}],
          "tools": [{"name": "f", "a": {"b": [1, 2.5, null, true]}}], "s": "Hello World", "n": 5, "f": 2.5, "l": [3, 1, 2],
          "d": {"b": 1, "a": "x"}, "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})";
  const text::TemplateBudget budget{
      .steps = 50'000, .output_bytes = 1 << 20, .memory_bytes = 8 << 20, .depth = 50, .range = 10'000};
  try {
    const text::ChatTemplate chat_template({reinterpret_cast<const char*>(data), size}, "fuzz.jinja");
    const text::RenderedPrompt prompt = chat_template.render(kContext, budget, std::tm{});
    std::size_t last = 0;
    for (const text::TextRange& range : prompt.literal_ranges) {
      if (range.begin >= range.end || range.begin < last || range.end > prompt.text.size()) std::abort();
      last = range.end;
    }
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("fuzz.jinja") == line.npos || line.find('\n') != line.npos) std::abort();
    if (error.kind() == ErrorKind::internal) std::abort();
  }
  return 0;
}
