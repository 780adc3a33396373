// Server-sent events (HTML Living Standard, 9.2.6) from the pieces in which they arrive.

export interface ServerEvent {
  name: string;
  data: string;
}

export class EventStreamParser {
  private rest = "";
  private name = "";
  private data: string[] = [];

  // The events that `text` completes. A line may end in \n, \r\n or \r; what has no end yet is kept.
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const all = this.rest + text;
    let begin = 0;
    for (;;) {
      const end = indexOfLineEnd(all, begin);
      // A \r at the very end may be half of \r\n.
      if (end < 0 || (all[end] === "\r" && end === all.length - 1)) break;
      const event = this.take(all.slice(begin, end));
      if (event) events.push(event);
      begin = end + (all[end] === "\r" && all[end + 1] === "\n" ? 2 : 1);
    }
    this.rest = all.slice(begin);
    return events;
  }

  private take(line: string): ServerEvent | null {
    if (line === "") {
      const event = { name: this.name || "message", data: this.data.join("\n") };
      const complete = this.data.length > 0;
      this.name = "";
      this.data = [];
      return complete ? event : null;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment keeps the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.name = value;
    if (field === "data") this.data.push(value);
    return null;
  }
}

function indexOfLineEnd(text: string, from: number): number {
  const feed = text.indexOf("\n", from);
  const carriage = text.indexOf("\r", from);
  if (feed < 0 || carriage < 0) return Math.max(feed, carriage);
  return Math.min(feed, carriage);
}
