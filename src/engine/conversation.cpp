#include "engine/conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"

namespace tessera::engine {
namespace {

using nlohmann::json;

constexpr std::size_t kMostSavedBytes = std::size_t{256} << 20;

std::string special_text(const text::Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

bool is_control(const text::Tokenizer& tokenizer, TokenId token) {
  return tokenizer.token_kind(token) == text::TokenKind::control;
}

json as_json(const std::vector<Message>& messages) {
  json list = json::array();
  for (const Message& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return list;
}

std::string to_text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// Of the last one.
void check_role(std::span<const Message> messages, const std::string& where) {
  const std::string& role = messages.back().role;
  if (role == "user" || role == "assistant" || (role == "system" && messages.size() == 1)) return;
  fail(ErrorKind::bad_input,
       "{}message {}: expected role user, assistant, or system at the beginning, found '{}'", where,
       messages.size() - 1, printable(role));
}

std::vector<Message> messages_from(const json& saved, const std::string& path) {
  const auto list = saved.is_object() ? saved.find("messages") : saved.end();
  if (list == saved.end() || !list->is_array()) {
    fail(ErrorKind::bad_input, "{}: expected a JSON object with a list 'messages'", path);
  }
  std::vector<Message> messages;
  for (const json& item : *list) {
    const auto text = [&](const char* key) {
      if (!item.is_object() || !item.contains(key) || !item[key].is_string()) {
        fail(ErrorKind::bad_input, "{}: message {}: expected a text '{}'", path, messages.size(), key);
      }
      return item[key].get<std::string>();
    };
    messages.push_back({text("role"), text("content")});
    check_role(messages, path + ": ");
  }
  return messages;
}

}  // namespace

Conversation::Conversation(Generator& generator)
    : generator_(&generator), sequence_(generator.new_sequence()) {
  if (!generator.loaded().chat_template) {
    fail(ErrorKind::unsupported,
         "{}: brings no chat template, so it cannot chat; 'tessera generate' continues text",
         generator.loaded().name);
  }
}

std::optional<std::string> Conversation::system() const {
  if (!messages_.empty() && messages_.front().role == "system") return messages_.front().content;
  return std::nullopt;
}

void Conversation::set_system(std::string text) {
  const bool present = system().has_value();
  if (text.empty()) {
    if (present) messages_.erase(messages_.begin());
  } else if (present) {
    messages_.front().content = std::move(text);
  } else {
    messages_.insert(messages_.begin(), {"system", std::move(text)});
  }
  anchors_.clear();  // they count messages, and their texts begin differently now
}

void Conversation::add_user(std::string text) { messages_.push_back({"user", std::move(text)}); }

text::RenderedPrompt Conversation::render(bool add_generation_prompt) const {
  const LoadedModel& loaded = generator_->loaded();
  const text::Tokenizer& tokenizer = *loaded.tokenizer;
  const json context = {{"messages", as_json(messages_)},
                        {"add_generation_prompt", add_generation_prompt},
                        {"bos_token", special_text(tokenizer, tokenizer.bos_token())},
                        {"eos_token", special_text(tokenizer, tokenizer.eos_token())}};
  return loaded.chat_template->render(to_text(context));
}

// What the model made is not always what the tokenizer would make of the same text. So the tokens of earlier
// turns are taken over as they are wherever the rendered text still begins with theirs and goes on with a
// control token, across which no tokenizer merges; only the rest is encoded.
Conversation::Prompt Conversation::make_prompt() const {
  const text::RenderedPrompt rendered = render(true);
  for (auto anchor = anchors_.rbegin(); anchor != anchors_.rend(); ++anchor) {
    const std::string_view known = std::string_view(sequence_text_).substr(0, anchor->text_bytes);
    if (!anchor->exact || !rendered.text.starts_with(known)) continue;
    const std::vector<TokenId> rest = encode(rendered, known.size());
    if (!rest.empty() && !is_control(generator_->tokenizer(), rest.front())) continue;
    const auto begin = sequence_.tokens().begin();
    Prompt prompt{rendered.text, {begin, begin + static_cast<std::ptrdiff_t>(anchor->tokens)}};
    prompt.tokens.insert(prompt.tokens.end(), rest.begin(), rest.end());
    return prompt;
  }
  return {rendered.text, encode(rendered, 0)};
}

std::vector<TokenId> Conversation::encode(const text::RenderedPrompt& rendered, std::size_t from) const {
  std::vector<text::TextRange> literal;
  for (const text::TextRange& range : rendered.literal_ranges) {
    if (range.end > from) literal.push_back({std::max(range.begin, from) - from, range.end - from});
  }
  const text::EncodeOptions options{
      .add_special_tokens = false, .parse_special = true, .literal_ranges = literal};
  return generator_->tokenizer().encode(std::string_view(rendered.text).substr(from), options);
}

GenerationResult Conversation::answer(const AnswerOptions& options, const PieceSink& on_piece,
                                      const CancelFlag* cancel, const ProgressSink& on_progress) {
  if (messages_.empty() || messages_.back().role != "user") {
    fail(ErrorKind::bad_usage, "conversation: expected a user message to answer");
  }
  const Prompt prompt = make_prompt();
  std::vector<Anchor> anchors = agreeing_anchors(prompt);
  const std::vector<TokenId> before = sequence_.tokens();
  const Request request{.prompt = prompt.tokens,
                        .sampling = options.sampling,
                        .max_new_tokens = options.max_new_tokens,
                        .stop = options.stop,
                        .speculative = options.speculative};
  GenerationResult result;
  try {
    result = generator_->generate(sequence_, request, on_piece, cancel, on_progress);
  } catch (...) {
    if (sequence_.tokens() != before) anchors_.clear();
    throw;
  }
  totals_.prompt_tokens_computed += result.timings.prefill_tokens;
  totals_.prompt_tokens_reused += result.usage.cached_tokens;
  totals_.tokens_generated += result.usage.completion_tokens;
  // The token that ended the answer comes again from the template.
  if (result.finish_reason == FinishReason::end_of_generation) sequence_.truncate(sequence_.length() - 1);
  anchors_ = std::move(anchors);
  sequence_text_ = prompt.text;
  keep_answer(prompt, result);
  return result;
}

// Those that still hold for the new prompt: the same text and the same tokens up to there.
std::vector<Conversation::Anchor> Conversation::agreeing_anchors(const Prompt& prompt) const {
  const auto text_end = std::ranges::mismatch(prompt.text, sequence_text_).in1;
  const auto tokens_end = std::ranges::mismatch(prompt.tokens, sequence_.tokens()).in1;
  const auto text_bytes = static_cast<std::size_t>(text_end - prompt.text.begin());
  const std::int64_t tokens = tokens_end - prompt.tokens.begin();
  std::vector<Anchor> agreeing = anchors_;
  std::erase_if(agreeing, [&](const Anchor& anchor) {
    return anchor.text_bytes > text_bytes || anchor.tokens > tokens || anchor.messages >= messages_.size();
  });
  return agreeing;
}

void Conversation::keep_answer(const Prompt& prompt, const GenerationResult& result) {
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.tokens.size());
  anchors_.push_back({messages_.size(), sequence_text_.size(), prompt_tokens});
  if (result.finish_reason == FinishReason::cancelled && result.text.empty()) return;
  messages_.push_back({"assistant", result.text});
  sequence_text_ += result.text;
  anchors_.push_back({messages_.size(), sequence_text_.size(),
                      prompt_tokens + static_cast<std::int64_t>(result.tokens.size()),
                      spells_its_text(result)});
}

// False when the tokens of the answer hold more than its text: a stop string, control tokens, broken
// characters.
bool Conversation::spells_its_text(const GenerationResult& result) const {
  std::string spelled;
  for (const SampledToken& token : result.tokens) {
    if (is_control(generator_->tokenizer(), token.token)) return false;
    spelled += generator_->tokenizer().token_bytes(token.token);
  }
  return spelled == result.text;
}

void Conversation::truncate_to(std::size_t message_count) {
  messages_.resize(std::min(message_count, messages_.size()));
  while (!anchors_.empty() && anchors_.back().messages > messages_.size()) anchors_.pop_back();
  if (anchors_.empty()) {
    truncate_to_rendered();
  } else {
    sequence_.truncate(std::min(anchors_.back().tokens, sequence_.length()));
  }
}

// Without an anchor (only the system message is left, or the template changes earlier turns) the common
// prefix with the rendered messages tells what stays.
void Conversation::truncate_to_rendered() {
  std::int64_t keep = 0;
  try {
    if (!messages_.empty()) {
      const std::vector<TokenId> tokens = encode(render(false), 0);
      keep = std::ranges::mismatch(tokens, sequence_.tokens()).in1 - tokens.begin();
    }
  } catch (const Error&) {  // a template may refuse messages without a user's; then nothing is kept
    keep = 0;
  }
  sequence_.truncate(keep);
}

std::optional<std::string> Conversation::undo() {
  const auto last =
      std::find_if(messages_.rbegin(), messages_.rend(), [](const Message& m) { return m.role == "user"; });
  if (last == messages_.rend()) return std::nullopt;
  std::string text = std::move(last->content);
  truncate_to(static_cast<std::size_t>(messages_.rend() - last) - 1);
  return text;
}

bool Conversation::drop_answer() {
  if (messages_.empty() || messages_.back().role != "assistant") return false;
  truncate_to(messages_.size() - 1);
  return true;
}

bool Conversation::edit(std::string text) {
  if (!undo()) return false;
  add_user(std::move(text));
  return true;
}

void Conversation::clear() { truncate_to(system() ? 1 : 0); }

void Conversation::save(const std::string& path) const {
  const json saved = {{"model", generator_->loaded().name}, {"messages", as_json(messages_)}};
  write_file_atomically(path, saved.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

void Conversation::load(const std::string& path) {
  set_messages(messages_from(json::parse(read_file(path, kMostSavedBytes), nullptr, false), path));
}

void Conversation::set_messages(std::vector<Message> messages) {
  for (std::size_t i = 1; i <= messages.size(); ++i) check_role(std::span(messages).first(i), "");
  messages_ = std::move(messages);
  anchors_.clear();
  truncate_to_rendered();
}

std::int64_t Conversation::prompt_tokens() const {
  return static_cast<std::int64_t>(make_prompt().tokens.size());
}

ConversationStats Conversation::stats() const {
  ConversationStats stats = totals_;
  stats.context_used = sequence_.length();
  stats.context_size = generator_->context_size();
  stats.cached_tokens = sequence_.cached();
  return stats;
}

}  // namespace tessera::engine
