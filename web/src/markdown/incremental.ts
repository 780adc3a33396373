// Markdown that grows. A top-level block is final as soon as another begins after it, so only the last one is read
// again when text is added, and an open code block not even that: a long answer costs what its length costs.
import { type MarkdownNode, type ParserState, markdownParser, treeOf } from "./tree";

export interface MarkdownBlock {
  readonly key: number;
  readonly nodes: readonly MarkdownNode[];
}

interface OpenFence {
  language: string;
  closing: RegExp;
  begin: number; // of its text
  searched: number; // up to where no closing fence was found; a beginning of a line
}

// Beyond this a block that is no code is shown as it stands: nobody reads such a paragraph.
const longestBlock = 60_000;

export class IncrementalMarkdown {
  private text = "";
  private stable: MarkdownBlock[] = [];
  private stableEnd = 0;
  private state: ParserState = {};
  private fence: OpenFence | null = null;
  private blocks: readonly MarkdownBlock[] = [];
  // Characters handed to the parser so far: what the cost is measured by.
  parsedCharacters = 0;

  update(given: string): readonly MarkdownBlock[] {
    const text = given.includes("\r") ? given.replace(/\r\n?/g, "\n") : given;
    if (text === this.text) return this.blocks;
    if (!text.startsWith(this.text)) this.reset();
    this.text = text;
    this.blocks = this.fence && this.stillOpen(this.fence) ? this.withOpenFence(this.fence) : this.readTail();
    return this.blocks;
  }

  private reset(): void {
    this.stable = [];
    this.stableEnd = 0;
    this.state = {};
    this.fence = null;
  }

  // No line since the last look closes the fence.
  private stillOpen(fence: OpenFence): boolean {
    for (;;) {
      const end = this.text.indexOf("\n", fence.searched);
      const line = this.text.slice(fence.searched, end < 0 ? undefined : end);
      this.parsedCharacters += line.length < 200 ? line.length : 0;
      if (line.length < 200 && fence.closing.test(line)) return false;
      if (end < 0) return true;
      fence.searched = end + 1;
    }
  }

  private withOpenFence(fence: OpenFence): readonly MarkdownBlock[] {
    const node: MarkdownNode = {
      kind: "code_block",
      language: fence.language,
      text: this.text.slice(fence.begin).replace(/\n$/, ""),
      closed: false,
    };
    return [...this.stable, { key: this.stable.length, nodes: [node] }];
  }

  private readTail(): readonly MarkdownBlock[] {
    this.fence = null;
    const tail = this.text.slice(this.stableEnd);
    if (tail.length > longestBlock && !/\n\s*\n|```|~~~/.test(tail)) {
      return [...this.stable, { key: this.stable.length, nodes: [{ kind: "text", text: tail }] }];
    }
    this.parsedCharacters += tail.length;
    const tokens = markdownParser.parse(tail, this.state);
    const begins: number[] = []; // index of the first token of each top-level block
    tokens.forEach((token, index) => {
      if (token.level === 0 && token.nesting >= 0) begins.push(index);
    });
    const lineOffset = lineOffsets(tail);
    begins.slice(0, -1).forEach((begin, at) => {
      this.stable.push({ key: this.stable.length, nodes: treeOf(tokens.slice(begin, begins[at + 1])) });
    });
    const last = begins[begins.length - 1];
    if (last === undefined) return [...this.stable];
    const lastToken = tokens[last]!;
    const offset = lineOffset(lastToken.map?.[0] ?? 0);
    this.stableEnd += offset;
    if (lastToken.type === "fence") {
      this.fence = openFence(tail.slice(offset), this.stableEnd, lastToken.info);
      if (this.fence && this.stillOpen(this.fence)) return this.withOpenFence(this.fence);
      this.fence = null;
    }
    return [...this.stable, { key: this.stable.length, nodes: treeOf(tokens.slice(last)) }];
  }
}

function lineOffsets(text: string): (line: number) => number {
  const offsets = [0];
  return (line) => {
    while (offsets.length <= line) {
      const next = text.indexOf("\n", offsets[offsets.length - 1]);
      if (next < 0) return text.length;
      offsets.push(next + 1);
    }
    return offsets[line]!;
  };
}

// The fence that begins `text`, which starts at `offset`. Null: indented ones, whose text is not cut out plainly.
function openFence(text: string, offset: number, info: string): OpenFence | null {
  const found = /^(`{3,}|~{3,})[^\n]*\n/.exec(text);
  if (!found) return null;
  const mark = found[1]!;
  const begin = offset + found[0].length;
  return {
    language: info.trim().split(/\s+/)[0] ?? "",
    closing: new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`),
    begin,
    searched: begin,
  };
}
