// E1 and E2: whatever a model, a title or a name says, nothing of it runs and nobody is told anything.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Page } from "playwright-core";
import { type TestBrowser, openBrowser } from "../browser";
import { leaks, payloads } from "../hostile";
import { MockServer, shippedHeaders, wordsOf } from "../mock_server";
import { finished, send } from "./page_fixture";

let browser: TestBrowser;
let mock: MockServer;
const requests: string[] = [];

before(async () => {
  browser = await openBrowser();
  browser.context.on("request", (request) => requests.push(request.url()));
  browser.context.on("dialog", (dialog) => {
    requests.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  // Attempts that the policy stopped count as well: the page must not even try.
  await browser.context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
});
beforeEach(async () => {
  await mock?.stop();
  mock = new MockServer(process.env["TESSERA_SITE"]!, shippedHeaders(process.env["TESSERA_WEB"]!));
  await mock.start();
  browser.complaints.length = 0;
  requests.length = 0;
});
after(async () => {
  await mock.stop();
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

const allowedTags = new Set(
  ("a annotation article aside bdi blockquote body br button circle code dd details dialog div dl dt em figcaption figure footer form g h1 h2 h3 h4 h5 h6 " +
    "head header hr html i input kbd label li line link main mark math menclose meta meter mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt " +
    "mstyle msub msubsup msup mtable mtd mtext mtr munder munderover nav noscript ol option p path pre progress rect s script section select semantics small span " +
    "strong svg table tbody td textarea th thead time title tr ul").split(" "),
);

async function nothingHappened(page: Page): Promise<void> {
  const state = await page.evaluate(() => ({
    pwned: "pwned" in window,
    tags: [...new Set([...document.querySelectorAll("*")].map((one) => one.localName))],
    handlers: [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames().filter((name) => name.startsWith("on") || name === "srcdoc" || name === "formaction")),
    addresses: [...document.querySelectorAll("a[href]")].map((one) => (one as HTMLAnchorElement).href).filter((href) => !/^(https?|mailto):/.test(href)),
    links: [...document.querySelectorAll<HTMLAnchorElement>(".markdown a")].filter((one) => one.target !== "_blank" || !one.relList.contains("noopener") || !one.relList.contains("noreferrer")).length,
    scripts: [...document.scripts].map((one) => new URL(one.src).origin),
  }));
  assert.equal(state.pwned, false);
  assert.deepEqual(state.tags.filter((tag) => !allowedTags.has(tag)), []);
  assert.deepEqual(state.handlers, []);
  assert.deepEqual(state.addresses, []);
  assert.equal(state.links, 0);
  assert.deepEqual([...new Set(state.scripts)], [mock.url]);
  assert.deepEqual(requests.filter((url) => !url.startsWith(mock.url) && !url.startsWith("data:image/svg")), []);
  assert.deepEqual(browser.complaints, []);
}

async function drawAll(page: Page, count: number): Promise<void> {
  await page.waitForFunction((wanted) => document.querySelectorAll("article.message").length === wanted, count, { timeout: 60_000 });
  // Content that is out of view is laid out too, and pointed at, focused and toggled.
  await page.addStyleTag({ content: "" }).catch(() => undefined);
  await page.evaluate(async () => {
    const scroller = document.querySelector(".scroller")!;
    for (let top = 0; top <= scroller.scrollHeight; top += 2000) {
      scroller.scrollTop = top;
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    document.querySelectorAll("article *").forEach((one) => {
      for (const type of ["pointerenter", "mouseover", "mouseenter", "focus", "animationstart", "toggle", "load", "error"]) one.dispatchEvent(new Event(type, { bubbles: true }));
    });
  });
}

test(`E1: ${payloads.length} script payloads as answers`, async () => {
  assert.ok(payloads.length >= 500);
  const session = mock.addSession("payloads");
  let parent: number | null = null;
  for (const payload of payloads) parent = mock.addMessage(session, parent, "assistant", payload).id;
  const page = await open("/#/1");
  await drawAll(page, payloads.length);
  browser.complaints.splice(0, browser.complaints.length, ...browser.complaints.filter((text) => !text.includes("policy: style-src")));
  await nothingHappened(page);
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
  browser.complaints.splice(0, browser.complaints.length, ...browser.complaints.filter((text) => !text.includes("policy: style-src")));
  await nothingHappened(page);
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
  await nothingHappened(page);
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
  await nothingHappened(page);
  await page.keyboard.press("Escape");
  mock.status = { ready: false, model: null, error: `<img src=x onerror=window.pwned=1>`, progress: null, cache: null, running: 0, waiting: 0, version: "<b>", defaults: null };
  const other = await browser.context.newPage();
  await other.goto(mock.url);
  await other.waitForSelector("[role=alert]:has-text('onerror')");
  await nothingHappened(other);
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
  browser.complaints.splice(0, browser.complaints.length, ...browser.complaints.filter((text) => !text.includes("policy: style-src")));
  await nothingHappened(page);
  await page.close();
});
