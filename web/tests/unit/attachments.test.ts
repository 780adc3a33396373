import assert from "node:assert/strict";
import test from "node:test";
import { fenceFor, partsOf, withAttachments } from "../../src/state/attachments";

test("an attachment comes back whole, whatever it contains", () => {
  const texts = ["plain", "with ``` inside\n```\nand more", "```````\n", "", "a\n\n\nb", "x".repeat(5000), "$& $1 \\n"];
  for (const text of texts) {
    const content = withAttachments("What is this?", [{ name: "notes (1).md", text }]);
    const parts = partsOf(content);
    assert.equal(parts.length, 2, content.slice(0, 80));
    assert.deepEqual(parts[0], { kind: "file", name: "notes (1).md", language: "md", text: text.replace(/\n$/, "") });
    assert.deepEqual(parts[1], { kind: "text", text: "What is this?" });
  }
});

test("several files and no text", () => {
  const content = withAttachments("", [{ name: "a.py", text: "print(1)" }, { name: "b", text: "```" }]);
  const parts = partsOf(content);
  assert.deepEqual(parts.map((part) => part.kind), ["file", "file"]);
  assert.equal(parts[1]?.text, "```");
});

test("a text without attachments stays one text", () => {
  assert.deepEqual(partsOf("a `b` c"), [{ kind: "text", text: "a `b` c" }]);
  assert.deepEqual(partsOf("```\nnever closed"), [{ kind: "text", text: "```\nnever closed" }]);
});

test("a fence is longer than any in the text", () => {
  assert.equal(fenceFor("a"), "```");
  assert.equal(fenceFor("x ```` y"), "`````");
});
