// Conversations as training data: rendered with the model's own chat template, with the loss on the answers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/token_id.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera::train {

struct ChatMessage {
  std::string role;  // system, user, assistant, tool
  std::string content;
};

struct ChatExample {
  std::vector<TokenId> ids;
  std::vector<std::uint8_t> counts_in_loss;  // 1 where a token belongs to an answer
};

// The template of ChatML, for tokenizers that bring <|im_start|> and <|im_end|> but no template.
extern const char* const kChatMlTemplate;

// One line of JSONL: {"messages": [{"role", "content"}]} as OpenAI has it, or {"conversations": [{"from",
// "value"}]} as ShareGPT has it. Error bad_input beginning with `where`.
std::vector<ChatMessage> read_json_conversation(std::string_view line, const std::string& where);
// <|im_start|>role\ncontent<|im_end|>, again and again.
std::vector<ChatMessage> read_chatml_conversation(std::string_view text, const std::string& where);

// Renders and encodes a conversation. What a message holds never becomes a control token. An answer's loss
// covers what the model itself would have to write after the generation prompt, up to the token that ends its
// turn. Templates that change earlier turns when later ones follow (thoughts that are taken away) give an
// example for each answer, as the model would have seen it; all others one. Error bad_input without an
// answer.
std::vector<ChatExample> encode_conversation(const std::vector<ChatMessage>& messages,
                                             const text::ChatTemplate& chat_template,
                                             const text::Tokenizer& tokenizer, const std::string& where);

}  // namespace tessera::train
