import assert from "node:assert/strict";
import test from "node:test";
import { EventStreamParser } from "../../src/api/event_stream";

const stream = 'event: token\ndata: {"text":"a"}\n\n: alive\n\nevent: token\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\n';
const expected = [
  { name: "token", data: '{"text":"a"}' },
  { name: "token", data: "one\ntwo" },
  { name: "message", data: "bare" },
];

test("events are the same whatever pieces they arrive in", () => {
  for (let size = 1; size <= stream.length; ++size) {
    const parser = new EventStreamParser();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...parser.push(stream.slice(at, at + size)));
    assert.deepEqual(events, expected, `pieces of ${size}`);
  }
});

test("an event without its empty line is not delivered", () => {
  assert.deepEqual(new EventStreamParser().push("event: done\ndata: {}\n"), []);
});
