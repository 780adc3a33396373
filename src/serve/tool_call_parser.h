// Finds the calls of tools in a model's text while it comes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::serve {

// How a model writes that it calls a tool.
enum class ToolCallSyntax {
  hermes,  // <tool_call>{"name": ..., "arguments": {...}}</tool_call>, again and again, after any text
  llama3,  // {"name": ..., "parameters": {...}} and nothing else
};

// A piece of the answer: text, or (a part of) a call.
struct AnswerDelta {
  std::string content = {};
  std::int64_t call = -1;      // which one this is about; -1: none
  std::string name = {};       // in a call's first delta
  std::string arguments = {};  // JSON, which goes on from delta to delta
};

struct ToolCallForm {
  ToolCallSyntax syntax = ToolCallSyntax::hermes;
  // Not empty: the answer is calls of these or has a form of its own, which may look like a call in places;
  // so only what begins with a call of one of these names is calls.
  std::vector<std::string> or_else_text = {};
};

class ToolCallParser {
 public:
  explicit ToolCallParser(ToolCallForm form) : syntax_(form.syntax), names_(std::move(form.or_else_text)) {}

  // What the text so far makes certain, in order. What turns out to be no call is content.
  std::vector<AnswerDelta> push(std::string_view text);
  // Nothing follows. A call that was cut short stays as far as it came.
  std::vector<AnswerDelta> finish();
  std::int64_t calls() const { return calls_; }

 private:
  enum class State { text, head, arguments, tail, whole };
  bool advance(std::vector<AnswerDelta>& deltas);
  bool begins_as_text() const;
  bool is_callable(const std::string& name) const;
  bool read_text(std::vector<AnswerDelta>& deltas);
  bool read_head(std::vector<AnswerDelta>& deltas);
  bool read_arguments(std::vector<AnswerDelta>& deltas);
  bool read_tail();
  bool read_whole(std::vector<AnswerDelta>& deltas);
  void add_content(std::vector<AnswerDelta>& deltas, std::string_view text);

  ToolCallSyntax syntax_;
  std::vector<std::string> names_;  // empty: any
  bool text_only_ = false;          // no call can come any more
  State state_ = State::text;
  std::string buffer_;       // not yet understood
  std::string held_blanks_;  // belong to the content only if more of it follows
  bool begun_ = false;       // something of the answer has been seen
  int depth_ = 0;            // of braces and brackets in the arguments
  bool in_string_ = false;
  bool escaped_ = false;
  std::int64_t calls_ = 0;
};

}  // namespace tessera::serve
