// Around the conversation: the list, search, parameters, languages, colours, keyboard, phone, accessible names.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import type { Page } from "playwright-core";
import { wordsOf } from "../mock_server";
import { act, eventually, finished, fixture, openPage, path, send } from "./page_fixture";

const f = fixture();

async function menu(page: Page, title: string, entry: string): Promise<void> {
  const item = page.locator(".session", { hasText: title });
  await item.hover();
  await item.getByRole("button", { name: /^More/ }).click();
  await page.getByRole("menuitem", { name: entry }).click();
}

test("sessions: rename, archive and back, delete", async () => {
  f.mock.addSession("old name");
  f.mock.addSession("to be archived");
  const page = await openPage(f);
  await menu(page, "old name", "Rename");
  await page.fill(".rename", "new name");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".session:has-text('new name')");
  await eventually(() => assert.equal(f.mock.sessions.get(1)!.title, "new name"));
  await menu(page, "to be archived", "Archive");
  await page.waitForFunction(() => document.querySelectorAll(".session").length === 1);
  await page.getByRole("button", { name: "Archived" }).click();
  await menu(page, "to be archived", "Take out of the archive");
  await page.getByRole("button", { name: "Back to the sessions" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".session").length === 2);
  await menu(page, "new name", "Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".session").length === 1);
  await eventually(() => assert.equal(f.mock.sessions.size, 1));
});

test("export downloads a file, import brings sessions in", async () => {
  f.mock.addSession("A good / talk");
  const page = await openPage(f);
  const download = page.waitForEvent("download");
  await menu(page, "A good", "Export as JSON");
  const file = await download;
  assert.equal(file.suggestedFilename(), "A-good-talk.json");
  assert.ok(JSON.parse(readFileSync(await file.path(), "utf8")).session);
  await page.setInputFiles(".sidebar input[type=file]", {
    name: "export.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify({ sessions: [{ title: "came in" }] })),
  });
  await page.waitForSelector(".session:has-text('came in')");
});

test("more sessions than one page of the list are fetched on scrolling", async () => {
  for (let n = 0; n < 120; ++n) f.mock.addSession(`session ${n}`);
  const page = await openPage(f);
  await page.waitForSelector(".session");
  await page.waitForFunction(() => {
    document.querySelector(".session-list")!.scrollTop = 1e6;
    return document.querySelectorAll(".session").length === 120;
  });
});

test("search finds words in all sessions and opens the message on its branch", async () => {
  const session = f.mock.addSession("mosaics");
  const question = f.mock.addMessage(session, null, "user", "Where are they?");
  f.mock.addMessage(session, question.id, "assistant", "They are in 拉文纳, 🙂 near Ravenna.");
  f.mock.addMessage(session, question.id, "assistant", "I do not know.");
  const page = await openPage(f);
  await page.keyboard.press("Control+k");
  await page.locator("dialog input").fill("ravenna");
  await page.waitForSelector("[role=option]");
  await eventually(async () => assert.equal(await page.locator("[role=option] mark").innerText(), "Ravenna"));
  await page.keyboard.press("Enter");
  await page.waitForSelector("article.assistant:has-text('拉文纳')");
  await eventually(() => assert.equal(f.mock.sessions.get(1)!.leaf, 2));
});

test("parameters are stored with the session; values out of range are not taken", async () => {
  const page = await openPage(f);
  await send(page, "Hello");
  await finished(page);
  await page.getByRole("button", { name: "Parameters" }).click();
  await page.getByLabel("System prompt").fill("Be brief.");
  const temperature = page.getByLabel("Temperature");
  assert.equal(await temperature.getAttribute("placeholder"), "0.4");
  await temperature.fill("1.25");
  await temperature.press("Tab");
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel("Stop texts").fill("###\nEND");
  await page.getByLabel("Stop texts").press("Tab");
  await page.getByLabel("Top p").fill("5");
  await page.getByLabel("Top p").press("Tab");
  await page.waitForSelector(".wrong:has-text('from 0.01 to 1')");
  await eventually(() => assert.deepEqual(f.mock.sessions.get(1)!.parameters, { mode: "chat", system: "Be brief.", temperature: 1.25, seed: 7, stop: ["###", "END"] }));
  await page.getByRole("button", { name: "Back to the defaults" }).click();
  await eventually(() => assert.deepEqual(f.mock.sessions.get(1)!.parameters, { mode: "chat" }));
});

test("Chinese and dark are remembered", async () => {
  const page = await openPage(f);
  await page.getByLabel("Language").selectOption("zh");
  await page.waitForSelector("text=今天聊点什么？");
  await page.getByLabel("颜色").selectOption("dark");
  await page.reload();
  await page.waitForSelector("text=今天聊点什么？");
  await eventually(async () => assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN"));
  await eventually(async () => assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(22, 23, 26)"));
  await page.getByLabel("语言").selectOption("en");
  await page.getByLabel("Colours").selectOption("system");
  await page.waitForSelector("text=What shall we talk about?");
});

test("the page can be used by keyboard alone", async () => {
  const page = await openPage(f);
  await page.keyboard.type("typed at once"); // the field has the focus
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await finished(page);
  await eventually(() => assert.equal(f.mock.messages.get(1)![0]!.content, "typed at once\nsecond line"));
  await page.focus(".composer textarea");
  await page.keyboard.press("ArrowUp");
  await page.waitForSelector(".edit-message textarea");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".edit-message", { state: "detached" });
  await page.keyboard.press("Control+.");
  await page.waitForSelector("aside[aria-label=Parameters]");
  await page.keyboard.press("Control+,");
  await page.waitForSelector("aside[aria-label=Branches]");
  await page.keyboard.press("Control+b");
  await page.waitForSelector(".sidebar", { state: "detached" });
  await page.keyboard.press("Control+b");
  await page.locator("body").click({ position: { x: 700, y: 300 } });
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Keyboard").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
});

test("code is copied whole, and coloured", async () => {
  const code = "def f(x):\n    return '<b>' + x  # <script>";
  f.mock.makeReply = () => ({ tokens: wordsOf(`Here:\n\n\`\`\`python\n${code}\n\`\`\`\n`) });
  const page = await openPage(f);
  await send(page, "Code?");
  await finished(page);
  await page.waitForSelector(".hljs-keyword");
  await eventually(async () => assert.equal(await page.locator("pre code").evaluate((element) => element.textContent), code));
  await page.getByRole("button", { name: "Copy code" }).click();
  await eventually(async () => assert.equal(await page.evaluate(() => navigator.clipboard.readText()), code));
});

test("formulas are typeset with fonts from the same server; broken ones are shown as they stand", async () => {
  f.mock.makeReply = () => ({ tokens: ["$\\frac{a}{b}$ and $$\\int_0^1 x\\,dx$$ and $\\frac{$ end and $\\notacommand{x}$"] });
  const page = await openPage(f);
  await send(page, "Maths?");
  await finished(page);
  await page.waitForSelector(".formula[data-formula=yes] .katex");
  await eventually(async () => assert.ok(await page.evaluate(() => document.fonts.ready.then(() => [...document.fonts].some((font) => font.family.startsWith("KaTeX") && font.status === "loaded")))));
  await eventually(async () => assert.ok((await page.locator(".formula[data-formula=no]").allInnerTexts()).includes("\\notacommand{x}")));
  assert.deepEqual(f.browser.complaints, []);
});

test("at phone width nothing is cut off, and the sessions slide in", async () => {
  f.mock.addSession("on the phone");
  f.mock.makeReply = () => ({ tokens: [`${"wide".repeat(60)}\n\n| a | b | c | d | e | f |\n|-|-|-|-|-|-|\n| ${"cell | ".repeat(6)}\n\n\`\`\`\n${"code ".repeat(60)}\n\`\`\``] });
  const page = await openPage(f);
  await page.setViewportSize({ width: 375, height: 720 });
  await page.waitForSelector(".sidebar", { state: "detached" });
  await page.reload();
  await page.waitForSelector(".foot-line:has-text('Mock')");
  await eventually(async () => assert.equal(await page.locator(".sidebar").count(), 0));
  await page.fill(".composer textarea", "Hello");
  await page.locator(".composer .send").click();
  await finished(page);
  const wide = await page.evaluate(() => [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".table-holder, pre, .off-screen")).map((one) => one.className || one.tagName));
  assert.deepEqual(wide, []);
  await page.getByRole("button", { name: "Sessions and menu" }).click();
  await page.locator(".session", { hasText: "on the phone" }).locator("a").click();
  await page.waitForSelector(".sidebar", { state: "detached" });
  // On a wide window it is open as it was before.
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.waitForSelector(".sidebar");
});

test("every control has a name, contrast suffices, roles are right, in both colours and languages", async () => {
  const axe = readFileSync(path("node_modules/axe-core/axe.min.js"), "utf8");
  f.mock.makeReply = () => ({ tokens: wordsOf("# Title\n\nText with [a link](https://example.org), `code` and $x^2$.\n\n```python\n# comment\nx = 1\n```\n\n- [x] done") });
  for (const [colours, language] of [["light", "en"], ["dark", "zh"]] as const) {
    const page = await openPage(f);
    await page.evaluate((wanted) => localStorage.setItem("tessera.language", wanted), language);
    await page.emulateMedia({ colorScheme: colours, reducedMotion: "reduce" });
    await page.reload();
    await page.waitForSelector(".foot-line:has-text('Mock')");
    await send(page, "Hello");
    await finished(page);
    const check = async (state: string) => {
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const runner = (window as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }).axe;
        return (await runner.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
      });
      assert.deepEqual(found, [], `${state}, ${colours}, ${language}`);
    };
    await check("conversation");
    await page.keyboard.press("Control+.");
    await check("parameters");
    await page.keyboard.press("Control+,");
    await check("branches");
    await page.keyboard.press("Control+k");
    await check("search");
    await page.keyboard.press("Escape");
    await page.evaluate(() => localStorage.setItem("tessera.language", "en"));
    await page.close();
  }
});

test("answers are announced at their beginning and end, not word by word", async () => {
  f.mock.makeReply = () => ({ tokens: wordsOf("one two three four five six"), delay: 60 });
  const page = await openPage(f);
  await send(page, "Hello");
  const spoken = page.locator("[role=status].off-screen");
  await page.waitForFunction(() => document.querySelector("[role=status].off-screen")?.textContent === "The model is answering.");
  await finished(page);
  await page.waitForFunction(() => /^Answer finished, 6 tokens\.$/.test(document.querySelector("[role=status].off-screen")?.textContent ?? ""));
  await eventually(async () => assert.equal(await spoken.getAttribute("aria-live"), "polite"));
  await eventually(async () => assert.equal(await page.locator("[role=log]").getAttribute("aria-live"), "off"));
  await act(page, "one two", "Copy message");
});
