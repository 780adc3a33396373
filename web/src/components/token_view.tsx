// An answer token by token: how sure the model was of each, and what else it could have said.
import { useRef, useState } from "preact/hooks";
import type { TokenRecord } from "../state/conversation";
import { percent, words } from "../words/words";

// A token's text with its blanks made visible.
export function visible(text: string): string {
  if (text === "") return "∅";
  return text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

// Seven steps from sure to surprising.
function step(logprob: number | null): number {
  if (logprob === null) return 0;
  const share = Math.exp(logprob);
  return [0.95, 0.8, 0.6, 0.4, 0.2, 0.05].findIndex((border) => share >= border) + 1 || 7;
}

const chunkSize = 200;

function Chunk({ tokens, begin, chosen }: { tokens: readonly TokenRecord[]; begin: number; chosen: number | null }) {
  return (
    <span>
      {tokens.map((token, at) => (
        <span
          key={at}
          data-token={begin + at}
          class={`token sure-${step(token.logprob)} ${chosen === begin + at ? "chosen" : ""}`}
        >
          {token.text}
        </span>
      ))}
    </span>
  );
}

// `whole`: all of the text; what stands before the tokens was there already.
export function TokenView(props: {
  tokens: readonly TokenRecord[];
  whole: string;
  onBranch?: (index: number, text: string) => void;
}) {
  const { tokens, whole, onBranch } = props;
  const written = tokens.reduce((length, { text }) => length + text.length, 0);
  const [chosen, setChosen] = useState<number | null>(null);
  const [place, setPlace] = useState({ left: 0, top: 0 });
  const holder = useRef<HTMLDivElement>(null);
  const choose = (index: number | null) => {
    setChosen(index);
    const element = index === null ? null : holder.current?.querySelector<HTMLElement>(`[data-token="${index}"]`);
    if (!element || !holder.current) return;
    const outer = holder.current.getBoundingClientRect();
    const rects = element.getClientRects();
    const box = rects[rects.length - 1] ?? element.getBoundingClientRect();
    setPlace({ left: Math.max(0, Math.min(box.left - outer.left, outer.width - 250)), top: box.bottom - outer.top });
  };
  const point = (event: Event) => {
    const element = (event.target as HTMLElement).closest<HTMLElement>("[data-token]");
    if (element) choose(Number(element.dataset["token"]));
  };
  const keys = (event: KeyboardEvent) => {
    const last = tokens.length - 1;
    if (event.key === "ArrowRight") choose(Math.min(last, (chosen ?? -1) + 1));
    else if (event.key === "ArrowLeft") choose(Math.max(0, (chosen ?? 1) - 1));
    else if (event.key === "Escape" && chosen !== null) {
      choose(null);
      event.stopPropagation();
    } else return;
    event.preventDefault();
  };
  const chunks = [];
  for (let begin = 0; begin < tokens.length; begin += chunkSize) {
    const here = chosen !== null && chosen >= begin && chosen < begin + chunkSize ? chosen : null;
    chunks.push(<Chunk key={begin} begin={begin} tokens={tokens.slice(begin, begin + chunkSize)} chosen={here} />);
  }
  const token = chosen === null ? undefined : tokens[chosen];
  return (
    <div class="token-view" ref={holder} onPointerLeave={() => choose(null)}>
      <div
        class="token-text"
        tabIndex={0}
        role="group"
        aria-label={words().probabilitiesHint}
        onPointerOver={point}
        onClick={point}
        onKeyDown={keys}
      >
        {whole.slice(0, Math.max(0, whole.length - written))}
        {chunks}
      </div>
      {token && chosen !== null ? (
        <div class="alternatives" role="status" style={{ left: `${place.left}px`, top: `${place.top}px` }}>
          <Alternatives token={token} {...(onBranch ? { onTake: (text: string) => onBranch(chosen, text) } : {})} />
        </div>
      ) : null}
    </div>
  );
}

function Alternatives({ token, onTake }: { token: TokenRecord; onTake?: (text: string) => void }) {
  const w = words();
  const rows = token.top.some((other) => other.text === token.text)
    ? token.top
    : [{ text: token.text, logprob: token.logprob ?? Number.NaN }, ...token.top];
  return (
    <table>
      <tbody>
        {rows.map((row, at) => {
          const share = Math.exp(row.logprob);
          const own = row.text === token.text;
          return (
            <tr key={at} class={own ? "own" : ""}>
              <td>
                {own || !onTake ? (
                  <code>{visible(row.text)}</code>
                ) : (
                  <button type="button" title={w.takeInstead(visible(row.text))} onClick={() => onTake(row.text)}>
                    <code>{visible(row.text)}</code>
                  </button>
                )}
              </td>
              <td class="number">{Number.isNaN(share) ? "" : percent(share)}</td>
              <td class="bar">
                <meter min={0} max={1} value={Number.isNaN(share) ? 0 : share} aria-label={w.probability} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
