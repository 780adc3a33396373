// What of the page is open just now; not remembered.
import { signal } from "@preact/signals";

export type OpenDialog = "search" | "help" | "key" | null;
export const dialog = signal<OpenDialog>(null);
export const panel = signal<"parameters" | "tree" | null>(null);
export const question = signal<{ text: string; button: string; run(): void } | null>(null);
// The message being edited.
export const editing = signal<number | null>(null);
// Read out by screen readers.
export const spoken = signal("");

export function ask(text: string, button: string, run: () => void): void {
  question.value = { text, button, run };
}

export const isPhone = () => matchMedia("(max-width: 760px)").matches;
