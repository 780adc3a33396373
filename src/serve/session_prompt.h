// The prompt that a stored conversation becomes: through the model's template, or the text as it is. For .cpp
// files of this room only.
#pragma once
#include <string>
#include <vector>

#include "base/token_id.h"
#include "engine/model_loader.h"
#include "serve/session_parameters.h"
#include "store/session_types.h"

namespace tessera::serve {

// Chat: `parameters.system` stands for a system message at the beginning of `path`. `continues`: the last
// message, an answer, is not closed, so that the model goes on with it. ApiError 400: the model has no
// template, or its template refuses the messages.
std::vector<TokenId> chat_prompt(const engine::LoadedModel& loaded, const std::vector<store::Message>& path,
                                 const SessionParameters& parameters, bool continues);

// Story: all contents of `path` joined. ApiError 400: no text, and the model has no token to begin with.
std::vector<TokenId> story_prompt(const engine::LoadedModel& loaded, const std::vector<store::Message>& path);

}  // namespace tessera::serve
