// Requests to the server. A wanted key is asked for once, whoever needs it first.
import { EventStreamParser } from "./event_stream";
import type {
  Finished,
  Message,
  Parameters,
  ReadingProgress,
  ReplyHandlers,
  ReplyRequest,
  SearchHit,
  ServerStatus,
  Session,
  TokenEvent,
} from "./types";

// What the server refused, in its own words; status 0: it was not reached or broke off.
export class ApiFailure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly param: string | null = null,
    readonly code: string | null = null,
  ) {
    super(message);
  }
}

const keyName = "tessera.key";

export function storedKey(): string | null {
  return sessionStorage.getItem(keyName) ?? localStorage.getItem(keyName);
}
export function storeKey(key: string, remember: boolean): void {
  (remember ? localStorage : sessionStorage).setItem(keyName, key);
}
export function forgetKey(): void {
  sessionStorage.removeItem(keyName);
  localStorage.removeItem(keyName);
}

// Set by the page: shows the question for a key; resolves when there is a new one.
let askForKey: (refused: boolean) => Promise<void> = () => Promise.reject(new ApiFailure(401, "a key is needed"));
let asking: Promise<void> | null = null;
export function onKeyNeeded(ask: typeof askForKey): void {
  askForKey = ask;
}

async function failureOf(response: Response): Promise<ApiFailure> {
  try {
    const { error } = (await response.json()) as {
      error: { message: string; param?: string | null; code?: string | null };
    };
    return new ApiFailure(response.status, String(error.message), error.param ?? null, error.code ?? null);
  } catch {
    return new ApiFailure(response.status, `HTTP ${response.status}`);
  }
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  for (;;) {
    const key = storedKey();
    const headers: Record<string, string> = {};
    if (key !== null) headers["Authorization"] = `Bearer ${key}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        headers,
        cache: "no-store",
        redirect: "error",
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiFailure(0, "the server cannot be reached");
    }
    if (response.status === 401) {
      if (storedKey() === key) {
        asking ??= askForKey(key !== null).finally(() => (asking = null));
        await asking;
      }
      continue;
    }
    if (!response.ok) throw await failureOf(response);
    return response;
  }
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  return (await response.json()) as T;
}

const query = (values: Record<string, string | number | boolean | undefined>): string => {
  const parts = Object.entries(values).filter(([, value]) => value !== undefined);
  return parts.length === 0 ? "" : `?${parts.map(([k, v]) => `${k}=${encodeURIComponent(String(v))}`).join("&")}`;
};

export interface SessionPage {
  sessions: Session[];
  next: string | null;
}

export const api = {
  status: () => json<ServerStatus>("GET", "/api/status"),
  sessions: (archived: boolean, after?: string) =>
    json<SessionPage>("GET", `/api/sessions${query({ limit: 50, after, archived })}`),
  createSession: (parameters: Parameters, title?: string) =>
    json<Session>("POST", "/api/sessions", title ? { title, parameters } : { parameters }),
  session: (id: number) => json<{ session: Session; messages: Message[] }>("GET", `/api/sessions/${id}`),
  changeSession: (id: number, change: Partial<Pick<Session, "title" | "parameters" | "archived" | "leaf">>) =>
    json<Session>("PATCH", `/api/sessions/${id}`, change),
  deleteSession: async (id: number) => void (await send("DELETE", `/api/sessions/${id}`)),
  addMessage: (id: number, message: { parent: number | null; role: string; content: string }) =>
    json<Message>("POST", `/api/sessions/${id}/messages`, message),
  moveLeaf: (id: number, message: number | null, newestBelow = false) =>
    json<Session>("PATCH", `/api/sessions/${id}/leaf`, { message, newest_below: newestBelow }),
  deleteMessage: (id: number, message: number) =>
    json<{ deleted: number }>("DELETE", `/api/sessions/${id}/messages/${message}`),
  tokens: (id: number, message: number) =>
    json<{ tokens: Required<Omit<TokenEvent, "id">>[] }>("GET", `/api/sessions/${id}/messages/${message}/tokens`),
  search: (words: string, after?: string) =>
    json<{ hits: SearchHit[]; next: string | null }>("GET", `/api/search${query({ q: words, limit: 50, after })}`),
  exportSession: async (id: number, format: "json" | "markdown") =>
    (await send("GET", `/api/sessions/${id}/export${query({ format })}`)).blob(),
  exportAll: async () => (await send("GET", "/api/export")).blob(),
  importSessions: (text: string) => json<{ sessions: number[] }>("POST", "/api/import", text),
  reply,
};

// Resolves when the answer is stored (done). ApiFailure: refused, failed, or broken off; an AbortError: stopped by
// `signal`.
async function reply(id: number, request: ReplyRequest, handlers: ReplyHandlers, signal: AbortSignal): Promise<void> {
  const response = await send("POST", `/api/sessions/${id}/reply`, request, signal);
  if (!response.body) throw new ApiFailure(0, "the answer has no body");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventStreamParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      for (const event of parser.push(value)) {
        if (deliver(event.name, JSON.parse(event.data), handlers)) return;
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiFailure) throw error;
  } finally {
    reader.cancel().catch(() => undefined);
  }
  throw new ApiFailure(0, "the connection broke off");
}

// True: that was the last event.
function deliver(name: string, data: unknown, handlers: ReplyHandlers): boolean {
  switch (name) {
    case "message":
      handlers.message((data as { message: Message }).message);
      return false;
    case "progress":
      handlers.progress(data as ReadingProgress);
      return false;
    case "token":
      handlers.token(data as TokenEvent);
      return false;
    case "done":
      handlers.done(data as Finished);
      return true;
    case "error": {
      const { error } = data as { error: { message: string; param?: string; code?: string } };
      throw new ApiFailure(500, error.message, error.param ?? null, error.code ?? null);
    }
    default:
      return false;
  }
}
