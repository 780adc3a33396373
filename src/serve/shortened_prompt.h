// "truncation": "auto": a conversation that has become too long goes on without its oldest turns, and the
// answer says without how many messages.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/token_id.h"
#include "serve/json_fields.h"

namespace tessera::serve {

struct ShortenedPrompt {
  std::vector<TokenId> tokens;
  std::int64_t dropped_messages = 0;
};

// The prompt of `messages`, in `encode`'s words, without as few of the oldest turns as make it `most_tokens`
// at most. A turn begins with a user's message; messages before the first of them (the system's) stay, and so
// does the last turn, even if it is too long by itself.
ShortenedPrompt shortened_prompt(const Json& messages, std::int64_t most_tokens,
                                 const std::function<std::vector<TokenId>(const Json&)>& encode);

}  // namespace tessera::serve
