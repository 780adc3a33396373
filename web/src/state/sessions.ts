// The list of sessions, which of them is open, and what may be done to them.
import { signal } from "@preact/signals";
import { ApiFailure, api } from "../api/client";
import type { Mode, Session } from "../api/types";
import { words } from "../words/words";
import { Conversation } from "./conversation";
import { onReady } from "./server";
import { notify } from "./toasts";

export const sessions = signal<readonly Session[]>([]);
export const moreAfter = signal<string | null>(null);
export const showArchived = signal(false);
export const listLoaded = signal(false);
export const current = signal(new Conversation());

// Sessions whose answers are still being written go on when another is shown.
const open = new Map<number, Conversation>();
const otherWindows = "BroadcastChannel" in window ? new BroadcastChannel("tessera") : null;

function report(error: unknown): void {
  if (error instanceof ApiFailure && error.status !== 0) notify(error.message, { error: true });
  else if (error instanceof ApiFailure) notify(words().serverAway, { error: true });
  else throw error;
}

// Runs what a person asked for; a failure becomes a notice.
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    report(error);
    return undefined;
  }
}

export async function refreshList(): Promise<void> {
  const page = await api.sessions(showArchived.value);
  // What was scrolled to already stays in the list.
  const last = page.sessions[page.sessions.length - 1];
  const known = new Set(page.sessions.map(({ id }) => id));
  const further =
    page.next === null || !last ? [] : sessions.value.filter(({ id, updated_at }) => updated_at <= last.updated_at && !known.has(id));
  sessions.value = [...page.sessions, ...further];
  if (further.length === 0) moreAfter.value = page.next;
  listLoaded.value = true;
  // The server gives a session its first title.
  const now = page.sessions.find(({ id }) => id === current.value.id);
  if (now) current.value.session.value = now;
}

let loadingMore: Promise<void> | null = null;

export function loadMore(): Promise<void> {
  loadingMore ??= fetchMore().finally(() => (loadingMore = null));
  return loadingMore;
}

async function fetchMore(): Promise<void> {
  const after = moreAfter.value;
  if (after === null) return;
  const page = await api.sessions(showArchived.value, after);
  if (moreAfter.value !== after) return; // the list was begun anew
  const known = new Set(sessions.value.map((session) => session.id));
  sessions.value = [...sessions.value, ...page.sessions.filter((session) => !known.has(session.id))];
  moreAfter.value = page.next;
}

export async function showArchive(archived: boolean): Promise<void> {
  showArchived.value = archived;
  sessions.value = [];
  listLoaded.value = false;
  await refreshList();
}

function announce(id: number | null): void {
  if (id !== null) otherWindows?.postMessage({ changed: id });
}

function watch(conversation: Conversation): Conversation {
  conversation.onChange = (changed) => {
    const { session } = changed;
    const now = session.value;
    if (now) {
      open.set(now.id, changed);
      const rest = sessions.value.filter((other) => other.id !== now.id);
      if (now.archived === showArchived.value) sessions.value = [now, ...rest];
      if (changed === current.value && location.hash !== `#/${now.id}`) history.pushState(null, "", `#/${now.id}`);
    }
    announce(changed.id);
    void refreshList().catch(() => undefined);
  };
  return conversation;
}

export function startNew(mode: Mode): void {
  const conversation = watch(new Conversation());
  conversation.parameters.value = { mode };
  current.value = conversation;
  if (location.hash !== "") history.pushState(null, "", location.pathname);
}

export async function openSession(id: number): Promise<void> {
  const known = open.get(id);
  if (known?.live.value) {
    current.value = known;
  } else {
    const conversation = known ?? watch(new Conversation());
    await conversation.load(id);
    open.set(id, conversation);
    current.value = conversation;
  }
  if (location.hash !== `#/${id}`) history.pushState(null, "", `#/${id}`);
}

function idInAddress(): number | null {
  const found = /^#\/(\d{1,15})$/.exec(location.hash);
  return found ? Number(found[1]) : null;
}

async function followAddress(): Promise<void> {
  const id = idInAddress();
  if (id === null) {
    if (current.value.id !== null) startNew(current.value.mode.value);
  } else if (id !== current.value.id) {
    try {
      await openSession(id);
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
      notify(words().noSuchSession, { error: true });
      startNew("chat");
    }
  }
}

export async function remove(session: Session): Promise<void> {
  await api.deleteSession(session.id);
  open.delete(session.id);
  sessions.value = sessions.value.filter((other) => other.id !== session.id);
  if (current.value.id === session.id) startNew("chat");
  announce(session.id);
}

export async function setArchived(session: Session, archived: boolean): Promise<void> {
  const changed = await api.changeSession(session.id, { archived });
  if (current.value.id === session.id) current.value.session.value = changed;
  sessions.value = sessions.value.filter((other) => other.id !== session.id);
  announce(session.id);
}

export async function rename(session: Session, title: string): Promise<void> {
  const changed = await api.changeSession(session.id, { title });
  if (current.value.id === session.id) current.value.session.value = changed;
  sessions.value = sessions.value.map((other) => (other.id === session.id ? changed : other));
  announce(session.id);
}

export async function importFile(file: File): Promise<void> {
  const { sessions: ids } = await api.importSessions(await file.text());
  notify(words().imported(ids.length));
  await refreshList();
  announce(ids[0] ?? 0);
}

export function saveFile(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export async function exportSession(session: Session, format: "json" | "markdown"): Promise<void> {
  const name = session.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || `session-${session.id}`;
  saveFile(await api.exportSession(session.id, format), `${name}.${format === "json" ? "json" : "md"}`);
}

export function startSessions(): void {
  watch(current.value);
  window.addEventListener("popstate", () => void attempt(followAddress));
  window.addEventListener("hashchange", () => void attempt(followAddress));
  otherWindows?.addEventListener("message", (event: MessageEvent<{ changed: number }>) => {
    void refreshList().catch(() => undefined);
    if (event.data.changed === current.value.id) void current.value.reload().catch(() => undefined);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    void refreshList().catch(() => undefined);
    void current.value.reload().catch(() => undefined);
  });
  onReady(() => {
    void refreshList().catch(() => undefined);
    void attempt(followAddress);
    void current.value.reload().catch(() => undefined);
  });
}
