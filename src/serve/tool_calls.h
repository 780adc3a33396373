// Tools that a request offers to the model: read and checked, told to the model, and what its calls look
// like.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/model_loader.h"
#include "serve/json_fields.h"
#include "serve/tool_call_parser.h"

namespace tessera::serve {

enum class ToolUse { automatic, required };

struct OfferedTools {
  Json list = Json::array();               // as the request has it, for the template
  std::vector<std::string> callable = {};  // names that may be called: all, or the one that tool_choice names
  ToolUse use = ToolUse::automatic;
  bool several = true;  // calls in one answer
  ToolCallSyntax syntax = ToolCallSyntax::hermes;
  bool by_template = false;  // the model's own template tells it of tools; else a system message does
};

// The members "tools", "tool_choice" and "parallel_tool_calls". nullopt: none are offered, or tool_choice is
// "none". ApiError 400 naming the field.
std::optional<OfferedTools> read_tools(JsonFields& fields, const engine::LoadedModel& loaded);

// The messages that a template which knows no tools needs to be given: the tools in the system message, calls
// and their results as text. As they are when the template does it itself.
Json messages_with_tools(Json messages, const OfferedTools& tools);

// The grammar (GBNF) of an answer: any text, and calls with arguments of their schemas; calls alone when they
// are required. With `format`, a grammar too, the answer is either calls or a text of it. ApiError 400 naming
// the tool whose "strict" schema cannot be a grammar; without "strict" such a tool's arguments are any
// object.
std::string tool_grammar(const OfferedTools& tools, const std::string& format = {});
// How its calls are found again in the answer.
ToolCallForm call_form(const OfferedTools& tools, bool has_format);

}  // namespace tessera::serve
