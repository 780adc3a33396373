// One session as the page holds it: its tree of messages, where the reader stands in it, and the answer being written.
import { type Signal, computed, signal } from "@preact/signals";
import { ApiFailure, api } from "../api/client";
import type {
  Alternative,
  Finished,
  Message,
  Parameters,
  ReadingProgress,
  ReplyRequest,
  Session,
  TokenEvent,
} from "../api/types";
import { words } from "../words/words";
import { MessageTree } from "./message_tree";
import { refreshStatus, serverLost } from "./server";
import { wantProbabilities } from "./settings";
import { notify } from "./toasts";

export interface TokenRecord {
  text: string;
  logprob: number | null;
  top: readonly Alternative[];
}

// An answer on its way. Signals change at most once a frame, however fast tokens come.
export interface LiveAnswer {
  readonly question: string | null; // not stored yet
  readonly parent: Signal<number | null>;
  readonly prefix: string; // text that stood there already and is being continued
  readonly text: Signal<string>;
  readonly tokens: TokenRecord[];
  readonly tokenCount: Signal<number>;
  readonly reading: Signal<ReadingProgress | null>;
  readonly state: Signal<"waiting" | "reading" | "writing" | "stopping">;
  readonly startedAt: number;
  readonly firstTokenAt: Signal<number | null>;
  readonly abort: AbortController;
}

// Text that was shown and that the server does not have (it stopped hard, or was cut off).
export interface Unsaved {
  question: string | null;
  parent: number | null;
  text: string;
  reason: string;
}

const numberOfAlternatives = 6;

let nextKey = 1;

export class Conversation {
  readonly key = nextKey++; // tells views of different conversations apart
  readonly session = signal<Session | null>(null);
  readonly parameters = signal<Parameters>({ mode: "chat" });
  readonly tree = signal(MessageTree.empty);
  readonly leaf = signal<number | null>(null);
  readonly live = signal<LiveAnswer | null>(null);
  readonly unsaved = signal<Unsaved | null>(null);
  readonly lastUndone = signal<number | null>(null);
  // Of answers that this page saw being written; by message.
  readonly finished = signal<ReadonlyMap<number, Finished>>(new Map());
  readonly tokens = new Map<number, readonly TokenRecord[]>(); // of those that were seen being made, or asked for

  readonly path = computed(() => this.tree.value.path(this.leaf.value));
  readonly mode = computed(() => this.parameters.value.mode ?? "chat");

  // Told when something changed that lists and other windows show.
  onChange: (conversation: Conversation) => void = () => undefined;

  get id(): number | null {
    return this.session.value?.id ?? null;
  }

  adopt(session: Session): void {
    this.session.value = session;
    this.parameters.value = session.parameters;
    if (this.live.value === null) this.leaf.value = session.leaf;
  }

  async load(id: number): Promise<void> {
    const { session, messages } = await api.session(id);
    this.tree.value = MessageTree.of(messages);
    this.adopt(session);
  }

  async reload(): Promise<void> {
    if (this.id === null || this.live.value !== null) return;
    await this.load(this.id);
    this.dropWhatIsStored();
  }

  // The server turns out to have what was thought to be lost.
  private dropWhatIsStored(): void {
    const lost = this.unsaved.value;
    if (!lost || lost.question !== null) return;
    const stored = this.tree.value.children(lost.parent).find((id) => {
      const content = this.tree.value.get(id)?.content ?? "";
      return content !== "" && (content.startsWith(lost.text) || lost.text.startsWith(content));
    });
    if (stored !== undefined) this.unsaved.value = null;
  }

  // The session on the server; made with the first thing that is worth keeping.
  private creating: Promise<number> | null = null;
  async ensureStored(): Promise<number> {
    if (this.id !== null) return this.id;
    this.creating ??= api
      .createSession(this.parameters.value)
      .then((session) => {
        this.session.value = session;
        this.onChange(this);
        return session.id;
      })
      .finally(() => (this.creating = null));
    return this.creating;
  }

  async setParameters(parameters: Parameters): Promise<void> {
    this.parameters.value = parameters;
    if (this.id === null) return;
    this.session.value = await api.changeSession(this.id, { parameters });
  }

  async rename(title: string): Promise<void> {
    if (this.id === null) return;
    this.session.value = await api.changeSession(this.id, { title });
    this.onChange(this);
  }

  // --- Answers ---

  // From the field: what the server refuses goes back there.
  send(content: string): Promise<boolean> {
    return this.answer({ parent: this.leaf.value, content }, "", true);
  }
  regenerate(message: Message): Promise<boolean> {
    return this.answer({ parent: message.parent });
  }
  continueText(message: Message): Promise<boolean> {
    return this.answer({ parent: message.id, continue: true }, message.content);
  }
  // What follows a stored message that has no answer yet.
  answerTo(message: number | null): Promise<boolean> {
    return this.answer({ parent: message });
  }
  edit(message: Message, content: string): Promise<boolean> {
    return this.answer({ parent: message.parent, content });
  }

  stop(): void {
    const live = this.live.value;
    if (!live) return;
    live.state.value = "stopping";
    live.abort.abort();
  }

  // True: the server took the request.
  private async answer(request: ReplyRequest, prefix = "", fromField = false): Promise<boolean> {
    if (this.live.value) return false;
    const live: LiveAnswer = {
      question: request.content ?? null,
      parent: signal(request.parent),
      prefix,
      text: signal(prefix),
      tokens: [],
      tokenCount: signal(0),
      reading: signal(null),
      state: signal("waiting"),
      startedAt: performance.now(),
      firstTokenAt: signal(null),
      abort: new AbortController(),
    };
    this.live.value = live;
    this.unsaved.value = null;
    this.leaf.value = request.parent;
    if (wantProbabilities.value === "yes") request.logprobs = numberOfAlternatives;
    const writer = new FrameWriter(live);
    let taken = false;
    try {
      const id = await this.ensureStored();
      await api.reply(
        id,
        request,
        {
          message: (message) => {
            taken = true;
            this.tree.value = this.tree.value.with(message);
            live.parent.value = message.id;
            this.leaf.value = message.id;
            this.onChange(this);
          },
          progress: (progress) => {
            taken = true;
            live.reading.value = progress;
            if (live.state.value === "waiting") live.state.value = "reading";
          },
          token: (token) => writer.add(token),
          done: (finished) => this.finish(live, writer, finished),
        },
        live.abort.signal,
      );
      return true;
    } catch (error) {
      writer.flush();
      await this.recover(live, error);
      if (!taken && fromField) this.unsaved.value = null;
      return taken;
    } finally {
      if (this.live.value === live) this.live.value = null;
      this.onChange(this);
      void refreshStatus();
    }
  }

  private finish(live: LiveAnswer, writer: FrameWriter, finished: Finished): void {
    writer.flush();
    const { message } = finished;
    this.tree.value = this.tree.value.with(message);
    this.tokens.set(message.id, live.tokens);
    this.finished.value = new Map(this.finished.value).set(message.id, finished);
    const follows = this.leaf.value === live.parent.value || this.tree.value.isAbove(this.leaf.value ?? -1, message.id);
    this.live.value = null;
    if (follows) this.leaf.value = message.id;
  }

  // The answer ended early: by Stop, by an error, or because the server went away. The server stores what it had made;
  // what it turns out not to have stays on the page.
  private async recover(live: LiveAnswer, error: unknown): Promise<void> {
    const stopped = live.abort.signal.aborted;
    const failure = error instanceof ApiFailure ? error : null;
    const text = live.text.value;
    const refused = failure !== null && failure.status !== 0 && failure.status !== 500;
    if (refused) {
      notify(failure.status === 409 ? words().busyElsewhere : failure.message, { error: true });
    } else if (!stopped) {
      notify(failure && failure.status !== 0 ? failure.message : words().connectionLost, { error: true });
    }
    if (failure?.status === 0) serverLost();
    const known = new Set(this.tree.value.children(live.parent.value));
    const found = refused ? false : await this.findStored(live, known, text);
    const questionLost = live.question !== null && live.parent.value === this.leaf.value && !found
      ? this.tree.value.get(live.parent.value)?.content !== live.question
      : false;
    if (found || (text === live.prefix && !questionLost)) return;
    const reason = refused ? failure.message : stopped ? words().stopped : words().connectionLost;
    this.unsaved.value = {
      question: questionLost ? live.question : null,
      parent: live.parent.value,
      text: text.slice(live.prefix.length) === "" ? "" : text,
      reason,
    };
  }

  // Looks a few times for what the server stored below the answer's parent. True: it is there.
  private async findStored(live: LiveAnswer, known: ReadonlySet<number>, text: string): Promise<boolean> {
    if (this.id === null) return false;
    for (let attempt = 0; attempt < 6; ++attempt) {
      await new Promise((resolve) => setTimeout(resolve, 60 * 2 ** attempt));
      try {
        const { session, messages } = await api.session(this.id);
        const tree = MessageTree.of(messages);
        const news = tree.children(live.parent.value).find((id) => !known.has(id));
        const continued = live.prefix !== "" && tree.get(live.parent.value)?.content.length !== live.prefix.length;
        if (news === undefined && !continued && text !== live.prefix) continue;
        this.tree.value = tree;
        this.session.value = session;
        this.leaf.value = session.leaf;
        if (news !== undefined) this.tokens.set(news, live.tokens);
        return news !== undefined || continued;
      } catch {
        return false; // still away: the page asks again when it is back
      }
    }
    return false;
  }

  // --- Moving about the tree ---

  // Rollback: the conversation stands at `message` again; what followed stays in the tree.
  async goTo(message: number | null): Promise<void> {
    if (this.id === null || this.live.value) return;
    const before = this.leaf.value;
    this.leaf.value = message;
    this.unsaved.value = null;
    this.session.value = await api.moveLeaf(this.id, message);
    this.lastUndone.value = before;
    this.onChange(this);
  }

  // Shows the newest end of the branch that `message` is on.
  async switchTo(message: number): Promise<void> {
    if (this.id === null || this.live.value) return;
    this.leaf.value = this.tree.value.newestBelow(message);
    this.unsaved.value = null;
    this.session.value = await api.moveLeaf(this.id, message, true);
    this.leaf.value = this.session.value.leaf;
    this.onChange(this);
  }

  async deleteBelow(message: Message): Promise<void> {
    if (this.id === null || this.live.value) return;
    await api.deleteMessage(this.id, message.id);
    await this.load(this.id);
    this.onChange(this);
  }

  private async dropBeginning(beginning: Message): Promise<void> {
    const now = this.tree.value.get(this.leaf.value);
    const superseded = now && now.id !== beginning.id && now.parent === beginning.parent && now.content.startsWith(beginning.content);
    if (superseded && this.tree.value.children(beginning.id).length === 0) await this.deleteBelow(beginning);
  }

  // Another version of an answer, written by hand.
  async storeVersion(parent: number | null, role: string, content: string): Promise<Message | null> {
    if (this.live.value) return null;
    const message = await api.addMessage(await this.ensureStored(), { parent, role, content });
    this.tree.value = this.tree.value.with(message);
    this.leaf.value = message.id;
    this.onChange(this);
    return message;
  }

  // The tokens of an answer and their probabilities: of one that this page saw, or as the server has stored them.
  async loadTokens(message: Message): Promise<void> {
    if (this.id === null || this.tokens.has(message.id)) return;
    const { tokens } = await api.tokens(this.id, message.id);
    this.tokens.set(message.id, tokens);
  }
  hasProbabilities(message: Message): boolean {
    return message.has_tokens || (this.tokens.get(message.id)?.some(({ logprob }) => logprob !== null) ?? false);
  }

  // The text up to a token, then another token in its place, then the model goes on: a branch.
  async branchAtToken(message: Message, index: number, instead: string): Promise<void> {
    const tokens = this.tokens.get(message.id);
    if (!tokens) return;
    const written = tokens.slice(0, index).map((token) => token.text).join("");
    const all = tokens.map((token) => token.text).join("");
    const before = message.content.endsWith(all) ? message.content.slice(0, message.content.length - all.length) : "";
    const stored = await this.storeVersion(message.parent, "assistant", before + written + instead);
    if (!stored) return;
    // A story goes on after the piece; a chat's answer goes on within it, as a version of its own that begins like
    // the stored one, which then has served its purpose.
    if (this.mode.value === "story") await this.answerTo(stored.id);
    else if (await this.continueText(stored)) await this.dropBeginning(stored);
  }
}

// Collects tokens and shows them once a frame.
class FrameWriter {
  private pending = "";
  private scheduled = false;
  constructor(private readonly live: LiveAnswer) {}

  add(token: TokenEvent): void {
    this.pending += token.text;
    this.live.tokens.push({ text: token.text, logprob: token.logprob ?? null, top: token.top ?? [] });
    if (this.scheduled) return;
    this.scheduled = true;
    // A hidden page has no frames.
    if (document.hidden) setTimeout(() => this.flush(), 250);
    else requestAnimationFrame(() => this.flush());
  }

  flush(): void {
    this.scheduled = false;
    const { live } = this;
    if (live.tokenCount.value === live.tokens.length) return;
    if (live.firstTokenAt.value === null) live.firstTokenAt.value = performance.now();
    if (live.state.value !== "stopping") live.state.value = "writing";
    live.text.value += this.pending;
    this.pending = "";
    live.tokenCount.value = live.tokens.length;
  }
}
