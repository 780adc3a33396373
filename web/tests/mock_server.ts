// A stand-in for tessera serve that says whatever a test wants: hostile texts, any speed, any failure. It keeps
// sessions in memory and speaks the same /api. For trying the page by hand: node tests/run.mjs mock [PORT].
import { readFileSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import type { Alternative, Message, Parameters, ReplyRequest, Session } from "../src/api/types";

export interface MockToken {
  text: string;
  logprob?: number;
  top?: Alternative[];
}

export interface MockReply {
  // Pieces of the answer, in the order they are sent.
  tokens: Iterable<MockToken | string>;
  delay?: number; // milliseconds between two
  promptTokens?: number;
  cachedTokens?: number;
  readingSteps?: number; // progress events while the prompt is read
  failAfter?: number; // tokens, then an error event
  cutAfter?: number; // tokens, then the connection is cut and nothing is stored
  pause?: Promise<void>; // before the first token
}

export type ReplyMaker = (request: ReplyRequest, path: readonly Message[]) => MockReply;

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function wordsOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

// The headers that the program sends, read from its source, so that the tests hold what is shipped.
export function shippedHeaders(root: string): Record<string, string> {
  const source = readFileSync(join(root, "..", "src", "serve", "web_assets.cpp"), "utf8");
  const policy = /kContentSecurityPolicy\s*=\s*((?:"[^"]*"\s*)+);/.exec(source)?.[1];
  if (!policy) throw new Error("no kContentSecurityPolicy in src/serve/web_assets.cpp");
  return {
    "Content-Security-Policy": [...policy.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join(""),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
  };
}

export class MockServer {
  sessions = new Map<number, Session>();
  messages = new Map<number, Message[]>();
  tokens = new Map<number, unknown[]>(); // of answers, by message
  requests: { method: string; path: string; body: unknown }[] = [];
  makeReply: ReplyMaker = () => ({ tokens: wordsOf("This is the mock's answer.") });
  status: Record<string, unknown> | null = null; // instead of the usual
  key: string | null = null;
  storesCancelled = true; // false: as after kill -9
  url = "";
  private nextSession = 1;
  private nextMessage = 1;
  private busy = new Set<number>();
  private server: Server | null = null;
  private sockets = new Set<Socket>();

  constructor(
    private readonly folder: string, // with the built page
    private readonly headers: Record<string, string>,
  ) {}

  async start(port = 0): Promise<void> {
    this.server = createServer((request, response) => {
      // As far away as asked (milliseconds, random up to it): finds tests that count on an answer being there already.
      // A page that is closed meanwhile breaks its requests off, which is no failure of a test.
      setTimeout(() => void this.handle(request, response).catch(() => response.destroy()), Math.random() * Number(process.env["TESSERA_MOCK_DELAY"] ?? 0));
    });
    this.server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.server!.listen(port, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server?.close(() => resolve()) ?? resolve());
    this.busy.clear();
  }

  addSession(title: string, parameters: Parameters = {}): Session {
    const now = Date.now();
    const session: Session = {
      id: this.nextSession++, title, model: "mock", parameters, created_at: now, updated_at: now, archived: false,
      leaf: null, message_count: 0,
    };
    this.sessions.set(session.id, session);
    this.messages.set(session.id, []);
    return session;
  }

  addMessage(session: Session, parent: number | null, role: Message["role"], content: string): Message {
    const message: Message = {
      id: this.nextMessage++, parent, role, content, model: role === "assistant" ? "mock" : "", finish_reason: null,
      prompt_tokens: null, completion_tokens: null, prefill_seconds: null, decode_seconds: null, created_at: Date.now(),
      has_tokens: false,
    };
    this.messages.get(session.id)!.push(message);
    session.leaf = message.id;
    session.message_count += 1;
    session.updated_at = message.created_at;
    return message;
  }

  private pathTo(session: Session, leaf: number | null): Message[] {
    const all = new Map(this.messages.get(session.id)!.map((message) => [message.id, message]));
    const path: Message[] = [];
    for (let at = leaf === null ? undefined : all.get(leaf); at; at = at.parent === null ? undefined : all.get(at.parent)) {
      path.unshift(at);
    }
    return path;
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://mock");
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const body = text === "" ? undefined : (JSON.parse(text) as never);
    this.requests.push({ method: request.method ?? "", path: url.pathname + url.search, body });
    const json = (status: number, value: unknown) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(status === 204 ? "" : JSON.stringify(value));
    };
    const fail = (status: number, message: string) => json(status, { error: { message, type: "invalid_request_error" } });
    if (!url.pathname.startsWith("/api/")) return this.file(url.pathname, response);
    if (this.key !== null && request.headers.authorization !== `Bearer ${this.key}`) return fail(401, "expected a valid API key");
    const parts = url.pathname.split("/").slice(2);
    const route = `${request.method} ${parts.map((part) => (/^\d+$/.test(part) ? "#" : part)).join("/")}`;
    const session = this.sessions.get(Number(parts[1]));
    if (parts[1] !== undefined && !session) return fail(404, "no such session");
    switch (route) {
      case "GET status":
        return json(200, this.status ?? this.usualStatus());
      case "GET sessions": {
        const archived = url.searchParams.get("archived") === "true";
        const all = [...this.sessions.values()].filter((one) => one.archived === archived).sort((a, b) => b.updated_at - a.updated_at || b.id - a.id);
        const begin = Number(url.searchParams.get("after") ?? 0);
        return json(200, { sessions: all.slice(begin, begin + 50), next: all.length > begin + 50 ? String(begin + 50) : null });
      }
      case "POST sessions": {
        const { title, parameters } = body as unknown as { title?: string; parameters?: Parameters };
        return json(201, this.addSession(title ?? "", parameters));
      }
      case "GET sessions/#":
        return json(200, { session, messages: this.messages.get(session!.id) });
      case "PATCH sessions/#":
        return json(200, Object.assign(session!, body));
      case "DELETE sessions/#":
        this.sessions.delete(session!.id);
        return json(204, null);
      case "POST sessions/#/messages": {
        const { parent, role, content } = body as unknown as Message;
        return json(201, this.addMessage(session!, parent, role, content));
      }
      case "PATCH sessions/#/leaf": {
        const { message, newest_below } = body as unknown as { message: number | null; newest_below?: boolean };
        session!.leaf = newest_below && message !== null ? this.newestBelow(session!, message) : message;
        return json(200, session);
      }
      case "DELETE sessions/#/messages/#":
        return json(200, { deleted: this.deleteBelow(session!, Number(parts[3])) });
      case "GET sessions/#/messages/#/tokens":
        return json(200, { tokens: this.tokens.get(Number(parts[3])) ?? [] });
      case "POST sessions/#/reply":
        return this.reply(session!, body as unknown as ReplyRequest, response);
      case "GET search":
        return json(200, { hits: this.search(url.searchParams.get("q") ?? ""), next: null });
      case "GET sessions/#/export":
        return json(200, { session, messages: this.messages.get(session!.id) });
      case "POST import": {
        const { sessions } = body as unknown as { sessions: { title: string }[] };
        return json(200, { sessions: sessions.map(({ title }) => this.addSession(title).id) });
      }
      default:
        return fail(404, `no such path: ${route}`);
    }
  }

  private usualStatus() {
    return {
      ready: true,
      model: { id: "mock", name: "Mock-135M", architecture: "llama", parameters: 135e6, context_size: 4096, vocab_size: 49152, weights_bytes: 98e6, chat: true },
      progress: null, error: null, cache: { tokens: 16384, used_tokens: 2048 }, running: this.busy.size, waiting: 0, version: "mock",
      defaults: { temperature: 0.4, top_k: 40, top_p: 0.95, min_p: 0.05 },
    };
  }

  private newestBelow(session: Session, id: number): number {
    const all = this.messages.get(session.id)!;
    const below = all.filter((message) => message.id === id || this.pathTo(session, message.id).some((above) => above.id === id));
    return Math.max(...below.filter(({ id: own }) => !all.some(({ parent }) => parent === own)).map(({ id: own }) => own));
  }

  private deleteBelow(session: Session, id: number): number {
    const all = this.messages.get(session.id)!;
    const gone = new Set(all.filter((message) => this.pathTo(session, message.id).some((above) => above.id === id)).map((m) => m.id));
    const parent = all.find((message) => message.id === id)?.parent ?? null;
    this.messages.set(session.id, all.filter((message) => !gone.has(message.id)));
    if (session.leaf !== null && gone.has(session.leaf)) session.leaf = parent;
    return gone.size;
  }

  private search(words: string) {
    const hits = [];
    for (const session of this.sessions.values()) {
      for (const message of this.messages.get(session.id)!) {
        const at = message.content.toLowerCase().indexOf(words.toLowerCase());
        if (at < 0) continue;
        const begin = [...message.content.slice(0, at)].length;
        hits.push({
          session: session.id, title: session.title, message: message.id, role: message.role, created_at: message.created_at,
          snippet: message.content, highlights: [[begin, begin + [...words].length]],
        });
      }
    }
    return hits;
  }

  private async reply(session: Session, request: ReplyRequest, response: ServerResponse): Promise<void> {
    if (this.busy.has(session.id)) {
      response.writeHead(409, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ error: { message: "an answer is under way", type: "conflict" } }));
      return;
    }
    this.busy.add(session.id);
    let gone = false;
    response.on("close", () => (gone = true));
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const send = (name: string, data: unknown) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
    let parent = request.parent;
    if (request.content !== undefined) {
      const message = this.addMessage(session, parent, "user", request.content);
      parent = message.id;
      send("message", { message });
    }
    const path = this.pathTo(session, parent);
    const plan = this.makeReply(request, path);
    const prompt = plan.promptTokens ?? 20 + 12 * path.length;
    const cached = plan.cachedTokens ?? Math.floor(prompt * 0.7);
    const continued = request.continue === true ? path.at(-1) : undefined;
    let text = continued?.content ?? "";
    let count = 0;
    const tokens: unknown[] = [];
    const begin = Date.now();
    const store = (finish_reason: string) => {
      this.busy.delete(session.id);
      const message = this.addMessage(session, continued ? continued.parent : parent, "assistant", text);
      if (request.logprobs !== undefined) this.tokens.set(message.id, tokens);
      Object.assign(message, { finish_reason, has_tokens: request.logprobs !== undefined, prompt_tokens: prompt, completion_tokens: count, prefill_seconds: 0.1, decode_seconds: (Date.now() - begin) / 1000 });
      return message;
    };
    const steps = plan.readingSteps ?? 1;
    for (let step = 0; step < steps && !gone; ++step) {
      const done = steps === 1 ? prompt : cached + Math.round(((prompt - cached) * step) / steps);
      send("progress", { prompt_tokens: prompt, cached_tokens: cached, done_tokens: done });
      if (steps > 1) await pause(plan.delay ?? 20);
    }
    await plan.pause;
    for (const item of plan.tokens) {
      if (gone) break;
      if (count === plan.cutAfter) {
        this.busy.delete(session.id);
        response.destroy();
        return;
      }
      if (count === plan.failAfter) {
        store("error");
        send("error", { error: { message: "the model stumbled", type: "server_error" } });
        response.end();
        return;
      }
      const token = typeof item === "string" ? { text: item, logprob: -0.3, top: [{ text: item, logprob: -0.3 }, { text: " other", logprob: -1.6 }] } : item;
      text += token.text;
      tokens.push(token);
      count += 1;
      send("token", token);
      if (plan.delay !== undefined) await pause(plan.delay);
    }
    if (gone) {
      if (text !== "" && this.storesCancelled) store("cancelled");
      this.busy.delete(session.id);
      return;
    }
    const message = store("stop");
    const rate = count / Math.max(0.001, (Date.now() - begin) / 1000);
    send("done", {
      message,
      usage: { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: count },
      timings: { queue_seconds: 0, first_token_seconds: 0.08, prefill_seconds: 0.07, decode_seconds: count / rate, tokens_per_second: rate },
      context: { used: prompt + count, size: 4096 },
    });
    response.end();
  }

  private file(path: string, response: ServerResponse): void {
    const types: Record<string, string> = { js: "text/javascript", css: "text/css", woff2: "font/woff2", txt: "text/plain", html: "text/html" };
    const name = path === "/" ? "index.html" : path.slice(1);
    try {
      if (name.includes("..")) throw new Error("outside");
      const bytes = readFileSync(join(this.folder, name));
      response.writeHead(200, { "Content-Type": `${types[name.split(".").pop()!] ?? "text/plain"}; charset=utf-8`, ...this.headers });
      response.end(bytes);
    } catch {
      response.writeHead(404);
      response.end();
    }
  }
}
