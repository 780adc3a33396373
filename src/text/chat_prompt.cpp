#include "text/chat_prompt.h"

namespace tessera::text {

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const RenderedPrompt& prompt) {
  EncodeOptions options;
  options.add_special_tokens = false;
  options.parse_special = true;
  options.literal_ranges = prompt.literal_ranges;
  return tokenizer.encode(prompt.text, options);
}

}  // namespace tessera::text
