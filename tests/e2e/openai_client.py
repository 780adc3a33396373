"""Drives a running server with OpenAI's official client: python3 openai_client.py BASE_URL API_KEY.

Prints one line a check; exit status 1 when one fails, 77 when the package `openai` is not installed.
"""
import json
import sys

try:
    import openai
except ImportError:
    print("the Python package openai is not installed")
    sys.exit(77)

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
failures = 0


def check(name, passed, detail=""):
    global failures
    failures += not passed
    print(("ok   " if passed else "FAIL ") + name + ("" if passed else f": {detail}"))


def expect_error(name, kind, call, **fields):
    try:
        call()
    except kind as error:
        found = {key: getattr(error, key, None) for key in fields}
        check(name, found == fields, found)
    except Exception as error:  # any other kind is the failure to report
        check(name, False, repr(error))
    else:
        check(name, False, "no error")


def check_forms(client, ask):
    """Answers that a schema binds, from a dictionary and from a class."""
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        rivers: list[str] = []
        inhabitants: int | None

    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"], "additionalProperties": False}
    bound = client.chat.completions.create(
        **ask, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
    check("json schema", list(json.loads(bound.choices[0].message.content)) == ["yes"], bound)
    # At its own pace a small model may list rivers for ever: enough tokens, or an honest "length".
    try:
        parsed = client.chat.completions.parse(**{**ask, "max_completion_tokens": 400}, response_format=City)
        check("parse into a class", isinstance(parsed.choices[0].message.parsed, City), parsed)
    except openai.LengthFinishReasonError:
        check("parse into a class, cut short and said so", True)
    parts = client.chat.completions.create(**{**ask, "max_completion_tokens": 60}, response_format={"type": "json_object"}, stream=True)
    check("json object stream", "".join(p.choices[0].delta.content or "" for p in parts).startswith("{"))


def check_tools(client, model):
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city.", "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
                       "additionalProperties": False}}}
    messages = [{"role": "user", "content": "How is the weather in Paris?"}]
    ask = dict(model=model, messages=messages, tools=[tool], temperature=0, max_completion_tokens=80,
               tool_choice={"type": "function", "function": {"name": "get_weather"}})
    answer = client.chat.completions.create(**ask)
    call = answer.choices[0].message.tool_calls[0]
    check("tool call", answer.choices[0].finish_reason == "tool_calls" and call.function.name == "get_weather", answer)
    check("tool arguments", list(json.loads(call.function.arguments)) == ["city"], call)
    name, arguments, reason = "", "", None
    for part in client.chat.completions.create(**ask, stream=True):
        for delta in part.choices[0].delta.tool_calls or []:
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
        reason = part.choices[0].finish_reason or reason
    check("streamed tool call", (name, arguments, reason) == ("get_weather", call.function.arguments, "tool_calls"),
          (name, arguments, reason))
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}]
    after = client.chat.completions.create(**{**ask, "messages": messages, "tool_choice": "none"})
    check("after a tool's answer", bool(after.choices[0].message.content), after)
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {
        "type": "object", "properties": {"known": {"type": "boolean"}}, "required": ["known"], "additionalProperties": False}}}
    for choice in ["auto", "required", "none"]:
        either = client.chat.completions.create(**{**ask, "tool_choice": choice}, response_format=form).choices[0]
        calls = either.message.tool_calls or []
        is_call = either.finish_reason == "tool_calls" and list(json.loads(calls[0].function.arguments)) == ["city"]
        is_form = either.finish_reason == "stop" and not calls and list(json.loads(either.message.content)) == ["known"]
        check(f"tools beside a format, {choice}", {"auto": is_call or is_form, "required": is_call, "none": is_form}[choice], either)
    expect_error("a bad tool", openai.BadRequestError,
                 lambda: client.chat.completions.create(**{**ask, "tools": [{"type": "function", "function": {"name": "a b"}}]}),
                 param="tools[0].function.name")


def main():
    client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2], max_retries=0, timeout=120)
    model = client.models.list().data[0].id
    check("models.retrieve", client.models.retrieve(model).id == model)

    ask = dict(model=model, messages=QUESTION, temperature=0, max_completion_tokens=24, seed=1)
    whole = client.chat.completions.create(**ask)
    text = whole.choices[0].message.content
    check("chat", "Paris" in text and whole.choices[0].finish_reason == "stop", whole)
    check("chat usage", whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens)

    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check("stream text", streamed == text, streamed)
    check("stream usage", chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, chunks[-1])
    check("cached tokens", chunks[-1].usage.prompt_tokens_details.cached_tokens > 0, chunks[-1].usage)

    scored = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3)
    tokens = scored.choices[0].logprobs.content
    check("logprobs", b"".join(bytes(t.bytes) for t in tokens).decode() == text, tokens)
    check("top logprobs", all(len(t.top_logprobs) == 3 and t.top_logprobs[0].token == t.token for t in tokens))

    several = client.chat.completions.create(**{**ask, "temperature": 1.0}, n=3)
    check("n", [c.index for c in several.choices] == [0, 1, 2])
    again = client.chat.completions.create(**{**ask, "temperature": 1.0}, n=3)
    check("seed", [c.message.content for c in several.choices] == [c.message.content for c in again.choices])

    story = client.completions.create(model=model, prompt="One, two, three, four,", temperature=0, max_tokens=40, stop=["seven"])
    check("completion with stop", "six" in story.choices[0].text and "seven" not in story.choices[0].text, story)
    parts = client.completions.create(model=model, prompt="One, two, three, four,", temperature=0, max_tokens=40, stop=["seven"],
                                      stream=True)
    check("completion stream", "".join(p.choices[0].text for p in parts) == story.choices[0].text)

    check_forms(client, ask)
    check_tools(client, model)

    expect_error("bad field", openai.BadRequestError,
                 lambda: client.chat.completions.create(model=model, messages=QUESTION, temperature=7),
                 status_code=400, param="temperature")
    expect_error("unknown model", openai.NotFoundError,
                 lambda: client.chat.completions.create(model="gpt-9", messages=QUESTION), code="model_not_found")
    expect_error("wrong key", openai.AuthenticationError, lambda: client.with_options(api_key="not-the-key").models.list(),
                 status_code=401)
    expect_error("too long", openai.BadRequestError,
                 lambda: client.completions.create(model=model, prompt="word " * 20000),
                 code="context_length_exceeded", param="prompt")

    stream = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Tell a long story."}], stream=True)
    next(iter(stream))
    stream.close()  # an abort must not block those who come after
    after = client.chat.completions.create(**ask)
    check("after an abort", after.choices[0].message.content == text, after)
    sys.exit(1 if failures else 0)


main()
