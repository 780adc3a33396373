// The whole tree of a session. A chain of messages goes down; where it forks, each branch is a step to the right.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Message } from "../api/types";
import type { Conversation } from "../state/conversation";
import type { MessageTree } from "../state/message_tree";
import { attempt } from "../state/sessions";
import { words } from "../words/words";
import { editing } from "./view_state";

export interface TreeRow {
  message: Message;
  depth: number; // forks above it
  forked: boolean; // one of several below its parent
  last: boolean; // has nothing below
}

// In the order they are drawn: older branches first, each down to its ends.
export function rowsOf(tree: MessageTree): TreeRow[] {
  const rows: TreeRow[] = [];
  const pending: { id: number; depth: number; forked: boolean }[] = [];
  const push = (ids: readonly number[], depth: number) => {
    const forked = ids.length > 1;
    [...ids].reverse().forEach((id) => pending.push({ id, depth: forked ? depth + 1 : depth, forked }));
  };
  push(tree.children(null), 0);
  for (let next = pending.pop(); next; next = pending.pop()) {
    const message = tree.get(next.id);
    if (!message) continue;
    const below = tree.children(next.id);
    rows.push({ message, depth: next.depth, forked: next.forked, last: below.length === 0 });
    push(below, next.depth);
  }
  return rows;
}

const firstLine = (text: string) => text.trimStart().slice(0, 160).replace(/\s+/g, " ") || "…";

export function TreeView({ conversation }: { conversation: Conversation }) {
  const w = words();
  const tree = conversation.tree.value;
  const rows = useMemo(() => rowsOf(tree), [tree]);
  const leaf = conversation.leaf.value;
  const onPath = useMemo(() => new Set(tree.path(leaf).map(({ id }) => id)), [tree, leaf]);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [leaf]);
  const go = (message: Message) => {
    editing.value = null;
    void attempt(() => conversation.goTo(message.id));
  };
  const keys = (event: KeyboardEvent) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[role=treeitem]") ?? [])];
    const at = items.indexOf(event.target as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return;
    items[Math.max(0, Math.min(items.length - 1, to))]?.focus();
    event.preventDefault();
  };
  if (rows.length === 0) return <p class="faint">{w.treeEmpty}</p>;
  return (
    <>
      <p class="faint">{w.treeHelp}</p>
      <ul class="tree" role="tree" aria-label={w.tree} ref={list} onKeyDown={keys}>
        {rows.map(({ message, depth, forked, last }) => {
          const here = message.id === leaf;
          const classes = [message.role, onPath.has(message.id) ? "on-path" : "", forked ? "forked" : "", last ? "last" : ""];
          return (
            <li
              key={message.id}
              role="treeitem"
              aria-level={depth + 1}
              aria-selected={here}
              tabIndex={here || (leaf === null && message === rows[0]?.message) ? 0 : -1}
              class={classes.join(" ")}
              style={{ "--depth": String(Math.min(depth, 12)) }}
              onClick={() => go(message)}
              onKeyDown={(e) => {
                if (e.key === "Enter" || e.key === " ") {
                  e.preventDefault();
                  go(message);
                }
              }}
            >
              <i class="node" aria-hidden="true" />
              <bdi>{firstLine(message.content)}</bdi>
              {here ? <small>{w.here}</small> : null}
            </li>
          );
        })}
      </ul>
    </>
  );
}
