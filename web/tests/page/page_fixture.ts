// A mock server and a browser for one file of tests, and what tests do with the page again and again.
import { join } from "node:path";
import { after, before, beforeEach } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { type TestBrowser, openBrowser } from "../browser";
import { MockServer, shippedHeaders } from "../mock_server";

export interface Fixture {
  mock: MockServer;
  browser: TestBrowser;
  context: BrowserContext;
}

export function fixture(): Fixture {
  const shared = {} as Fixture;
  const headers = shippedHeaders(process.env["TESSERA_WEB"]!);
  before(async () => {
    shared.browser = await openBrowser({ acceptDownloads: true });
    shared.context = shared.browser.context;
    await shared.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  });
  beforeEach(async () => {
    await shared.mock?.stop();
    for (const page of shared.context.pages().slice(1)) await page.close();
    shared.mock = new MockServer(process.env["TESSERA_SITE"]!, headers);
    await shared.mock.start();
    shared.browser.complaints.length = 0;
  });
  after(async () => {
    await shared.mock?.stop();
    await shared.browser?.close();
  });
  return shared;
}

export async function openPage({ context, mock }: Fixture, path = "/"): Promise<Page> {
  const page = await context.newPage();
  await page.goto(mock.url + path);
  await page.waitForSelector(".composer textarea");
  await page.waitForSelector(".foot-line:not(:empty)");
  return page;
}

export async function send(page: Page, text: string): Promise<void> {
  await page.fill(".composer textarea", text);
  await page.press(".composer textarea", "Enter");
}

// The answer under way is complete.
export async function finished(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector(".composer .send:not(.stop)") && !document.querySelector("article.live, .piece.live"));
}

// Asserts what is about to become true: tried again until it holds. A page shows one thing after another, and a slow
// machine leaves time between them.
export async function eventually(check: () => void | Promise<void>, patience = 45_000): Promise<void> {
  const end = Date.now() + patience;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() >= end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const textsOf = (page: Page) =>
  page.$$eval("article.message .person-text, article.message .markdown", (all) => all.map((one) => (one as HTMLElement).innerText.trim()));

export const path = (name: string) => join(process.env["TESSERA_WEB"]!, name);

// Hovers the last message, so that its buttons show, and presses one.
export async function act(page: Page, message: string, label: string): Promise<void> {
  const article = page.locator("article.message", { hasText: message }).last();
  await article.hover();
  await article.getByRole("button", { name: label, exact: true }).click();
}
