// Text files that go with a message, as fenced blocks under their names.

export interface Attachment {
  name: string;
  text: string;
}

// A paste beyond this becomes an attachment: a field with a megabyte in it is slow to type in.
export const longPaste = 6000;
export const mostAttachmentBytes = 4 << 20;

// A fence that nothing in `text` can close (CommonMark 0.31, 4.5).
export function fenceFor(text: string): string {
  let longest = 2;
  for (const run of text.match(/`{3,}/g) ?? []) longest = Math.max(longest, run.length);
  return "`".repeat(longest + 1);
}

export function withAttachments(content: string, attachments: readonly Attachment[]): string {
  const parts = attachments.map(({ name, text }) => {
    const fence = fenceFor(text);
    const extension = /\.([A-Za-z0-9]{1,10})$/.exec(name)?.[1] ?? "";
    return `${name.replace(/\s+/g, " ")}:\n${fence}${extension}\n${text.replace(/\n$/, "")}\n${fence}`;
  });
  return [...parts, content].filter((part) => part !== "").join("\n\n");
}

// A file that is text: UTF-8 without control characters. Null: it is something else.
export async function readTextFile(file: File): Promise<Attachment | null> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u0008\u000e-\u001a]/.test(text.slice(0, 100_000))) return null;
    return { name: file.name, text: text.replace(/\r\n?/g, "\n") };
  } catch {
    return null;
  }
}

export type Part = { kind: "text"; text: string } | { kind: "file"; name: string; language: string; text: string };

// A message as it was put together: its attachments and the text around them.
export function partsOf(content: string): Part[] {
  const parts: Part[] = [];
  const opening = /(?:^|\n)(?:([^\n]{1,200}):\n)?(`{3,})([^\n`]*)\n/g;
  let at = 0;
  for (let found = opening.exec(content); found; found = opening.exec(content)) {
    const [whole, name = "", fence = "", language = ""] = found;
    const begin = found.index + whole.length;
    const end = content.indexOf(`\n${fence}`, begin - 1);
    if (end < 0) break;
    const before = content.slice(at, found.index).trim();
    if (before !== "") parts.push({ kind: "text", text: before });
    parts.push({ kind: "file", name, language: language.trim(), text: content.slice(begin, Math.max(begin, end)) });
    at = content.indexOf("\n", end + 1);
    if (at < 0) at = content.length;
    opening.lastIndex = at;
  }
  const rest = content.slice(at).trim();
  if (rest !== "" || parts.length === 0) parts.push({ kind: "text", text: rest });
  return parts;
}
