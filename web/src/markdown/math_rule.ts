// Mathematics in Markdown: $...$ and \(...\) in lines, $$...$$ and \[...\] on their own.
import type { MarkdownIt, StateBlock, StateInline } from "markdown-it";

const backslash = 0x5c;
const dollar = 0x24;
const longestFormula = 10_000;

function push(state: StateInline, content: string, display: boolean, end: number, silent: boolean): true {
  if (!silent) {
    const token = state.push("math", "", 0);
    token.content = content;
    token.meta = { display };
  }
  state.pos = end;
  return true;
}

// As Pandoc reads dollars, so that "$5 and $6" stays money: no blank inside the borders, no digit after.
function dollars(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  const display = src.charCodeAt(pos + 1) === dollar;
  const begin = pos + (display ? 2 : 1);
  if (begin >= posMax || (!display && /\s/.test(src[begin]!))) return false;
  const closing = display ? "$$" : "$";
  const limit = Math.min(posMax, begin + longestFormula);
  for (let end = src.indexOf(closing, begin); end >= 0 && end < limit; end = src.indexOf(closing, end + 1)) {
    if (src.charCodeAt(end - 1) === backslash) continue;
    if (end === begin) return false;
    if (!display && (/\s/.test(src[end - 1]!) || /\d/.test(src[end + 1] ?? ""))) return false;
    return push(state, src.slice(begin, end), display, end + closing.length, silent);
  }
  return false;
}

function parentheses(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  const opening = src[pos + 1];
  if (opening !== "(" && opening !== "[") return false;
  const end = src.indexOf(opening === "(" ? "\\)" : "\\]", pos + 2);
  if (end < 0 || end >= Math.min(posMax, pos + longestFormula)) return false;
  return push(state, src.slice(pos + 2, end), opening === "[", end + 2, silent);
}

function inline(state: StateInline, silent: boolean): boolean {
  const code = state.src.charCodeAt(state.pos);
  if (code === dollar) return dollars(state, silent);
  return code === backslash && parentheses(state, silent);
}

const closings: Record<string, string> = { $$: "$$", "\\[": "\\]" };

function block(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const line = (at: number) => state.src.slice(state.bMarks[at]! + state.tShift[at]!, state.eMarks[at]).trimEnd();
  const first = line(startLine);
  const closing = closings[first.slice(0, 2)];
  if (closing === undefined) return false;
  const lines = [first.slice(2)];
  let last = startLine;
  // One line: $$ x $$ and nothing after. Otherwise up to a line that ends with the closing mark.
  if (first.length > 2 && first.slice(2).includes(closing)) {
    if (first.indexOf(closing, 2) !== first.length - 2) return false;
  } else {
    for (++last; last < endLine; ++last) {
      if (state.sCount[last]! < state.blkIndent && line(last) !== "") return false;
      lines.push(line(last));
      if (line(last).endsWith(closing)) break;
    }
    if (last >= endLine) return false;
  }
  if (silent) return true;
  const token = state.push("math_block", "", 0);
  token.content = lines.join("\n").slice(0, -2).trim();
  token.block = true;
  token.map = [startLine, last + 1];
  state.line = last + 1;
  return true;
}

export function addMathematics(markdown: MarkdownIt): void {
  markdown.inline.ruler.before("escape", "math", inline);
  markdown.block.ruler.before("fence", "math_block", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
}
