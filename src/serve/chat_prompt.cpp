#include "serve/chat_prompt.h"

#include <algorithm>
#include <array>
#include <optional>

namespace tessera::serve {
namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};

std::string read_role(JsonFields& fields) {
  const Json& value = fields.require("role");
  const std::string role = value.is_string() ? value.get<std::string>() : std::string();
  if (std::ranges::find(kRoles, role) == kRoles.end()) {
    refuse_field(fields.path_of("role"), "expected system, developer, user, assistant or tool, found {}",
                 shown(value));
  }
  return role == "developer" ? "system" : role;
}

// An assistant's message may have calls and no text.
std::string read_content(JsonFields& fields, bool may_be_absent) {
  if (may_be_absent && fields.find("content") == nullptr) return {};
  const Json& value = fields.require("content");
  const std::string path = fields.path_of("content");
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) refuse_field(path, "expected a string or an array of parts, found {}", shown(value));
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    JsonFields part(value[i], fmt::format("{}[{}]", path, i));
    part.require("type");
    part.only("type", "text");
    part.require("text");
    text += *part.string("text");
    part.finish();
  }
  return text;
}

// Templates want the arguments as an object, the API has them as JSON text.
Json read_tool_calls(const Json& list, const std::string& path) {
  if (!list.is_array()) refuse_field(path, "expected an array of calls, found {}", shown(list));
  Json calls = Json::array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    JsonFields call(list[i], fmt::format("{}[{}]", path, i));
    call.only("type", "function");
    const std::string id = call.string("id").value_or("");
    JsonFields function(call.require("function"), call.path_of("function"));
    call.ignore("index");
    call.finish();
    function.require("name");
    function.require("arguments");
    const std::string text = *function.string("arguments");
    Json arguments = Json::parse(text.empty() ? "{}" : text, nullptr, false);
    if (!arguments.is_object()) {
      refuse_field(function.path_of("arguments"), "expected a JSON object as text, found '{}'",
                   printable(text));
    }
    calls.push_back(
        {{"type", "function"},
         {"id", id},
         {"function", {{"name", *function.string("name")}, {"arguments", std::move(arguments)}}}});
    function.finish();
  }
  return calls;
}

Json read_message(const Json& given, const std::string& path) {
  JsonFields message(given, path);
  Json read = {{"role", read_role(message)}};
  const bool answers = read["role"] == "assistant";
  const Json* calls = answers ? message.find("tool_calls") : nullptr;
  const bool has_calls = calls != nullptr && *calls != Json::array();
  read["content"] = read_content(message, has_calls);
  if (has_calls) read["tool_calls"] = read_tool_calls(*calls, message.path_of("tool_calls"));
  if (const auto name = message.string("name")) read["name"] = *name;
  if (const auto id = message.string("tool_call_id")) read["tool_call_id"] = *id;
  // What clients send back of an answer.
  for (const char* absent : {"refusal", "audio", "function_call", "parsed"}) message.only(absent, nullptr);
  message.only("annotations", Json::array());
  message.finish();
  return read;
}

std::string special_text(const text::Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

}  // namespace

Json read_messages(JsonFields& fields) {
  const Json& list = fields.require("messages");
  if (!list.is_array() || list.empty()) {
    refuse_field(fields.path_of("messages"), "expected an array of at least one message, found {}",
                 shown(list));
  }
  Json messages = Json::array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(read_message(list[i], fmt::format("messages[{}]", i)));
  }
  return messages;
}

Json read_template_switches(JsonFields& fields) {
  Json switches = Json::object();
  const Json* given = fields.find("chat_template_kwargs");
  if (given == nullptr) return switches;
  const std::string path = fields.path_of("chat_template_kwargs");
  if (!given->is_object()) refuse_field(path, "expected an object, found {}", shown(*given));
  for (const auto& [name, value] : given->items()) {
    if (name == "messages" || name == "tools" || name == "add_generation_prompt" ||
        name.ends_with("_token")) {
      refuse_field(path + "." + printable(name), "is the server's to set");
    }
    // A string could pass for one of the template's own.
    if (!value.is_boolean() && !value.is_number()) {
      refuse_field(path + "." + printable(name), "expected true, false or a number, found {}", shown(value));
    }
    switches[name] = value;
  }
  return switches;
}

text::RenderedPrompt render_chat(const engine::LoadedModel& loaded, const Json& messages,
                                 const Json& switches, bool add_generation_prompt) {
  if (!loaded.chat_template) {
    throw ApiError(
        400, loaded.name + ": brings no chat template, so it cannot chat; /v1/completions continues text",
        "messages", "unsupported");
  }
  Json context = switches;
  context["messages"] = messages;
  context["add_generation_prompt"] = add_generation_prompt;
  context["bos_token"] = special_text(*loaded.tokenizer, loaded.tokenizer->bos_token());
  context["eos_token"] = special_text(*loaded.tokenizer, loaded.tokenizer->eos_token());
  try {
    return loaded.chat_template->render(context.dump());
  } catch (const Error& error) {
    throw ApiError(400, std::string("messages: ") + error.what(), "messages", "template_error");
  }
}

}  // namespace tessera::serve
