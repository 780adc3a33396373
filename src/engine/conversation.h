// A chat of several turns on one key/value cache: a new turn computes only what is new, taking a turn back
// computes nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/generator.h"

namespace tessera::engine {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
  friend bool operator==(const Message&, const Message&) = default;
};

struct AnswerOptions {
  SamplingOptions sampling = {};
  std::int64_t max_new_tokens = -1;
  std::vector<std::string> stop = {};
  SpeculativeOptions speculative = {};
};

struct ConversationStats {
  std::int64_t context_used = 0;  // tokens of the sequence
  std::int64_t context_size = 0;
  std::int64_t cached_tokens = 0;           // of the sequence, with keys and values in the cache
  std::int64_t prompt_tokens_computed = 0;  // over all turns
  std::int64_t prompt_tokens_reused = 0;
  std::int64_t tokens_generated = 0;
};

class Conversation {
 public:
  // Error unsupported when the model brings no chat template. `generator` must outlive the conversation.
  explicit Conversation(Generator& generator);

  const std::vector<Message>& messages() const { return messages_; }  // the system message included
  std::optional<std::string> system() const;
  // Replaces, adds or (empty text) removes the system message; the answers stay, their cache is computed
  // anew.
  void set_system(std::string text);

  // The adapter that answers from now on; the conversation so far is computed anew under it.
  void set_lora(nn::LoraId lora) { sequence_.set_lora(lora); }
  nn::LoraId lora() const { return sequence_.lora(); }

  void add_user(std::string text);
  // Generates the answer to the last message, which must be the user's, and keeps it (also when cancelled, if
  // it has any text). Error limit with counts when the conversation does not fit: nothing is cut, messages
  // stay as they are.
  GenerationResult answer(const AnswerOptions& options, const PieceSink& on_piece = {},
                          const CancelFlag* cancel = nullptr, const ProgressSink& on_progress = {});

  // Takes back the last user message and all after it; returns its text, nullopt when there is none. The
  // cache is truncated, nothing is computed.
  std::optional<std::string> undo();
  // Takes back the last answer alone, so that answer() can be called again; false when the last message is
  // not one.
  bool drop_answer();
  // Replaces the last user message by `text` and drops what came after it; false when there is none.
  bool edit(std::string text);
  void clear();  // everything but the system message

  // Replaces all messages; what they share with the cached ones stays in the cache. Error bad_input: a role
  // other than user, assistant, or system at the beginning.
  void set_messages(std::vector<Message> messages);
  // {"messages": [{"role", "content"}, ...], "model": name}. save writes atomically; load replaces all
  // messages. Error io, bad_input (file, what was expected).
  void save(const std::string& path) const;
  void load(const std::string& path);

  // Tokens the conversation takes as it stands, with the header of the next answer.
  std::int64_t prompt_tokens() const;
  ConversationStats stats() const;

 private:
  struct Prompt {
    std::string text;
    std::vector<TokenId> tokens;
  };
  // A place where text and tokens of sequence_ meet: after so many messages, so many bytes are so many
  // tokens.
  struct Anchor {
    std::size_t messages = 0;
    std::size_t text_bytes = 0;
    std::int64_t tokens = 0;
    bool exact = true;  // the tokens spell exactly the text
  };
  text::RenderedPrompt render(bool add_generation_prompt) const;
  Prompt make_prompt() const;
  std::vector<TokenId> encode(const text::RenderedPrompt& rendered, std::size_t from) const;
  std::vector<Anchor> agreeing_anchors(const Prompt& prompt) const;
  void keep_answer(const Prompt& prompt, const GenerationResult& result);
  bool spells_its_text(const GenerationResult& result) const;
  void truncate_to(std::size_t message_count);
  void truncate_to_rendered();

  Generator* generator_;
  Sequence sequence_;
  std::vector<Message> messages_;
  std::string sequence_text_;  // what the tokens of sequence_ spell, control tokens included
  std::vector<Anchor> anchors_;
  ConversationStats totals_;
};

}  // namespace tessera::engine
