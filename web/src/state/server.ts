// Whether the server is there, what it runs and how full it is; asked for regularly while somebody looks.
import { signal } from "@preact/signals";
import { ApiFailure, api } from "../api/client";
import type { ServerStatus } from "../api/types";

export const server = signal<ServerStatus | null>(null);
export const reachable = signal(true);

let timer: ReturnType<typeof setTimeout> | undefined;
let wasReady = false;
const readyCalls: (() => void)[] = [];

// `call` runs whenever the server has become ready: at the start and after it was away.
export function onReady(call: () => void): void {
  readyCalls.push(call);
}

function pause(): number {
  if (!reachable.value) return 1000;
  if (!server.value?.ready) return 400;
  return server.value.running > 0 ? 1500 : 8000;
}

export async function refreshStatus(): Promise<void> {
  clearTimeout(timer);
  try {
    server.value = await api.status();
    reachable.value = true;
  } catch (error) {
    // A server of another kind than this page knows is still there.
    reachable.value = error instanceof ApiFailure && error.status !== 0;
  }
  const ready = reachable.value && (server.value?.ready ?? false);
  if (ready && !wasReady) readyCalls.forEach((call) => call());
  wasReady = ready;
  clearTimeout(timer);
  timer = setTimeout(() => void refreshStatus(), document.hidden ? Math.max(pause(), 5000) : pause());
}

// Somebody noticed that the server does not answer.
export function serverLost(): void {
  wasReady = false;
  reachable.value = false;
  void refreshStatus();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void refreshStatus();
});
