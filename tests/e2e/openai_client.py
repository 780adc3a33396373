"""Drives a running server with OpenAI's official client: python3 openai_client.py BASE_URL API_KEY.

Prints one line a check; exit status 1 when one fails, 77 when the package `openai` is not installed.
"""
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
