import assert from "node:assert/strict";
import test from "node:test";
import { IncrementalMarkdown } from "../../src/markdown/incremental";
import { type MarkdownNode, elementTags, parseMarkdown, safeAddress } from "../../src/markdown/tree";
import { payloads } from "../hostile";

function walk(nodes: readonly MarkdownNode[], visit: (node: MarkdownNode) => void): void {
  for (const node of nodes) {
    visit(node);
    if ("children" in node) walk(node.children, visit);
  }
}
function textOf(nodes: readonly MarkdownNode[]): string {
  let text = "";
  walk(nodes, (node) => {
    if ("text" in node) text += node.text;
    if (node.kind === "math") text += node.formula;
  });
  return text;
}

test("what Markdown means", () => {
  const cases: [string, MarkdownNode[]][] = [
    ["**a**", [{ kind: "element", tag: "p", children: [{ kind: "element", tag: "strong", children: [{ kind: "text", text: "a" }] }] }]],
    ["3. x", [{ kind: "element", tag: "ol", start: 3, children: [{ kind: "element", tag: "li", children: [{ kind: "text", text: "x" }] }] }]],
    ["```js\n1 < 2\n```", [{ kind: "code_block", language: "js", text: "1 < 2", closed: true }]],
    ["- [x] a", [{ kind: "element", tag: "ul", children: [{ kind: "element", tag: "li", children: [{ kind: "task", done: true }, { kind: "text", text: "a" }] }] }]],
    ["$$\nx^2\n$$", [{ kind: "math", formula: "x^2", display: true }]],
    ["\\[x\\]", [{ kind: "math", formula: "x", display: true }]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseMarkdown(text), expected, text);
});

test("money is not mathematics", () => {
  const formulas = (text: string) => {
    const found: string[] = [];
    walk(parseMarkdown(text), (node) => node.kind === "math" && found.push(node.formula));
    return found;
  };
  assert.deepEqual(formulas("It costs $5 and $6."), []);
  assert.deepEqual(formulas("Let $x$ and $y_1$ be, \\(z\\) too."), ["x", "y_1", "z"]);
  assert.deepEqual(formulas("`$x$` and \\$x$"), []);
  assert.deepEqual(formulas("$ x $"), []);
  assert.deepEqual(formulas("$$a$$ inside"), ["a"]);
});

test("images become links, and links lead only to the web or to mail", () => {
  const nodes = parseMarkdown("![see](https://x.example/a.png) [b](javascript:alert(1)) [c](/api/sessions) <mailto:a@b.example>");
  const kinds: string[] = [];
  walk(nodes, (node) => {
    if (node.kind === "image" || node.kind === "link") kinds.push(`${node.kind} ${node.address}`);
  });
  assert.deepEqual(kinds, ["image https://x.example/a.png", "link mailto:a@b.example"]);
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//x.example", "blob:http://x/1", "\u0001javascript:x", "java\nscript:alert(1)"]) {
    assert.equal(safeAddress(bad), null, bad);
  }
});

// The renderer knows no other kinds; a text that smuggles markup shows it as text.
test("hostile texts become known nodes only, with nothing of their markup lost or obeyed", () => {
  const kinds = new Set(["text", "element", "code", "code_block", "math", "task", "link", "image"]);
  const allowed = new Set<string>(elementTags);
  assert.ok(payloads.length >= 500, `${payloads.length} payloads`);
  for (const payload of payloads) {
    for (const text of [payload, `- ${payload}`, `| a |\n|---|\n| ${payload} |`, `**${payload}**`, `\`\`\`\n${payload}`]) {
      walk(parseMarkdown(text), (node) => {
        assert.ok(kinds.has(node.kind), node.kind);
        if (node.kind === "element") assert.ok(allowed.has(node.tag), node.tag);
        if (node.kind === "link" || node.kind === "image") assert.ok(node.address === null || /^(https?|mailto):/.test(node.address), String(node.address));
        const known = new Set(["kind", "tag", "children", "start", "align", "text", "language", "closed", "formula", "display", "done", "address"]);
        for (const name of Object.keys(node)) assert.ok(known.has(name), name);
      });
    }
  }
  assert.match(textOf(parseMarkdown("<script>alert(1)</script>")), /<script>alert\(1\)<\/script>/);
  assert.match(textOf(parseMarkdown("a <b onclick=x>c</b>")), /<b onclick=x>c<\/b>/);
});

const sample = [
  "# Title\n\nA paragraph with **bold** and $x^2$.\nSecond line.\n\n", "- one\n- two\n\n  still two\n  1. deep\n\n", "> quote\n> more\n\n",
  "```python\nfor i in range(3):\n    print(i)\n\n\n# ``` not closed here\n```\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n\n", "Setext\n======\n\n",
  "    indented code\n\n    more\n\n", "~~~\ntilde\n~~~\n", "$$\n\\frac{a}{b}\n$$\n\n", "***\n\n", "- [ ] task\n- [x] done\n\nend of it",
].join("");

test("text that grows character by character ends as if it had come at once", () => {
  const growing = new IncrementalMarkdown();
  for (let end = 1; end <= sample.length; ++end) growing.update(sample.slice(0, end));
  const grown = growing.update(sample).flatMap((block) => block.nodes);
  assert.deepEqual(grown, parseMarkdown(sample));
});

test("at each moment, what is shown is what a whole reading would show", () => {
  const growing = new IncrementalMarkdown();
  for (let end = 1; end <= sample.length; end += 3) {
    const text = sample.slice(0, end);
    // An open code block ends with the blanks typed so far, and is marked as open.
    const settled = (nodes: readonly MarkdownNode[]) =>
      nodes.map((node) => (node.kind === "code_block" ? { ...node, text: node.text.trimEnd(), closed: true } : node));
    const shown = growing.update(text).flatMap((block) => block.nodes);
    assert.deepEqual(settled(shown), settled(parseMarkdown(text)), JSON.stringify(text.slice(-40)));
  }
});

test("blocks that are finished stay the same objects", () => {
  const growing = new IncrementalMarkdown();
  const before = growing.update("one\n\ntwo\n\nthr");
  const after = growing.update("one\n\ntwo\n\nthree and more");
  assert.equal(after[0], before[0]);
  assert.equal(after[1], before[1]);
});

// Characters handed to the parser are counted, not time: n pieces of a long answer cost a small multiple of its length.
test("the work for a growing text is linear in its length", () => {
  const paragraph = "Some words of an answer, with *emphasis* here and there.\n\n";
  const code = "    let total = 0; // a line of code in a long block\n";
  for (const unit of [paragraph, `- an item of a list\n\nand a paragraph ${"x".repeat(40)}\n\n`]) {
    const work = [200, 400].map((count) => {
      const growing = new IncrementalMarkdown();
      let text = "";
      for (let at = 0; at < count; ++at) {
        for (let part = 0; part < unit.length; part += 5) growing.update((text += unit.slice(part, part + 5)));
      }
      return growing.parsedCharacters / text.length;
    });
    assert.ok(work[1]! < work[0]! * 1.2, `${work}`);
    assert.ok(work[1]! < 40, `${work}`);
  }
  const growing = new IncrementalMarkdown();
  let text = "```cpp\n";
  for (let at = 0; at < 4000; ++at) growing.update((text += code));
  assert.ok(growing.parsedCharacters < text.length * 4, `${growing.parsedCharacters} of ${text.length}`);
  assert.deepEqual(growing.update(`${text}\`\`\`\n`).flatMap((block) => block.nodes), parseMarkdown(`${text}\`\`\`\n`));
});

test("a text that is replaced is read anew", () => {
  const growing = new IncrementalMarkdown();
  growing.update("# one\n\ntwo");
  assert.deepEqual(growing.update("other").flatMap((block) => block.nodes), parseMarkdown("other"));
});
