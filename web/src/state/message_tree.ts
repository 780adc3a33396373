// A session's messages as a tree. Immutable: a change gives a new tree, so that views see it.
import type { Message } from "../api/types";

export class MessageTree {
  private constructor(
    private readonly messages: ReadonlyMap<number, Message>,
    private readonly below: ReadonlyMap<number | null, readonly number[]>,
  ) {}

  static readonly empty = new MessageTree(new Map(), new Map());

  static of(messages: readonly Message[]): MessageTree {
    const below = new Map<number | null, number[]>();
    for (const { id, parent } of messages) {
      const list = below.get(parent);
      if (list) list.push(id);
      else below.set(parent, [id]);
    }
    return new MessageTree(new Map(messages.map((message) => [message.id, message])), below);
  }

  get size(): number {
    return this.messages.size;
  }
  get(id: number | null): Message | undefined {
    return id === null ? undefined : this.messages.get(id);
  }
  children(id: number | null): readonly number[] {
    return this.below.get(id) ?? [];
  }
  all(): Message[] {
    return [...this.messages.values()];
  }

  // With `message` added, or changed.
  with(message: Message): MessageTree {
    const messages = new Map(this.messages).set(message.id, message);
    if (this.messages.has(message.id)) return new MessageTree(messages, this.below);
    const below = new Map(this.below).set(message.parent, [...this.children(message.parent), message.id]);
    return new MessageTree(messages, below);
  }

  // From the first message to `leaf`.
  path(leaf: number | null): Message[] {
    const path: Message[] = [];
    for (let at = this.get(leaf); at && path.length <= this.size; at = this.get(at.parent)) path.push(at);
    return path.reverse();
  }

  // Where a message stands among the versions of its place: {index: 1, ids: [7, 9, 12]} is the second of three.
  // Versions are the children of one parent with one role, so that a question is never a version of an answer.
  versions(id: number): { index: number; ids: readonly number[] } {
    const message = this.get(id);
    if (!message) return { index: 0, ids: [id] };
    const ids = this.children(message.parent).filter((child) => this.get(child)?.role === message.role);
    return { index: ids.indexOf(id), ids };
  }

  // The end of the newest branch below `id` (itself when it has none).
  newestBelow(id: number): number {
    let newest = id;
    const pending = [id];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const children = this.children(at);
      if (children.length === 0 && at > newest) newest = at;
      pending.push(...children);
    }
    return newest;
  }

  isAbove(above: number, id: number | null): boolean {
    for (let at = this.get(id); at; at = this.get(at.parent)) {
      if (at.id === above) return true;
    }
    return false;
  }
}
