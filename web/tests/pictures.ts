// Takes the pictures of docs/pictures with the program and the default model: node tests/run.mjs pictures
// (TESSERA_BINARY and TESSERA_MODEL name them, as for the tests).
import { join } from "node:path";
import type { Page } from "playwright-core";
import { openBrowser } from "./browser";
import { finished, send } from "./page/page_fixture";
import { Program } from "./program/program";

const folder = join(process.env["TESSERA_WEB"]!, "..", "docs", "pictures");
const program = new Program();
await program.start();
const browser = await openBrowser({ viewport: { width: 1180, height: 780 } });
const page = await browser.context.newPage();
page.setDefaultTimeout(120_000);

async function api(method: string, path: string, body: unknown): Promise<{ id: number }> {
  const response = await fetch(program.url + path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return (await response.json()) as { id: number };
}
async function take(name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
async function open(id: number): Promise<Page> {
  await page.goto(`${program.url}/#/${id}`);
  await page.reload();
  await page.waitForSelector(".foot-line:has-text('SmolLM2')");
  return page;
}

const parameters = { temperature: 0.3, seed: 11, max_tokens: 220 };
for (const title of ["A week in Ravenna", "Why is the sky blue?", "翻译一首诗", "Names for a cat"]) await api("POST", "/api/sessions", { title, parameters: { mode: "chat" } });
await api("POST", "/api/sessions", { title: "The winter garden", parameters: { mode: "story" } });

const chat = await api("POST", "/api/sessions", { parameters: { ...parameters, mode: "chat" } });
await open(chat.id);
await send(page, "What is the capital of France?");
await finished(page);
await send(page, "Write a Python function that computes the factorial of a number. Use a loop.");
await finished(page);
await take("page-chat");

const story = await api("POST", "/api/sessions", { parameters: { ...parameters, temperature: 0.9, seed: 5, mode: "story", max_tokens: 60 } });
await open(story.id);
await send(page, "The lighthouse had been dark for forty years when Maren climbed its stairs with a tin of oil and a book.");
await finished(page);
await page.getByRole("button", { name: "Answer again" }).click();
await page.waitForSelector(".versions:has-text('2/2')");
await finished(page);
await send(page, "That night the sea answered.");
await finished(page);
await page.emulateMedia({ colorScheme: "dark" });
await page.getByRole("button", { name: "Show token probabilities" }).click();
await page.hover("[data-token='6']");
await page.keyboard.press("Control+,");
await page.waitForTimeout(400);
await page.hover("[data-token='8']");
await page.waitForTimeout(400);
await page.screenshot({ path: join(folder, "page-story.png") });

await page.emulateMedia({ colorScheme: "light" });
await page.keyboard.press("Control+,");
await page.getByLabel("Language").selectOption("zh");
await open(chat.id);
await take("page-chat-zh");
await browser.close();
await program.end();
