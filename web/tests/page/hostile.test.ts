// E1 and E2: whatever a model, a title or a name says, nothing of it runs and nobody is told anything.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Page } from "playwright-core";
import { type TestBrowser, openBrowser } from "../browser";
import { leaks, payloads } from "../hostile";
import { MockServer, shippedHeaders, wordsOf } from "../mock_server";
import { drawAll, nothingHappened, watchFor } from "../nothing_happened";
import { finished, send } from "./page_fixture";

let browser: TestBrowser;
let mock: MockServer;
const requests: string[] = [];

before(async () => {
  browser = await openBrowser();
  await watchFor(browser.context, requests);
});
beforeEach(async () => {
  await mock?.stop();
  mock = new MockServer(process.env["TESSERA_SITE"]!, shippedHeaders(process.env["TESSERA_WEB"]!));
  await mock.start();
  browser.complaints.length = 0;
  requests.length = 0;
});
after(async () => {
  await mock?.stop();
  const { hosts } = await browser.close();
  // The browser's own log of look-ups and connections, over all the tests of this file.
  assert.deepEqual(hosts.filter((host) => host.includes("leak") || host.endsWith(".example")), []);
});

async function open(path = "/"): Promise<Page> {
  const page = await browser.context.newPage();
  await page.goto(mock.url + path);
  await page.waitForSelector(".foot-line:has-text('Mock')");
  return page;
}

test(`E1: ${payloads.length} script payloads as answers`, async () => {
  assert.ok(payloads.length >= 500);
  const session = mock.addSession("payloads");
  let parent: number | null = null;
  for (const payload of payloads) parent = mock.addMessage(session, parent, "assistant", payload).id;
  const page = await open("/#/1");
  await drawAll(page, payloads.length);
  await nothingHappened(page, mock.url, requests, browser.complaints);
  await page.close();
});

test(`E1: ${payloads.length} script payloads as questions, with a name of a file each`, async () => {
  const session = mock.addSession("questions");
  let parent: number | null = null;
  for (const payload of payloads) {
    const line = payload.replace(/\n/g, " ");
    parent = mock.addMessage(session, parent, "user", `${payload}\n\n${line}:\n\`\`\`${line.replace(/`/g, "")}\n${payload.replace(/`/g, "")}\n\`\`\``).id;
  }
  const page = await open("/#/1");
  await drawAll(page, payloads.length);
  await nothingHappened(page, mock.url, requests, browser.complaints);
  await page.close();
});

test("E1: script payloads streamed word by word", async () => {
  mock.makeReply = () => ({ tokens: wordsOf(payloads.join("\n\n")).map((text) => ({ text, logprob: -1, top: [{ text: payloads[0]!, logprob: -2 }, { text, logprob: -1 }] })) });
  const page = await open();
  await send(page, "Attack");
  await finished(page);
  await page.locator("article.assistant").hover();
  await page.getByRole("button", { name: "Show token probabilities" }).click();
  await page.hover("[data-token='3']");
  await page.waitForSelector(".alternatives");
  await nothingHappened(page, mock.url, requests, browser.complaints);
  await page.close();
});

test("E1: script payloads as titles, system prompts, search results, branches and error texts", async () => {
  const long = payloads.filter((payload) => payload.includes("<"));
  for (const payload of payloads) mock.addSession(payload, { system: payload });
  const session = mock.addSession("tree");
  const root = mock.addMessage(session, null, "user", "window.pwned everywhere");
  for (const payload of long) mock.addMessage(session, root.id, "assistant", payload);
  session.title = long[0]!;
  const page = await open(`/#/${session.id}`);
  await page.waitForFunction(() => {
    document.querySelector(".session-list")!.scrollTop += 4000;
    return document.querySelectorAll(".session").length > 500;
  }, undefined, { timeout: 60_000 });
  await page.keyboard.press("Control+,");
  await page.waitForSelector("[role=treeitem]");
  await page.keyboard.press("Control+.");
  await page.keyboard.press("Control+k");
  await page.locator("dialog input").fill("window.pwned");
  await page.waitForSelector("[role=option]");
  await nothingHappened(page, mock.url, requests, browser.complaints);
  await page.keyboard.press("Escape");
  mock.status = { ready: false, model: null, error: `<img src=x onerror=window.pwned=1>`, progress: null, cache: null, running: 0, waiting: 0, version: "<b>", defaults: null };
  const other = await browser.context.newPage();
  await other.goto(mock.url);
  await other.waitForSelector("[role=alert]:has-text('onerror')");
  await nothingHappened(other, mock.url, requests, browser.complaints);
  await other.close();
  await page.close();
});

test(`E2: ${leaks.length} ways to make the page tell a stranger`, async () => {
  assert.ok(leaks.length >= 200);
  const session = mock.addSession("leaks");
  let parent: number | null = null;
  for (const leak of leaks) parent = mock.addMessage(session, parent, "assistant", leak).id;
  mock.makeReply = () => ({ tokens: wordsOf(leaks.join("\n\n")) });
  const page = await open("/#/1");
  await drawAll(page, leaks.length);
  await send(page, "Stream them too");
  await finished(page);
  // Pointing at links asks nobody either.
  for (const link of (await page.locator("article a").all()).slice(0, 12)) await link.hover();
  await page.waitForTimeout(1000);
  const links = await page.locator("article a").allInnerTexts();
  assert.ok(links.length > 60);
  // Where a link leads is to be read beside it.
  assert.ok(links.filter((text) => text.startsWith("innocent")).every((text) => /\(leak-\d+-link\.example\)/.test(text)));
  await nothingHappened(page, mock.url, requests, browser.complaints);
  await page.close();
});
