#include "serve/session_prompt.h"

#include "serve/chat_prompt.h"
#include "text/chat_prompt.h"

namespace tessera::serve {

std::vector<TokenId> chat_prompt(const engine::LoadedModel& loaded, const std::vector<store::Message>& path,
                                 const SessionParameters& parameters, bool continues) {
  Json messages = Json::array();
  const bool has_own = parameters.system.has_value();
  if (has_own && !parameters.system->empty()) {
    messages.push_back({{"role", "system"}, {"content", *parameters.system}});
  }
  const std::size_t begin = has_own && !path.empty() && path.front().role == "system" ? 1 : 0;
  const std::size_t end = path.size() - (continues ? 1 : 0);
  for (std::size_t i = begin; i < end; ++i) {
    messages.push_back({{"role", path[i].role}, {"content", path[i].content}});
  }
  text::RenderedPrompt prompt = render_chat(loaded, messages, Json::object());
  if (continues) {
    prompt.literal_ranges.push_back({prompt.text.size(), prompt.text.size() + path.back().content.size()});
    prompt.text += path.back().content;
  }
  return text::encode_prompt(*loaded.tokenizer, prompt);
}

std::vector<TokenId> story_prompt(const engine::LoadedModel& loaded,
                                  const std::vector<store::Message>& path) {
  std::string text;
  for (const store::Message& message : path) text += message.content;
  std::vector<TokenId> tokens = loaded.tokenizer->encode(text);
  if (!tokens.empty()) return tokens;
  const auto begin =
      loaded.tokenizer->bos_token() ? loaded.tokenizer->bos_token() : loaded.tokenizer->eos_token();
  if (!begin) refuse_field("content", "is empty, and this model has no token to begin a text with");
  return {*begin};
}

}  // namespace tessera::serve
