// What was typed and not sent yet outlives a reload.
const name = (id: number | null) => `tessera.draft.${id ?? "new"}`;

export function draftOf(id: number | null): string {
  return localStorage.getItem(name(id)) ?? "";
}

export function keepDraft(id: number | null, text: string): void {
  try {
    if (text === "") localStorage.removeItem(name(id));
    else localStorage.setItem(name(id), text);
  } catch {
    // The browser's store is full; the text is still in its field.
  }
}
