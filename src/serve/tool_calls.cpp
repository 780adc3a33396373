#include "serve/tool_calls.h"

#include <algorithm>
#include <utility>

#include "engine/gbnf_names.h"
#include "engine/json_schema.h"
#include "serve/chat_prompt.h"
#include "serve/openai_format.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kMostTools = 128;
constexpr std::size_t kLongestName = 64;
// A small model might call for ever.
constexpr int kMostCalls = 16;
constexpr std::string_view kCallTag = "<tool_call>";

void check_name(const std::string& name, const std::string& path) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (name.empty() || name.size() > kLongestName || !plain) {
    refuse_field(path, "expected 1 to {} letters, digits, '_' or '-', found {}", kLongestName, shown(name));
  }
}

Json read_tool(const Json& given, const std::string& path) {
  JsonFields tool(given, path);
  tool.require("type");
  tool.only("type", "function");
  const Json& function = tool.require("function");
  tool.finish();
  JsonFields members(function, path + ".function");
  members.require("name");
  check_name(*members.string("name"), path + ".function.name");
  members.string("description");
  members.boolean("strict");
  if (const Json* parameters = members.find("parameters");
      parameters != nullptr && !parameters->is_object()) {
    refuse_field(path + ".function.parameters", "expected a JSON schema, found {}", shown(*parameters));
  }
  members.finish();
  return given;
}

// The template itself is asked: what it writes of a tool, if anything.
std::string rendered_probe(const engine::LoadedModel& loaded) {
  const Json probe = Json::parse(R"([{"type": "function", "function": {"name": "probe_of_tools",
      "description": "", "parameters": {"type": "object", "properties": {}}}}])");
  const Json messages = Json::array({{{"role", "user"}, {"content", "x"}}});
  try {
    return render_chat(loaded, messages, {{"tools", probe}}).text;
  } catch (const ApiError&) {
    return {};  // chokes on tools: it is spared them
  }
}

void choose_syntax(const engine::LoadedModel& loaded, OfferedTools& tools) {
  if (!loaded.chat_template) return;
  const std::string rendered = rendered_probe(loaded);
  if (rendered.find("probe_of_tools") == std::string::npos) return;
  const bool hermes = rendered.find(kCallTag) != std::string::npos;
  const bool llama3 = !hermes && rendered.find("\"parameters\"") != std::string::npos &&
                      rendered.find("<|start_header_id|>") != std::string::npos;
  tools.by_template = hermes || llama3;
  tools.syntax = llama3 ? ToolCallSyntax::llama3 : ToolCallSyntax::hermes;
}

// False: no tool may be called.
bool read_choice(JsonFields& fields, OfferedTools& tools) {
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == "auto") return true;
  if (*choice == "none") return false;
  tools.use = ToolUse::required;
  if (*choice == "required") return true;
  const std::string path = fields.path_of("tool_choice");
  if (!choice->is_object()) {
    refuse_field(path, "expected none, auto, required or a function, found {}", shown(*choice));
  }
  JsonFields named(*choice, path);
  named.require("type");
  named.only("type", "function");
  JsonFields function(named.require("function"), path + ".function");
  named.finish();
  function.require("name");
  const std::string name = *function.string("name");
  function.finish();
  if (std::ranges::find(tools.callable, name) == tools.callable.end()) {
    refuse_field(path + ".function.name", "expected the name of one of the tools, found {}", shown(name));
  }
  tools.callable = {name};
  tools.several = false;
  return true;
}

// "$ref" within a tool's schema means a place in it, which now lies deeper.
void move_references(Json& schema, const std::string& below) {
  for (auto& [key, value] : schema.items()) {
    if (key == "$ref" && value.is_string() && value.get_ref<const std::string&>().starts_with('#')) {
      value = "#" + below + value.get<std::string>().substr(1);
    } else if (value.is_structured()) {
      move_references(value, below);
    }
  }
}

Json arguments_schema(const Json& function, const std::string& path) {
  if (!function.contains("parameters") || function["parameters"].is_null()) {
    return {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  }
  Json schema = function["parameters"];
  if (!schema.contains("type")) schema["type"] = "object";
  try {
    engine::json_schema_to_gbnf(to_text(schema));
    return schema;
  } catch (const Error& error) {
    const bool strict = function.contains("strict") && function["strict"] == true;
    if (strict || error.kind() != ErrorKind::unsupported) {
      throw ApiError(400, path + ".function.parameters: " + error.what(), path + ".function.parameters",
                     "invalid_value");
    }
  }
  return {{"type", "object"}};
}

// One call as JSON, any of the callable tools.
std::string call_rules(const OfferedTools& tools) {
  const char* arguments_key = tools.syntax == ToolCallSyntax::llama3 ? "parameters" : "arguments";
  Json alternatives = Json::array();
  for (std::size_t i = 0; i < tools.list.size(); ++i) {
    const Json& function = tools.list[i]["function"];
    const auto name = function["name"].get<std::string>();
    if (std::ranges::find(tools.callable, name) == tools.callable.end()) continue;
    Json schema = arguments_schema(function, fmt::format("tools[{}]", i));
    move_references(schema, fmt::format("/anyOf/{}/properties/{}", alternatives.size(), arguments_key));
    Json properties = {{"name", {{"const", name}}}};
    properties[arguments_key] = std::move(schema);
    alternatives.push_back({{"type", "object"},
                            {"properties", std::move(properties)},
                            {"required", Json::array({"name", arguments_key})},
                            {"additionalProperties", false}});
  }
  return engine::json_schema_to_gbnf(to_text({{"anyOf", std::move(alternatives)}}), "tool-call");
}

// Any text up to the tag that begins a call: text-i has seen the first i characters of it (Knuth, Morris and
// Pratt 1977; '<' begins the tag only, so that a mismatch leads back to its beginning or to nothing).
std::string text_rules() {
  std::string rules;
  for (std::size_t seen = 0; seen < kCallTag.size(); ++seen) {
    const char next = kCallTag[seen];
    const std::string after = seen + 1 == kCallTag.size() ? "tool-rest" : fmt::format("text-{}", seen + 1);
    if (next == '<') {
      rules += fmt::format("text-{} ::= | \"<\" {} | [^<] text-0\n", seen, after);
    } else {
      rules +=
          fmt::format("text-{} ::= | \"{}\" {} | \"<\" text-1 | [^<{}] text-0\n", seen, next, after, next);
    }
  }
  return rules;
}

}  // namespace

std::optional<OfferedTools> read_tools(JsonFields& fields, const engine::LoadedModel& loaded) {
  const Json* list = fields.find("tools");
  const std::optional<bool> several = fields.boolean("parallel_tool_calls");
  if (list == nullptr || *list == Json::array()) {
    fields.only("tool_choice", "none");
    return std::nullopt;
  }
  const std::string path = fields.path_of("tools");
  if (!list->is_array() || list->size() > kMostTools) {
    refuse_field(path, "expected an array of at most {} tools, found {}", kMostTools, shown(*list));
  }
  OfferedTools tools;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    tools.list.push_back(read_tool((*list)[i], place));
    const auto name = tools.list.back()["function"]["name"].get<std::string>();
    if (std::ranges::find(tools.callable, name) != tools.callable.end()) {
      refuse_field(place + ".function.name", "expected each name once, found {} again", shown(name));
    }
    tools.callable.push_back(name);
  }
  if (!read_choice(fields, tools)) return std::nullopt;
  // A forced small model would not stop by itself: several calls only where they are asked for.
  tools.several = tools.several && several.value_or(tools.use == ToolUse::automatic);
  choose_syntax(loaded, tools);
  return tools;
}

Json messages_with_tools(Json messages, const OfferedTools& tools) {
  if (tools.by_template) return messages;
  std::string text = "You may call these functions, each described by a JSON schema:\n<tools>\n";
  for (const Json& tool : tools.list) text += to_text(tool["function"]) + "\n";
  text +=
      "</tools>\nTo call one, write its name and its arguments as JSON, and nothing else:\n"
      "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {...}}\n</tool_call>\n"
      "What it returns is given to you within <tool_response></tool_response>.";
  if (messages[0]["role"] == "system") {
    messages[0]["content"] = messages[0]["content"].get<std::string>() + "\n\n" + text;
  } else {
    messages.insert(messages.begin(), Json({{"role", "system"}, {"content", text}}));
  }
  for (Json& message : messages) {
    auto content = message["content"].get<std::string>();
    if (message["role"] == "tool") {
      message = {{"role", "user"}, {"content", "<tool_response>\n" + content + "\n</tool_response>"}};
    } else if (message.contains("tool_calls")) {
      for (const Json& call : message["tool_calls"]) {
        const Json shown_call = {{"name", call["function"]["name"]},
                                 {"arguments", call["function"]["arguments"]}};
        content +=
            fmt::format("{}<tool_call>\n{}\n</tool_call>", content.empty() ? "" : "\n", to_text(shown_call));
      }
      message = {{"role", "assistant"}, {"content", content}};
    }
  }
  return messages;
}

std::string tool_grammar(const OfferedTools& tools, const std::string& format) {
  const std::string call = call_rules(tools);
  const bool required = tools.use == ToolUse::required;
  const bool either = !required && !format.empty();
  const std::string text = either ? engine::prefix_rule_names(format, "answer-") + "\n" : "";
  if (tools.syntax == ToolCallSyntax::llama3) {
    if (either) return "root ::= answer-root | tool-call\n" + text + call;
    return (required ? "root ::= tool-call\n" : "root ::= | tool-call | [^{] text\ntext ::= [^\\x00]*\n") +
           call;
  }
  const std::string more =
      tools.several ? fmt::format(" (ws \"{}\" tool-one){{0,{}}}", kCallTag, kMostCalls - 1) : "";
  const std::string calls =
      "tool-one ::= ws tool-call ws \"</tool_call>\"\ntool-rest ::= tool-one" + more + "\n" + call;
  if (either) return fmt::format("root ::= answer-root | \"{}\" tool-rest\n", kCallTag) + text + calls;
  if (required) return fmt::format("root ::= \"{}\" tool-rest\n", kCallTag) + calls;
  return "root ::= text-0\n" + text_rules() + calls;
}

ToolCallForm call_form(const OfferedTools& tools, bool has_format) {
  ToolCallForm form{.syntax = tools.syntax};
  if (has_format) form.or_else_text = tools.callable;
  return form;
}

}  // namespace tessera::serve
