// A block of code: its language, a button that copies it, colours when they are known.
import { useEffect, useMemo, useState } from "preact/hooks";
import { copyText } from "../components/copy";
import { words } from "../words/words";
import type { CodePiece } from "./highlight";

// Colours cost time: while a block is being written only short ones get them, and very long ones never.
const longestOpen = 4000;
const longestClosed = 60_000;
const linesAtFirst = 300;

export function CodeBlock(props: { language: string; text: string; closed: boolean; name?: string; fold?: boolean }) {
  const { language, text, closed } = props;
  const [open, setOpen] = useState(!props.fold);
  const [all, setAll] = useState(false);
  const [copied, setCopied] = useState(false);
  const lines = useMemo(() => countLines(text), [text]);
  const long = lines > linesAtFirst;
  const shown = long && !all ? firstLines(text, linesAtFirst) : text;
  const pieces = usePieces(language, shown, open && shown.length <= (closed ? longestClosed : longestOpen));
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <figure class="code-block">
      <figcaption>
        {props.fold ? (
          <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "▾" : "▸"} <bdi>{props.name || language || words().text}</bdi>
            <small> {words().lines(lines)}</small>
          </button>
        ) : (
          <span>
            <bdi>{props.name || language}</bdi>
          </span>
        )}
        <button type="button" class="quiet copy" onClick={copy} aria-label={words().copyCode}>
          {copied ? words().copied : words().copy}
        </button>
      </figcaption>
      {open ? (
        <pre tabIndex={0}>
          <code>{pieces ? pieces.map(pieceElement) : inChunks(shown)}</code>
        </pre>
      ) : null}
      {open && long && !all ? (
        <button type="button" class="quiet more-lines" onClick={() => setAll(true)}>
          {words().showAllLines(lines)}
        </button>
      ) : null}
    </figure>
  );
}

function pieceElement(piece: CodePiece) {
  return piece.className === "" ? piece.text : <span class={piece.className}>{piece.text}</span>;
}

// Long texts in parts that the browser lays out only when they come into view.
function inChunks(text: string) {
  if (text.length < 20_000) return text;
  const chunks = [];
  for (let begin = 0; begin < text.length; ) {
    let end = Math.min(text.length, begin + 8000);
    const line = text.indexOf("\n", end);
    end = end === text.length ? end : line < 0 || line > end + 20_000 ? end : line + 1;
    chunks.push(
      <span key={begin} class="chunk">
        {text.slice(begin, end)}
      </span>,
    );
    begin = end;
  }
  return chunks;
}

function countLines(text: string): number {
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) ++lines;
  return lines;
}

function firstLines(text: string, count: number): string {
  let at = -1;
  for (let line = 0; line < count; ++line) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) return text;
  }
  return text.slice(0, at);
}

let highlighter: typeof import("./highlight") | null = null;

function usePieces(language: string, text: string, wanted: boolean): CodePiece[] | null {
  const [ready, setReady] = useState(highlighter !== null);
  const known = wanted && language !== "";
  useEffect(() => {
    if (!known || ready) return;
    void import("./highlight").then((module) => {
      highlighter = module;
      setReady(true);
    });
  }, [known, ready]);
  return useMemo(
    () => (known && highlighter ? highlighter.highlight(language.toLowerCase(), text) : null),
    [language, text, known, ready],
  );
}
