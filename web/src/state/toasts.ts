// Short notices at the edge of the page, each with at most one thing to do.
import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  text: string;
  kind: "notice" | "error";
  action?: { label: string; run(): void };
}

export const toasts = signal<readonly Toast[]>([]);
let next = 1;

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function notify(text: string, options: { error?: boolean; action?: Toast["action"] } = {}): void {
  const id = next++;
  const toast: Toast = { id, text, kind: options.error ? "error" : "notice" };
  if (options.action) toast.action = options.action;
  toasts.value = [...toasts.value.slice(-3), toast];
  setTimeout(() => dismiss(id), options.error ? 12_000 : 7_000);
}
