// A rendered chat prompt to token ids: control tokens only where the template itself wrote them.
#pragma once
#include <vector>

#include "base/token_id.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera::text {

// As Hugging Face's apply_chat_template(tokenize=True): nothing is added to what the template wrote, BOS
// included.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, const RenderedPrompt& prompt);

}  // namespace tessera::text
