#include "serve/token_api.h"

#include <vector>

#include "engine/generation.h"
#include "serve/chat_prompt.h"
#include "text/chat_prompt.h"

namespace tessera::serve {

Json tokenize(const Json& body, const ServedModel& served) {
  JsonFields fields(body, "");
  fields.require("content");
  const std::string content = *fields.string("content");
  const text::EncodeOptions options{.add_special_tokens = fields.boolean("add_special").value_or(false),
                                    .parse_special = fields.boolean("parse_special").value_or(false)};
  const bool with_pieces = fields.boolean("with_pieces").value_or(false);
  fields.finish();
  const text::Tokenizer& tokenizer = *served.loaded().tokenizer;
  Json tokens = Json::array();
  for (const TokenId id : tokenizer.encode(content, options)) {
    tokens.push_back(with_pieces ? Json{{"id", id}, {"piece", tokenizer.token_bytes(id)}} : Json(id));
  }
  const std::size_t count = tokens.size();
  return {{"tokens", std::move(tokens)}, {"count", count}};
}

Json detokenize(const Json& body, const ServedModel& served) {
  JsonFields fields(body, "");
  const Json& list = fields.require("tokens");
  const bool skip_special = fields.boolean("skip_special").value_or(false);
  fields.finish();
  if (!list.is_array()) refuse_field("tokens", "expected an array of token ids, found {}", shown(list));
  const auto vocabulary = static_cast<std::uint64_t>(served.loaded().tokenizer->vocabulary_size());
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_number_unsigned() || list[i].get<std::uint64_t>() >= vocabulary) {
      refuse_field(fmt::format("tokens[{}]", i), "expected a token id in [0, {}), found {}", vocabulary,
                   shown(list[i]));
    }
    tokens.push_back(list[i].get<TokenId>());
  }
  return {{"content", served.loaded().tokenizer->decode(tokens, skip_special)}};
}

Json apply_template(const Json& body, const ServedModel& served) {
  JsonFields fields(body, "");
  const Json messages = read_messages(fields);
  const Json switches = read_template_switches(fields);
  const bool add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  fields.finish();
  const text::RenderedPrompt prompt = render_chat(served.loaded(), messages, switches, add_generation_prompt);
  const std::size_t count = text::encode_prompt(*served.loaded().tokenizer, prompt).size();
  return {{"prompt", prompt.text}, {"count", count}};
}

}  // namespace tessera::serve
