#include "train/chat_data.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "text/chat_prompt.h"

namespace tessera::train {
namespace {

using nlohmann::json;
using text::RenderedPrompt;
using text::TextRange;

constexpr std::size_t kMostLineBytes = std::size_t{64} << 20U;
constexpr std::string_view kTurnBegin = "<|im_start|>";
constexpr std::string_view kTurnEnd = "<|im_end|>";

struct RoleName {
  std::string_view name;
  std::string_view role;
};
constexpr std::array kRoles = std::to_array<RoleName>({{"system", "system"},
                                                       {"developer", "system"},
                                                       {"user", "user"},
                                                       {"human", "user"},
                                                       {"assistant", "assistant"},
                                                       {"gpt", "assistant"},
                                                       {"chatgpt", "assistant"},
                                                       {"model", "assistant"},
                                                       {"tool", "tool"},
                                                       {"function", "tool"},
                                                       {"observation", "tool"}});

std::string role_of(std::string_view name, const std::string& where) {
  const auto found = std::ranges::find(kRoles, name, &RoleName::name);
  if (found == kRoles.end()) {
    fail(ErrorKind::bad_input, "{}: expected a role such as system, user or assistant, found '{}'", where,
         printable(name));
  }
  return std::string(found->role);
}

std::string string_in(const json& object, const char* key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_string()) {
    fail(ErrorKind::bad_input, "{}: expected a string '{}' in each message", where, key);
  }
  return found->get<std::string>();
}

// A string, or OpenAI's list of parts of which only texts are known here.
std::string content_of(const json& message, const std::string& where) {
  const auto content = message.is_object() ? message.find("content") : message.end();
  if (!message.is_object() || content == message.end() || !content->is_array()) {
    return string_in(message, "content", where);
  }
  std::string text;
  for (const json& part : *content) text += string_in(part, "text", where);
  return text;
}

RenderedPrompt render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                      const text::ChatTemplate& chat_template, const text::Tokenizer& tokenizer) {
  json list = json::array();
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  const auto spelled = [&](std::optional<TokenId> id) {
    return id ? std::string(tokenizer.token_text(*id)) : std::string();
  };
  const json context = {{"messages", list},
                        {"add_generation_prompt", add_generation_prompt},
                        {"bos_token", spelled(tokenizer.bos_token())},
                        {"eos_token", spelled(tokenizer.eos_token())}};
  return chat_template.render(context.dump(-1, ' ', false, json::error_handler_t::replace));
}

// How many tokens of the whole text come before byte `end`: a token across it belongs to what follows.
std::size_t tokens_before(const RenderedPrompt& whole, std::size_t end, const std::vector<TokenId>& ids,
                          const text::Tokenizer& tokenizer) {
  if (end >= whole.text.size()) return ids.size();
  RenderedPrompt beginning{whole.text.substr(0, end), {}};
  for (const TextRange& range : whole.literal_ranges) {
    if (range.begin < end) beginning.literal_ranges.push_back({range.begin, std::min(range.end, end)});
  }
  const std::vector<TokenId> prefix = text::encode_prompt(tokenizer, beginning);
  return static_cast<std::size_t>(std::ranges::mismatch(ids, prefix).in1 - ids.begin());
}

ChatExample encode_example(const RenderedPrompt& prompt, std::span<const TextRange> answers,
                           const text::Tokenizer& tokenizer) {
  ChatExample example;
  example.ids = text::encode_prompt(tokenizer, prompt);
  example.counts_in_loss.assign(example.ids.size(), 0);
  const auto ends = tokenizer.end_of_generation_tokens();
  const auto ends_turn = [&](TokenId id) { return std::ranges::find(ends, id) != ends.end(); };
  for (const TextRange& answer : answers) {
    const std::size_t begin = tokens_before(prompt, answer.begin, example.ids, tokenizer);
    std::size_t end = tokens_before(prompt, answer.end, example.ids, tokenizer);
    // What the template writes behind the token that ends the turn (a newline) is never generated.
    for (std::size_t i = end; i > begin; --i) {
      if (!ends_turn(example.ids[i - 1])) continue;
      end = i;
      break;
    }
    for (std::size_t i = begin; i < end; ++i) example.counts_in_loss[i] = 1;
  }
  return example;
}

struct RenderedAnswer {
  RenderedPrompt until;  // the conversation up to and with the answer
  TextRange range;       // the answer's bytes in it
};

RenderedAnswer render_answer(std::span<const ChatMessage> messages, std::size_t index,
                             const text::ChatTemplate& chat_template, const text::Tokenizer& tokenizer) {
  const RenderedPrompt question = render(messages.first(index), true, chat_template, tokenizer);
  RenderedAnswer answer{render(messages.first(index + 1), false, chat_template, tokenizer), {}};
  const auto common = std::ranges::mismatch(answer.until.text, question.text);
  answer.range = {static_cast<std::size_t>(common.in1 - answer.until.text.begin()), answer.until.text.size()};
  return answer;
}

}  // namespace

const char* const kChatMlTemplate =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor "
    "%}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

std::vector<ChatMessage> read_json_conversation(std::string_view line, const std::string& where) {
  if (line.size() > kMostLineBytes) {
    fail(ErrorKind::limit, "{}: expected a line of at most {} bytes, found {}", where, kMostLineBytes,
         line.size());
  }
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", where);
  const bool is_openai = object.contains("messages");
  const auto list = object.find(is_openai ? "messages" : "conversations");
  if (list == object.end() || !list->is_array()) {
    fail(ErrorKind::bad_input, "{}: expected an array 'messages' or 'conversations'", where);
  }
  std::vector<ChatMessage> messages;
  for (const json& item : *list) {
    const std::string at = fmt::format("{}: message {}", where, messages.size());
    messages.push_back(
        is_openai ? ChatMessage{role_of(string_in(item, "role", at), at), content_of(item, at)}
                  : ChatMessage{role_of(string_in(item, "from", at), at), string_in(item, "value", at)});
  }
  return messages;
}

std::vector<ChatMessage> read_chatml_conversation(std::string_view text, const std::string& where) {
  std::vector<ChatMessage> messages;
  constexpr std::string_view kBlanks = " \t\r\n";
  for (std::size_t at = text.find_first_not_of(kBlanks); at != text.npos;) {
    const std::string place = fmt::format("{}: message {}", where, messages.size());
    const std::size_t name = at + kTurnBegin.size();
    const std::size_t newline = text.find('\n', at);
    const std::size_t end = text.find(kTurnEnd, at);
    if (!text.substr(at).starts_with(kTurnBegin) || newline == text.npos || end == text.npos ||
        end < newline) {
      fail(ErrorKind::bad_input, "{}: expected {}role, a new line, text and {}, found '{}'", place,
           kTurnBegin, kTurnEnd, printable(text.substr(at, 40)));
    }
    messages.push_back({role_of(text.substr(name, newline - name), place),
                        std::string(text.substr(newline + 1, end - newline - 1))});
    at = text.find_first_not_of(kBlanks, end + kTurnEnd.size());
  }
  return messages;
}

std::vector<ChatExample> encode_conversation(const std::vector<ChatMessage>& messages,
                                             const text::ChatTemplate& chat_template,
                                             const text::Tokenizer& tokenizer, const std::string& where) {
  const RenderedPrompt whole = render(messages, false, chat_template, tokenizer);
  std::vector<RenderedAnswer> answers;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "assistant")
      answers.push_back(render_answer(messages, i, chat_template, tokenizer));
  }
  if (answers.empty()) {
    fail(ErrorKind::bad_input, "{}: expected at least one answer (role assistant), found {} messages without",
         where, messages.size());
  }
  std::vector<TextRange> ranges;
  for (const RenderedAnswer& answer : answers) {
    if (!whole.text.starts_with(answer.until.text)) break;
    ranges.push_back(answer.range);
  }
  if (ranges.size() == answers.size()) return {encode_example(whole, ranges, tokenizer)};
  std::vector<ChatExample> examples;
  for (const RenderedAnswer& answer : answers) {
    examples.push_back(encode_example(answer.until, std::span(&answer.range, 1), tokenizer));
  }
  return examples;
}

}  // namespace tessera::train
