// Drives a running server with OpenAI's own client for Node: node client.mjs BASE_URL API_KEY.
// Prints one line a check; exit status 1 when one fails, 77 when the package `openai` is not installed.
let openai;
try {
  openai = await import("openai");
} catch {
  console.log("the npm package openai is not installed (npm ci in tests/e2e/openai_node)");
  process.exit(77);
}
const OpenAI = openai.default;
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: baseURL + "/v1", apiKey, maxRetries: 0, timeout: 120_000 });

let failures = 0;
function check(name, passed, detail = "") {
  if (!passed) ++failures;
  console.log((passed ? "ok   " : "FAIL ") + name + (passed ? "" : ": " + JSON.stringify(detail)));
}

async function expectError(name, kind, call, fields) {
  try {
    await call();
    check(name, false, "no error");
  } catch (error) {
    const found = Object.fromEntries(Object.keys(fields).map((key) => [key, error[key]]));
    check(name, error instanceof kind && JSON.stringify(found) === JSON.stringify(fields), [String(error), found]);
  }
}

const question = [{ role: "user", content: "What is the capital of France?" }];
const model = (await client.models.list()).data[0].id;
check("models.retrieve", (await client.models.retrieve(model)).id === model);

const ask = { model, messages: question, temperature: 0, max_completion_tokens: 24, seed: 1 };
const whole = await client.chat.completions.create(ask);
const text = whole.choices[0].message.content;
check("chat", text.includes("Paris") && whole.choices[0].finish_reason === "stop", whole);

let streamed = "";
let last;
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  last = chunk;
}
check("stream text", streamed === text, streamed);
check("stream usage", last.usage?.completion_tokens === whole.usage.completion_tokens, last);

const helper = client.chat.completions.stream(ask);
const events = [];
helper.on("content", (delta) => events.push(delta));
const final = await helper.finalChatCompletion();
check("stream helper", final.choices[0].message.content === text && events.join("") === text, final);

const story = { model, prompt: "One, two, three, four,", temperature: 0, max_tokens: 40, stop: ["seven"] };
const completion = await client.completions.create(story);
let parts = "";
for await (const chunk of await client.completions.create({ ...story, stream: true })) parts += chunk.choices[0].text;
check("completion stream", parts === completion.choices[0].text && parts.includes("six"), [completion, parts]);

const schema = {
  type: "object",
  properties: { city: { type: "string", maxLength: 20 }, inhabitants: { type: "integer", minimum: 0 } },
  required: ["city", "inhabitants"],
  additionalProperties: false,
};
const format = { type: "json_schema", json_schema: { name: "city", strict: true, schema } };
const bound = await client.chat.completions.create({ ...ask, max_completion_tokens: 100, response_format: format });
const city = JSON.parse(bound.choices[0].message.content);
check("json schema", typeof city.city === "string" && Number.isInteger(city.inhabitants) && city.inhabitants >= 0, city);
const parsed = await client.chat.completions.parse({ ...ask, max_completion_tokens: 100, response_format: format });
check("parse", parsed.choices[0].message.parsed?.city === city.city, parsed.choices[0].message);

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city.",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 20 }, unit: { enum: ["celsius", "fahrenheit"] } },
        required: ["city", "unit"],
        additionalProperties: false,
      },
    },
  },
];
const weather = [{ role: "user", content: "How is the weather in Paris?" }];
const withTools = { model, messages: weather, temperature: 0, tools, tool_choice: "required", max_completion_tokens: 100 };
const called = await client.chat.completions.create(withTools);
const call = called.choices[0].message.tool_calls?.[0];
const given = JSON.parse(call?.function?.arguments ?? "null");
check("tool call", called.choices[0].finish_reason === "tool_calls" && call?.function?.name === "get_weather", called);
check("tool arguments", typeof given?.city === "string" && ["celsius", "fahrenheit"].includes(given?.unit), given);
const streamedCall = await client.chat.completions.stream(withTools).finalChatCompletion();
check("streamed tool call", JSON.stringify(streamedCall.choices[0].message.tool_calls?.[0]?.function?.arguments) ===
  JSON.stringify(call?.function?.arguments), streamedCall.choices[0]);
const answered = await client.chat.completions.create({
  ...ask,
  tools,
  messages: [...weather, called.choices[0].message, { role: "tool", tool_call_id: call?.id, content: "18 degrees, sunny" }],
});
check("after a tool's answer", answered.choices[0].message.content?.length > 0 || answered.choices[0].message.tool_calls, answered);
// A call or the form, whichever the model takes; neither is cut by chance, for both are short.
for (const tool_choice of ["auto", "required", "none"]) {
  const either = await client.chat.completions.create({
    ...withTools, tool_choice, response_format: format, parallel_tool_calls: false, max_completion_tokens: 200,
  });
  const { message, finish_reason } = either.choices[0];
  const isCall = finish_reason === "tool_calls" && typeof JSON.parse(message.tool_calls[0].function.arguments).city === "string";
  const isForm = finish_reason === "stop" && !message.tool_calls && Number.isInteger(JSON.parse(message.content).inhabitants);
  check(`tools beside a format, ${tool_choice}`, tool_choice === "auto" ? isCall || isForm : tool_choice === "none" ? isForm : isCall, either);
}
let asked = 0;
const runner = client.chat.completions.runTools({
  ...ask,
  max_completion_tokens: 400,
  messages: weather,
  tool_choice: "auto",
  tools: [{ type: "function", function: { ...tools[0].function, parse: JSON.parse, function: () => (++asked, "sunny") } }],
});
try {
  check("runTools", typeof (await runner.finalContent()) === "string", asked);
} catch (error) {
  // A small model may talk on: then it was cut short, and said so.
  check("runTools", error instanceof openai.OpenAIError && String(error).includes("length limit"), String(error));
}

await expectError("bad field", OpenAI.BadRequestError, () => client.chat.completions.create({ ...ask, temperature: 7 }),
  { status: 400, param: "temperature", code: "invalid_value" });
await expectError("bad schema", OpenAI.BadRequestError,
  () => client.chat.completions.create({ ...ask, response_format: { ...format, json_schema: { name: "x", schema: { not: {} } } } }),
  { status: 400, param: "response_format.json_schema.schema" });
await expectError("unknown model", OpenAI.NotFoundError, () => client.chat.completions.create({ ...ask, model: "gpt-9" }),
  { status: 404, code: "model_not_found" });
await expectError("wrong key", OpenAI.AuthenticationError, () => client.withOptions({ apiKey: "not-the-key" }).models.list(),
  { status: 401 });
await expectError("too long", OpenAI.BadRequestError, () => client.completions.create({ model, prompt: "word ".repeat(20000) }),
  { status: 400, code: "context_length_exceeded", param: "prompt" });

const controller = new AbortController();
const endless = { model, messages: [{ role: "user", content: "Tell a long story." }], ignore_eos: true };
const stream = await client.chat.completions.create({ ...endless, stream: true }, { signal: controller.signal });
for await (const chunk of stream) {
  if (chunk.choices[0]?.delta?.content) break; // breaking off closes the connection
}
await expectError("abort", OpenAI.APIUserAbortError, () => {
  setTimeout(() => controller.abort(), 100);
  return client.chat.completions.create(endless, { signal: controller.signal });
}, {});
const after = await client.chat.completions.create(ask);
check("after aborts", after.choices[0].message.content === text, after);
process.exit(failures ? 1 : 0);
