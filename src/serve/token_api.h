// Text to token ids and back, and messages to the prompt that the model sees.
#pragma once
#include "serve/openai_api.h"

namespace tessera::serve {

// POST /tokenize {"content", "add_special", "parse_special", "with_pieces"} -> {"tokens", "count"}.
Json tokenize(const Json& body, const ServedModel& served);
// POST /detokenize {"tokens", "skip_special"} -> {"content"}.
Json detokenize(const Json& body, const ServedModel& served);
// POST /apply-template {"messages", "add_generation_prompt", "chat_template_kwargs"} -> {"prompt", "count"}.
Json apply_template(const Json& body, const ServedModel& served);

}  // namespace tessera::serve
