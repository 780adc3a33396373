// What goes wrong: the server goes away, refuses, is still loading; other windows; long texts.
import assert from "node:assert/strict";
import test from "node:test";
import type { Page } from "playwright-core";
import { wordsOf } from "../mock_server";
import { eventually, finished, fixture, openPage, send, textsOf } from "./page_fixture";

const f = fixture();

test("a reload shows the session again, and what was typed and not sent", async () => {
  const page = await openPage(f);
  await send(page, "Remember me");
  await finished(page);
  await page.fill(".composer textarea", "half a thou");
  await page.reload();
  await page.waitForSelector("article.assistant:has-text('mock')");
  await eventually(async () => assert.deepEqual(await textsOf(page), ["Remember me", "This is the mock's answer."]));
  await page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>(".composer textarea")?.value === "half a thou");
});

test("two windows show the same session, and one learns what the other did", async () => {
  const one = await openPage(f);
  await send(one, "from the first window");
  await finished(one);
  const two = await openPage(f, "/#/1");
  await two.waitForSelector("article.user:has-text('from the first window')");
  await send(two, "from the second window");
  await finished(two);
  await one.waitForSelector("article.user:has-text('from the second window')");
  await one.waitForFunction(() => document.querySelectorAll("article.assistant").length === 2);
});

test("while one window is being answered, another is told so and loses nothing", async () => {
  f.mock.makeReply = () => ({ tokens: wordsOf("slow ".repeat(400)), delay: 20 });
  const one = await openPage(f);
  await send(one, "a long one");
  await one.waitForSelector("article.live .markdown");
  const two = await openPage(f, "/#/1");
  await two.waitForSelector("article.user:has-text('a long one')");
  await send(two, "me too");
  await two.waitForSelector(".toast.error:has-text('already being written')");
  await two.waitForFunction(() => document.querySelector<HTMLTextAreaElement>(".composer textarea")?.value === "me too");
  await one.keyboard.press("Escape");
  await finished(one);
});

async function stopInTheMiddle(page: Page): Promise<number> {
  f.mock.makeReply = () => ({ tokens: wordsOf("tick ".repeat(1000)), delay: 10 });
  await send(page, "Will you last?");
  await page.waitForFunction(() => (document.querySelector("article.live .markdown")?.textContent ?? "").length > 40);
  const port = Number(new URL(f.mock.url).port);
  await f.mock.stop();
  await page.waitForSelector(".banner[role=alert]");
  await page.waitForSelector(".unsaved .markdown:has-text('tick tick')");
  return port;
}

test("the server is stopped in the middle of an answer, stores what there was, and comes back", async () => {
  const page = await openPage(f);
  const port = await stopInTheMiddle(page);
  await f.mock.start(port);
  await page.waitForSelector(".banner[role=alert]", { state: "detached" });
  await page.waitForSelector(".unsaved", { state: "detached" });
  await page.waitForSelector("article.assistant:has-text('tick tick') .reason:has-text('stopped')");
  await eventually(async () => assert.equal(await page.locator("article.assistant").count(), 1));
});

test("the server is killed in the middle of an answer and comes back: nothing that was seen is lost", async () => {
  const page = await openPage(f);
  f.mock.storesCancelled = false;
  const port = await stopInTheMiddle(page);
  await f.mock.start(port);
  await page.waitForSelector(".banner[role=alert]", { state: "detached" });
  await page.waitForSelector("article.user:has-text('Will you last?')");
  await page.waitForSelector(".unsaved .markdown:has-text('tick tick')");
  await page.getByRole("button", { name: "Keep it as a message" }).click();
  await page.waitForSelector(".unsaved", { state: "detached" });
  const stored = f.mock.messages.get(1)!;
  assert.deepEqual(stored.map(({ role }) => role), ["user", "assistant"]);
  assert.match(stored[1]!.content, /^tick tick/);
});

test("a connection that breaks: try again asks for the answer anew", async () => {
  let n = 0;
  f.mock.makeReply = () => (++n === 1 ? { tokens: wordsOf("lost words here"), cutAfter: 2, delay: 30 } : { tokens: ["whole answer"] });
  const page = await openPage(f);
  await send(page, "Try");
  await page.waitForSelector(".unsaved");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.waitForSelector("article.assistant:has-text('whole answer')");
  await finished(page);
  await eventually(() => assert.equal(f.mock.messages.get(1)!.filter(({ role }) => role === "user").length, 1));
});

test("an error of the model is told, and what it had written stays", async () => {
  f.mock.makeReply = () => ({ tokens: wordsOf("so far so good"), failAfter: 3 });
  const page = await openPage(f);
  await send(page, "Fail");
  await page.waitForSelector(".toast.error:has-text('the model stumbled')");
  await page.waitForSelector("article.assistant:has-text('so far so')");
  await page.waitForSelector(".reason:has-text('ended by an error')");
});

test("a server with keys: asks once, keeps it for this window, tells when it is wrong", async () => {
  f.mock.key = "right-key";
  const page = await f.context.newPage();
  await page.goto(f.mock.url);
  await page.getByRole("textbox", { name: "API key" }).fill("wrong-key");
  await page.getByRole("button", { name: "Use this key" }).click();
  await page.waitForSelector("text=This key was not accepted.");
  await page.getByRole("textbox", { name: "API key" }).fill("right-key");
  await page.getByRole("button", { name: "Use this key" }).click();
  await page.waitForSelector(".foot-line:has-text('Mock-135M')");
  await page.reload();
  await page.waitForSelector(".foot-line:has-text('Mock-135M')");
  await eventually(async () => assert.equal(await page.evaluate(() => localStorage.getItem("tessera.key")), null));
});

test("while the model loads its progress is shown, then the page is ready", async () => {
  f.mock.status = {
    ready: false, model: null, error: null, cache: null, running: 0, waiting: 0, version: "x", defaults: null,
    progress: { stage: "load", done: 30e6, total: 120e6, bytes_per_second: 60e6, seconds_left: 1.5 },
  };
  const page = await f.context.newPage();
  await page.goto(f.mock.url);
  await page.waitForSelector("text=Loading the model");
  await eventually(async () => assert.equal(await page.locator("progress").getAttribute("value"), "0.25"));
  await eventually(async () => assert.match(await page.locator(".loading").innerText(), /30\.0 MB \/ 120 MB · 60\.0 MB\/s · 1\.5 s left/));
  f.mock.status = null;
  await page.waitForSelector(".greeting");
  await page.waitForSelector(".foot-line:has-text('Mock-135M')");
});

test("reading a long prompt shows how far it is and what came from the cache", async () => {
  f.mock.makeReply = () => ({ tokens: ["ok"], promptTokens: 3000, cachedTokens: 1000, readingSteps: 8, delay: 120 });
  const page = await openPage(f);
  await send(page, "Read this");
  await page.waitForFunction(() => /Reading: [\d,]+ of 3,000 tokens, 1,000 from the cache/.test(document.querySelector("article.live")?.textContent ?? ""));
  await finished(page);
  await eventually(async () => assert.match(await page.locator(".composer .meter-text").first().innerText(), /^3K of 4\.1K tokens$/));
});

test("500 messages: the newest are drawn first, all of them in the end", async () => {
  const session = f.mock.addSession("long");
  let parent: number | null = null;
  for (let n = 0; n < 500; ++n) {
    parent = f.mock.addMessage(session, parent, n % 2 === 0 ? "user" : "assistant", `message ${n} **bold** \`code\`\n\n- item\n- item`).id;
  }
  const page = await f.context.newPage();
  // The first drawing is noted before idle time adds to it.
  await page.addInitScript(() => {
    new MutationObserver(() => {
      const count = document.querySelectorAll("article.message").length;
      const noted = window as unknown as { firstDrawn?: number };
      if (count > 0) noted.firstDrawn ??= count;
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(`${f.mock.url}/#/1`);
  await page.waitForSelector("article:has-text('message 499')");
  assert.ok((await page.evaluate(() => (window as unknown as { firstDrawn: number }).firstDrawn)) <= 40);
  await page.waitForFunction(() => document.querySelectorAll("article.message").length === 500);
  // The reader is still at the end.
  assert.ok(await page.evaluate(() => {
    const scroller = document.querySelector(".scroller")!;
    return scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < 60;
  }));
});

test("a paste of a megabyte becomes an attachment that is folded, and arrives whole", async () => {
  const page = await openPage(f);
  const text = Array.from({ length: 16_000 }, (_, n) => `line ${n} ${"of a very long paste ".repeat(3)}`).join("\n");
  assert.ok(text.length > 1_000_000);
  await page.evaluate((content) => navigator.clipboard.writeText(content), text);
  await page.focus(".composer textarea");
  await page.keyboard.press("Control+V");
  await page.waitForSelector(".attachments li:has-text('pasted text 1.txt')");
  await eventually(async () => assert.equal(await page.inputValue(".composer textarea"), ""));
  await send(page, "What is in it?");
  await finished(page);
  const stored = f.mock.messages.get(1)![0]!.content;
  assert.ok(stored.includes(text));
  assert.ok(stored.endsWith("What is in it?"));
  await eventually(async () => assert.match(await page.locator("article.user figcaption").innerText(), /pasted text 1\.txt\s+16,000 lines/));
  await page.locator("article.user figcaption button").first().click();
  await page.getByRole("button", { name: "Show all 16,000 lines" }).click();
  await eventually(async () => assert.equal(await page.locator("article.user pre code").evaluate((code) => code.textContent!.length), text.length));
});

test("files are attached by name; what is no text is refused", async () => {
  const page = await openPage(f);
  await page.setInputFiles(".composer input[type=file]", [
    { name: "poem.txt", mimeType: "text/plain", buffer: Buffer.from("Roses are red\r\n```\nfence inside\n") },
    { name: "picture.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 0xff]) },
  ]);
  await page.waitForSelector(".attachments li:has-text('poem.txt')");
  await page.waitForSelector(".toast.error:has-text('picture.png is not a text file')");
  await eventually(async () => assert.equal(await page.locator(".attachments li").count(), 1));
  await send(page, "Whose poem?");
  await finished(page);
  await eventually(() => assert.equal(f.mock.messages.get(1)![0]!.content, "poem.txt:\n````txt\nRoses are red\n```\nfence inside\n````\n\nWhose poem?"));
});
