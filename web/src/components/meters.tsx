// How full the context is, what of it came from the cache, how fast the answer was: as a strip of tiles and in words.
import type { ReadingProgress } from "../api/types";
import type { Conversation, LiveAnswer } from "../state/conversation";
import { server } from "../state/server";
import { fullNumber, percent, seconds, shortNumber, words } from "../words/words";

export interface Share {
  kind: "cached" | "read" | "written" | "ahead";
  amount: number;
}

const tiles = 48;

// Each tile is one part in 48 of `size`; one that several kinds share shows the largest of them.
export function Mosaic({ shares, size, label }: { shares: readonly Share[]; size: number; label: string }) {
  const kinds: string[] = [];
  let end = 0;
  for (const { kind, amount } of shares) {
    end += amount;
    const until = Math.min(tiles, Math.round((end / Math.max(1, size)) * tiles));
    // What is there is seen, however little it is.
    const least = amount > 0 && kinds.length < tiles ? kinds.length + (kinds.length === until && until === 0 ? 1 : 0) : 0;
    while (kinds.length < Math.max(until, least)) kinds.push(kind);
  }
  return (
    <svg class="mosaic" viewBox={`0 0 ${tiles * 2.5} 10`} width={tiles * 2.5} height="10" role="img" aria-label={label}>
      {Array.from({ length: tiles }, (_, at) => (
        <rect key={at} class={kinds[at] ?? "empty"} x={Math.floor(at / 2) * 5} y={(at % 2) * 5} width="4" height="4" rx="0.9" />
      ))}
    </svg>
  );
}

export function readingShares(reading: ReadingProgress): Share[] {
  const { cached_tokens, done_tokens, prompt_tokens } = reading;
  const read = Math.max(0, done_tokens - cached_tokens);
  return [
    { kind: "cached", amount: cached_tokens },
    { kind: "read", amount: read },
    { kind: "ahead", amount: Math.max(0, prompt_tokens - cached_tokens - read) },
  ];
}

// What the context holds, from what was last measured on this branch.
function contextOf(conversation: Conversation): { shares: Share[]; used: number; size: number } | null {
  const size = server.value?.model?.context_size ?? 0;
  const live = conversation.live.value;
  const reading = live?.reading.value;
  if (live && reading) {
    const written = live.tokenCount.value;
    const shares = [...readingShares(reading), { kind: "written" as const, amount: written }];
    return { shares, used: reading.prompt_tokens + written, size };
  }
  const last = [...conversation.path.value].reverse().find(({ prompt_tokens }) => prompt_tokens !== null);
  if (!last) return size > 0 ? { shares: [], used: 0, size } : null;
  const finished = conversation.finished.value.get(last.id);
  const prompt = last.prompt_tokens ?? 0;
  const cached = finished?.usage.cached_tokens ?? 0;
  const written = last.completion_tokens ?? 0;
  return {
    shares: [
      { kind: "cached", amount: cached },
      { kind: "read", amount: prompt - cached },
      { kind: "written", amount: written },
    ],
    used: prompt + written,
    size: finished?.context.size ?? size,
  };
}

export function ContextMeter({ conversation }: { conversation: Conversation }) {
  const w = words();
  const context = contextOf(conversation);
  const cache = server.value?.cache;
  if (!context || context.size === 0) return null;
  const text = w.contextUsed(shortNumber(context.used), shortNumber(context.size));
  const legend = `${w.context}: ${text}\n■ ${w.legendCached}, ${w.legendRead}, ${w.legendWritten}`;
  return (
    <span class="meter" title={legend}>
      <Mosaic shares={context.shares} size={context.size} label={`${w.context}: ${text}`} />
      <span class="meter-text">{text}</span>
      {cache && cache.tokens > 0 ? (
        <span class="meter-text cache" title={w.cacheUsed(fullNumber(cache.used_tokens), fullNumber(cache.tokens))}>
          {w.cache} {percent(cache.used_tokens / cache.tokens)}
        </span>
      ) : null}
    </span>
  );
}

export function LiveMeter({ live }: { live: LiveAnswer }) {
  const w = words();
  const count = live.tokenCount.value;
  const first = live.firstTokenAt.value;
  const reading = live.reading.value;
  if (live.state.value === "stopping") return <span class="measure">{w.stopping}</span>;
  if (first === null) {
    if (!reading || reading.done_tokens >= reading.prompt_tokens) return <span class="measure">{w.thinking}</span>;
    return (
      <span class="measure">
        <Mosaic
          shares={readingShares(reading)}
          size={reading.prompt_tokens}
          label={w.readingPrompt(fullNumber(reading.done_tokens), fullNumber(reading.prompt_tokens))}
        />
        {w.readingPrompt(fullNumber(reading.done_tokens), fullNumber(reading.prompt_tokens))}
        {reading.cached_tokens > 0 ? `, ${w.fromCache(fullNumber(reading.cached_tokens))}` : ""}
      </span>
    );
  }
  const spent = (performance.now() - first) / 1000;
  const rate = count > 1 && spent > 0.05 ? ((count - 1) / spent).toFixed(1) : "…";
  return (
    <span class="measure">
      {w.tokensPerSecond(rate)} · {w.firstToken(seconds((first - live.startedAt) / 1000))} · {w.tokens(count)}
    </span>
  );
}
