// Lets the newest checkpoint go on with a text, piece by piece as it comes.
import { useState } from "preact/hooks";
import { EventStreamParser } from "../api/event_stream";
import { state } from "./run";
import { trainingWords } from "./words";

interface Chunk {
  model: string;
  choices: { text: string }[];
}

async function* continuation(prompt: string, abort: AbortSignal): AsyncGenerator<Chunk> {
  const response = await fetch("/v1/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt, temperature: 0.8, stream: true }), // until the context is full
    signal: abort,
  });
  if (!response.ok || !response.body) {
    const answer = (await response.json().catch(() => null)) as { error?: { message?: string } } | null;
    throw new Error(answer?.error?.message ?? `HTTP ${response.status}`);
  }
  const parser = new EventStreamParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const event of parser.push(value)) {
      if (event.data === "[DONE]") return;
      yield JSON.parse(event.data) as Chunk;
    }
  }
}

export function Talk() {
  const words = trainingWords();
  const [prompt, setPrompt] = useState("");
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const [model, setModel] = useState("");
  const [problem, setProblem] = useState("");
  const [running, setRunning] = useState<AbortController | null>(null);
  const checkpoint = state.value?.checkpoint ?? null;
  const go = async () => {
    const abort = new AbortController();
    setRunning(abort);
    setAsked(prompt);
    setText("");
    setProblem("");
    try {
      for await (const chunk of continuation(prompt === "" ? "\n" : prompt, abort.signal)) {
        setModel(chunk.model);
        setText((before) => before + (chunk.choices[0]?.text ?? ""));
      }
    } catch (error) {
      if (!abort.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setRunning(null);
    }
  };
  return (
    <section class="panel talk" aria-labelledby="talk">
      <h2 id="talk">{words.talk}</h2>
      <p class="soft">{checkpoint === null ? words.noCheckpoint : words.newest(checkpoint)}</p>
      <textarea rows={3} aria-label={words.prompt} placeholder={words.promptHint} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
      <div class="row">
        {running === null
          ? <button class="primary" disabled={checkpoint === null} onClick={() => void go()}>{words.goOn}</button>
          : <button onClick={() => running.abort()}>{words.stop}</button>}
        {checkpoint !== null && <a href="/">{words.chatPage}</a>}
      </div>
      {problem !== "" && <p class="problem" role="alert">{problem}</p>}
      {(text !== "" || running !== null) && (
        <pre class="written" aria-live="polite"><b>{asked}</b>{text}</pre>
      )}
      {text !== "" && <p class="soft">{words.by(model)}</p>}
    </section>
  );
}
