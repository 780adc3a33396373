import assert from "node:assert/strict";
import test from "node:test";
import type { Message, Role } from "../../src/api/types";
import { MessageTree } from "../../src/state/message_tree";

const message = (id: number, parent: number | null, role: Role): Message => ({
  id, parent, role, content: `text ${id}`, model: "", finish_reason: null, prompt_tokens: null, completion_tokens: null,
  prefill_seconds: null, decode_seconds: null, created_at: id, has_tokens: false,
});

// 1 ─ 2 ─ 5 ─ 6     4: another answer to 1; 3: another first question; 7 below 4.
const all = [
  message(1, null, "user"), message(2, 1, "assistant"), message(3, null, "user"), message(4, 1, "assistant"),
  message(5, 2, "user"), message(6, 5, "assistant"), message(7, 4, "user"),
];
const tree = MessageTree.of(all);
const ids = (messages: Message[]) => messages.map(({ id }) => id);

test("paths, versions and branches", () => {
  assert.deepEqual(ids(tree.path(6)), [1, 2, 5, 6]);
  assert.deepEqual(ids(tree.path(7)), [1, 4, 7]);
  assert.deepEqual(ids(tree.path(null)), []);
  assert.deepEqual(ids(tree.path(99)), []);
  assert.deepEqual(tree.versions(4), { index: 1, ids: [2, 4] });
  assert.deepEqual(tree.versions(3), { index: 1, ids: [1, 3] });
  assert.deepEqual(tree.versions(6), { index: 0, ids: [6] });
  assert.equal(tree.newestBelow(1), 7);
  assert.equal(tree.newestBelow(2), 6);
  assert.equal(tree.newestBelow(3), 3);
  assert.ok(tree.isAbove(1, 6));
  assert.ok(!tree.isAbove(4, 6));
});

test("a change leaves the tree before it as it was", () => {
  const more = tree.with(message(8, 6, "user"));
  assert.equal(tree.size, 7);
  assert.deepEqual(tree.children(6), []);
  assert.deepEqual(more.children(6), [8]);
  const changed = more.with({ ...message(8, 6, "user"), content: "other" });
  assert.equal(changed.get(8)?.content, "other");
  assert.deepEqual(changed.children(6), [8]);
});

test("a version has the role of its siblings: a question is not one of the answers", () => {
  const mixed = tree.with(message(8, 1, "user"));
  assert.deepEqual(mixed.versions(8), { index: 0, ids: [8] });
});

test("messages that claim to be each other's parents end", () => {
  const circle = MessageTree.of([message(1, 2, "user"), message(2, 1, "user")]);
  assert.ok(circle.path(1).length <= 3);
});
