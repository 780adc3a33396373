// A request's messages as the model's chat template wants them, and as token ids.
#pragma once
#include <string>
#include <vector>

#include "base/token_id.h"
#include "engine/model_loader.h"
#include "serve/json_fields.h"
#include "text/chat_template.h"

namespace tessera::serve {

// The member "messages": roles system, developer (which is system), user, assistant and tool; content as a
// string or as text parts, which are put together. ApiError 400 naming the message and its field.
Json read_messages(JsonFields& fields);
// The member "chat_template_kwargs": switches that the template knows (booleans and numbers), such as
// enable_thinking.
Json read_template_switches(JsonFields& fields);

// ApiError 400: the model has no chat template, or its template refuses these messages.
text::RenderedPrompt render_chat(const engine::LoadedModel& loaded, const Json& messages,
                                 const Json& switches, bool add_generation_prompt = true);

}  // namespace tessera::serve
