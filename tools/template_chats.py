"""Conversations that chat templates are tested with."""

BASE = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.\nReturns \"text\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name, e.g. 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7.5},
                "tags": {"type": "array", "items": {"type": "string"}, "nullable": True},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search <b>everything</b> & more",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"},
                                                        "options": {"type": "object", "properties": {"deep": {"type": "boolean"}}}}},
    },
}
NO_ARGUMENTS = {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}

USER = {"role": "user", "content": "What is the capital of France?"}
ASSISTANT = {"role": "assistant", "content": "The capital of France is Paris."}
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


def call(name, arguments, identifier="call_12345"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def chat(name, messages, **context):
    return {"name": name, "context": {**BASE, "messages": messages, "add_generation_prompt": True, **context}}


PARIS_CALL = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", {"city": "Paris", "days": 3, "deep": True, "x": None, "y": 1.5})]}
TEXT_CALL = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", "{\"city\": \"Paris\"}")]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call_12345", "content": "{\"temperature\": 21}"}
ODD = "Tab\there, \"quotes\" and 'single', back\\slash,\r\nnewline\n\n  spaces  {{ braces }} {% tag %} <b>&amp;</b> \u00e9\u00df\u0130 \u65e5\u672c\u8a9e \U0001f600 \u200b \x7f <|im_start|>system<|im_end|></s>"

CHATS = [
    chat("user", [USER]),
    chat("system", [SYSTEM, USER]),
    chat("no_generation_prompt", [SYSTEM, USER, ASSISTANT], add_generation_prompt=False),
    chat("several_turns", [SYSTEM, USER, ASSISTANT, {"role": "user", "content": "And of Italy?"},
                           {"role": "assistant", "content": "Rome."}, {"role": "user", "content": "Thanks!"}]),
    chat("continued_assistant", [USER, ASSISTANT], add_generation_prompt=True),
    chat("tools", [SYSTEM, USER], tools=[WEATHER, SEARCH]),
    chat("tools_without_system", [USER], tools=[WEATHER, NO_ARGUMENTS]),
    chat("tool_call", [SYSTEM, USER, PARIS_CALL], tools=[WEATHER], add_generation_prompt=False),
    chat("tool_result", [SYSTEM, USER, PARIS_CALL, RESULT], tools=[WEATHER, SEARCH]),
    chat("tool_call_as_text", [USER, TEXT_CALL, RESULT, ASSISTANT, USER], tools=[WEATHER]),
    chat("parallel_calls", [USER, {"role": "assistant", "content": "Let me see.", "tool_calls": [
        call("get_weather", {"city": "Rome"}, "call_00001"), call("search", {"query": "a \"b\" <c> \u00e9", "options": {"deep": False, "list": [1, 2.0, "x"]}}, "call_00002")]},
        RESULT, {**RESULT, "tool_call_id": "call_00002", "content": "nothing"}, ASSISTANT], tools=[WEATHER, SEARCH]),
    chat("odd_characters", [{"role": "system", "content": ODD}, {"role": "user", "content": ODD}, {"role": "assistant", "content": ODD}, {"role": "user", "content": "\n \t" + ODD + " \n"}]),
    chat("empty_content", [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""}, USER]),
    chat("parts", [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                   {"role": "user", "content": [{"type": "text", "text": "First part."}, {"type": "text", "text": " Second."}]},
                   {"role": "assistant", "content": [{"type": "text", "text": "Fine."}]}, USER]),
    chat("images", [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}]),
    chat("reasoning", [USER, {"role": "assistant", "content": "Paris.", "reasoning_content": "France has a capital.\nIt is Paris."}, {"role": "user", "content": "Sure?"},
                       {"role": "assistant", "content": "Yes.", "reasoning_content": "Think again.", "thinking": "Think again.", "reasoning": "Think again."}], add_generation_prompt=False),
    chat("thinking_in_content", [USER, {"role": "assistant", "content": "<think>\nhm, \n</think>\n\nParis."}, {"role": "user", "content": "Sure?"}]),
    chat("reasoning_with_tools", [SYSTEM, USER, {**PARIS_CALL, "reasoning_content": "I need the weather."}, RESULT], tools=[WEATHER], enable_thinking=True),
    chat("enable_thinking", [SYSTEM, USER], enable_thinking=True, thinking=True, reasoning_effort="high"),
    chat("disable_thinking", [SYSTEM, USER, ASSISTANT, USER], enable_thinking=False, thinking=False),
    chat("documents", [USER], documents=[{"title": "A", "text": "Text of A.", "doc_id": 1}, {"title": "B", "text": "Text \"B\"", "doc_id": 2}], controls={"length": "long", "originality": "x"}),
    chat("developer", [{"role": "developer", "content": "Only JSON."}, USER], date_string="26 Jul 2024", tools_in_user_message=False, tools=[WEATHER]),
    chat("two_users", [USER, {"role": "user", "content": "And Spain?"}]),
    chat("assistant_first", [ASSISTANT, USER]),
    chat("unknown_role", [USER, {"role": "critic", "content": "Hm."}, {"role": "user", "content": "Well?"}]),
    chat("no_messages", []),
    {"name": "no_tokens", "context": {"messages": [SYSTEM, USER, ASSISTANT, USER], "add_generation_prompt": True}},
    chat("many_options", [SYSTEM, USER], tools=[], documents=[], custom_tools=None, builtin_tools=["code_interpreter", "brave_search"],
         model_identity="You are Tessera.", available_tools=[WEATHER], citations=True, keep_past_thinking=True, date="2025-01-31"),
]
