// The page and tessera serve together, with the default model.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Page } from "playwright-core";
import { type TestBrowser, openBrowser } from "../browser";
import { leaks, payloads } from "../hostile";
import { drawAll, nothingHappened, watchFor } from "../nothing_happened";
import { act, eventually, finished, send, textsOf } from "../page/page_fixture";
import { Program } from "./program";

const program = new Program();
let browser: TestBrowser;
const requests: string[] = [];

before(async () => {
  browser = await openBrowser({ acceptDownloads: true });
  await watchFor(browser.context, requests);
  await program.start();
});
beforeEach(async () => {
  for (const page of browser.context.pages().slice(1)) await page.close();
  browser.complaints.length = 0;
  requests.length = 0;
});
after(async () => {
  const { hosts } = await browser.close();
  await program.end();
  assert.deepEqual(hosts.filter((host) => host.endsWith(".example")), []);
});

async function open(path = "/"): Promise<Page> {
  const page = await browser.context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(program.url + path);
  await page.waitForSelector(".foot-line:has-text('SmolLM2')");
  return page;
}

async function setParameters(page: Page, values: Record<string, string>): Promise<void> {
  await page.keyboard.press("Control+.");
  for (const [label, value] of Object.entries(values)) {
    await page.getByLabel(label).fill(value);
    await page.getByLabel(label).press("Tab");
  }
  await page.waitForTimeout(500);
  await page.keyboard.press("Control+.");
}

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(program.url + path, {
    method,
    ...(body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${response.ok ? "" : await response.text()}`);
  return (await response.json()) as T;
}

const cachedOf = async (page: Page) => {
  const title = (await page.locator("article.assistant .measure").last().getAttribute("title")) ?? "";
  const [, cached, all] = /^([\d,]+) of ([\d,]+) prompt tokens/.exec(title) ?? [];
  assert.ok(cached !== undefined && all !== undefined, title);
  return { cached: Number(cached.replace(/,/g, "")), all: Number(all.replace(/,/g, "")) };
};

test("ask, be answered, undo and ask anew: only the new question is computed", async () => {
  const page = await open();
  await setParameters(page, { Temperature: "0", "Longest answer": "24" });
  await send(page, "What is the capital of France?");
  await finished(page);
  await eventually(async () => assert.match((await textsOf(page))[1]!, /Paris/));
  const first = await cachedOf(page);
  await send(page, "And what is it famous for?");
  await finished(page);
  const second = await cachedOf(page);
  assert.ok(second.cached >= first.all, JSON.stringify({ first, second }));
  await page.getByRole("button", { name: "Undo the last turn" }).click();
  await page.waitForFunction(() => document.querySelectorAll("article.user").length === 1);
  await send(page, "In which country is it?");
  await finished(page);
  const third = await cachedOf(page);
  assert.ok(third.cached >= first.all, JSON.stringify({ first, third }));
  // The session has a title, and the other branch is still there.
  await page.waitForSelector(".session:has-text('What is the capital of France?')");
  await page.keyboard.press("Control+,");
  await eventually(async () => assert.equal(await page.getByRole("treeitem").count(), 6));
  assert.deepEqual(browser.complaints, []);
});

test("stop, answer again, switch, edit: versions survive a restart of the server", async () => {
  let page = await open();
  await setParameters(page, { Temperature: "1", "Longest answer": "400" });
  await send(page, "Tell me a very long story about a river.");
  await page.waitForFunction(() => (document.querySelector("article.live .markdown")?.textContent ?? "").length > 20);
  await page.keyboard.press("Escape");
  await finished(page);
  await page.waitForSelector("article.assistant .reason:has-text('stopped')");
  await setParameters(page, { "Longest answer": "12" });
  const first = (await textsOf(page))[1]!;
  await act(page, first.slice(0, 20), "Answer again");
  await page.waitForSelector(".versions:has-text('2/2')");
  await finished(page);
  await page.getByRole("button", { name: "Previous version" }).click();
  await page.waitForSelector(".versions:has-text('1/2')");
  await act(page, "Tell me a very long story", "Edit");
  await page.fill(".edit-message textarea", "Tell me of a lake.");
  await page.press(".edit-message textarea", "Enter");
  await page.waitForSelector("article.user:has-text('Tell me of a lake.')");
  await finished(page);
  const texts = await textsOf(page);
  const { port } = program;
  await program.stop();
  await program.start(port);
  await page.waitForSelector(".banner[role=alert]", { state: "detached" });
  const address = page.url();
  await page.close();
  page = await open(new URL(address).hash.replace("#", "/#"));
  await page.waitForSelector("article.user:has-text('Tell me of a lake.')");
  await eventually(async () => assert.deepEqual(await textsOf(page), texts));
  await eventually(async () => assert.equal(await page.locator("article.user .versions").innerText(), "2/2"));
});

for (const [signal, name] of [["SIGTERM", "stopped"], ["SIGKILL", "killed"]] as const) {
  test(`the server is ${name} in the middle of an answer: what was seen is there afterwards`, async () => {
    const page = await open();
    await setParameters(page, { "Longest answer": "1500" });
    await send(page, "Write a long poem about the sea, with many verses.");
    await page.waitForFunction(() => (document.querySelector("article.live .markdown")?.textContent ?? "").length > 60);
    const seen = (await page.locator("article.live .markdown").innerText()).slice(0, 40);
    const { port } = program;
    // A server that is told to stop lets answers finish for a while; told again, it stops at once.
    const ended = program.stop(signal);
    if (signal === "SIGTERM") setTimeout(() => void program.again(), 300);
    await ended;
    await page.waitForSelector(".banner[role=alert]");
    await program.start(port);
    await page.waitForSelector(".banner[role=alert]", { state: "detached" });
    await page.waitForSelector("article.user:has-text('Write a long poem')");
    await page.waitForFunction((text) => [...document.querySelectorAll<HTMLElement>("article.assistant .markdown")].some((one) => one.innerText.startsWith(text)), seen);
    // The question is stored once, whatever happened.
    await page.reload();
    await page.waitForSelector("article.user:has-text('Write a long poem')");
    await eventually(async () => assert.equal(await page.locator("article.user").count(), 1));
  });
}

test("a story goes on; a token of it can be another one", async () => {
  const page = await open();
  await page.getByRole("button", { name: "Story", exact: true }).click();
  await setParameters(page, { "Longest answer": "16" });
  await send(page, "Once upon a time there was a cat who");
  await finished(page);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".piece.assistant:not(.live)").length === 2);
  await finished(page);
  const before = await page.locator(".piece").allInnerTexts();
  await page.getByRole("button", { name: "Show token probabilities" }).click();
  await page.hover("[data-token='3']");
  const other = page.locator(".alternatives button").first();
  const wanted = (await other.innerText()).replace(/␣/g, " ").replace(/⏎/g, "\n");
  await other.click();
  await page.waitForFunction(() => document.querySelectorAll(".piece.assistant:not(.live)").length === 3);
  await finished(page);
  const after = await page.locator(".piece").evaluateAll((all) => all.map((one) => one.textContent ?? ""));
  assert.equal(after[1], before[1]);
  assert.ok(after[2]!.endsWith(wanted), JSON.stringify({ after, wanted }));
});

test("in a chat, another token makes another version of the answer", async () => {
  const page = await open();
  await setParameters(page, { Temperature: "0", "Longest answer": "12" });
  await send(page, "What is the capital of France?");
  await finished(page);
  const text = (await textsOf(page))[1]!;
  await page.reload(); // they are stored
  await page.waitForSelector("article.assistant .markdown");
  await act(page, text, "Show token probabilities");
  await page.hover("[data-token='1']");
  await page.locator(".alternatives button").first().click();
  await page.waitForSelector("article.assistant .versions:has-text('2/2')");
  await finished(page);
  const other = (await textsOf(page))[1]!;
  assert.notEqual(other, text);
  assert.equal(other.slice(0, 3), text.slice(0, 3));
});

test("two windows, search, rename, export, import", async () => {
  const one = await open();
  await setParameters(one, { "Longest answer": "8" });
  await send(one, "Remember the word xylophone, please.");
  await finished(one);
  const two = await open(new URL(one.url()).hash.replace("#", "/#"));
  await two.waitForSelector("article.user:has-text('xylophone')");
  await send(two, "And the word zeppelin.");
  await finished(two);
  await one.waitForSelector("article.user:has-text('zeppelin')");
  await one.keyboard.press("Control+k");
  await one.locator("dialog input").fill("xylophone");
  await one.waitForSelector("[role=option] mark:has-text('xylophone')");
  await one.keyboard.press("Enter");
  await one.waitForSelector("dialog", { state: "detached" });
  await one.locator("button.title").click();
  await one.fill(".rename.title", "Words to remember");
  await one.keyboard.press("Enter");
  await one.waitForSelector(".session:has-text('Words to remember')");
  const download = one.waitForEvent("download");
  await one.locator(".page-header").getByRole("button", { name: "More" }).click();
  await one.getByRole("menuitem", { name: "Export as JSON" }).click();
  const file = await (await download).path();
  await one.setInputFiles(".sidebar input[type=file]", file);
  await one.waitForFunction(() => [...document.querySelectorAll(".session-title")].filter((title) => title.textContent === "Words to remember").length === 2);
});

test("every parameter that the page lets through is one that the server takes", async () => {
  const page = await open();
  const least = { Temperature: "0", "Top k": "0", "Top p": "0.01", "Min p": "0", "Repetition penalty": "0.01", "Frequency penalty": "-2", "Presence penalty": "-2", "Longest answer": "1", Seed: "0" };
  const most = { Temperature: "2", "Top k": "1000", "Top p": "1", "Min p": "1", "Repetition penalty": "10", "Frequency penalty": "2", "Presence penalty": "2", "Longest answer": "1000000", Seed: "9007199254740991" };
  await setParameters(page, { ...least, "System prompt": "You are terse.", "Stop texts": "###\nEND" });
  await send(page, "Hello");
  await finished(page);
  const id = Number(/#\/(\d+)/.exec(page.url())![1]);
  type Stored = { session: { parameters: Record<string, unknown> } };
  const stored = async () => (await api<Stored>("GET", `/api/sessions/${id}`)).session.parameters;
  await eventually(async () => assert.deepEqual(await stored(), {
    mode: "chat", system: "You are terse.", temperature: 0, top_k: 0, top_p: 0.01, min_p: 0, repeat_penalty: 0.01, frequency_penalty: -2,
    presence_penalty: -2, max_tokens: 1, seed: 0, stop: ["###", "END"],
  }));
  await setParameters(page, most);
  await eventually(async () => assert.equal((await stored())["seed"], 9007199254740991));
  await eventually(async () => assert.equal((await stored())["repeat_penalty"], 10));
  await eventually(async () => assert.equal(await page.locator(".toast.error").count(), 0));
});

test("a server with keys asks for one, and the page works with it", async () => {
  const guarded = new Program();
  try {
    await guarded.start(0, ["--api-key", "a-key-for-tests"]);
    const page = await browser.context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(guarded.url);
    await page.getByRole("textbox", { name: "API key" }).fill("a-key-for-tests");
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.waitForSelector(".foot-line:has-text('SmolLM2')");
    await setParameters(page, { "Longest answer": "4" });
    await send(page, "Hello");
    await finished(page);
    await eventually(async () => assert.equal(await page.locator("article.assistant").count(), 1));
    await page.close();
  } finally {
    await guarded.end();
  }
});

test(`E1, E2: ${payloads.length} payloads and ${leaks.length} leaks that the program stores and serves`, async () => {
  const texts = [...payloads, ...leaks];
  const { id } = await api<{ id: number }>("POST", "/api/sessions", { title: payloads[0]! });
  let parent: number | null = null;
  let count = 0;
  for (const content of texts) {
    if (content.includes("\u0000")) continue; // a control character: the store may refuse it
    parent = (await api<{ id: number }>("POST", `/api/sessions/${id}/messages`, { parent, role: count++ % 2 ? "assistant" : "user", content })).id;
  }
  const page = await open(`/#/${id}`);
  await drawAll(page, count);
  await nothingHappened(page, program.url, requests, browser.complaints);
});
