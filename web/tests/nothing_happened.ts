// What must be true of a page after it has shown hostile texts.
import assert from "node:assert/strict";
import type { BrowserContext, Page } from "playwright-core";

// Notes every request, dialog and breach of the policy; attempts that the browser stopped count as well.
export async function watchFor(context: BrowserContext, requests: string[]): Promise<void> {
  context.on("request", (request) => requests.push(request.url()));
  context.on("dialog", (dialog) => {
    requests.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
}

const allowedTags = new Set(
  ("a annotation article aside bdi blockquote body br button circle code dd details dialog div dl dt em figcaption figure footer form g h1 h2 h3 h4 h5 h6 " +
    "head header hr html i input kbd label li line link main mark math menclose meta meter mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt " +
    "mstyle msub msubsup msup mtable mtd mtext mtr munder munderover nav noscript ol option p path pre progress rect s script section select semantics small span " +
    "strong svg table tbody td textarea th thead time title tr ul").split(" "),
);

export async function nothingHappened(page: Page, origin: string, requests: readonly string[], complaints: string[]): Promise<void> {
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
  assert.deepEqual([...new Set(state.scripts)], [origin]);
  assert.deepEqual(requests.filter((url) => !url.startsWith(origin) && !url.startsWith("data:image/svg")), []);
  assert.deepEqual(complaints, []);
}

export async function drawAll(page: Page, count: number): Promise<void> {
  await page.waitForFunction((wanted) => document.querySelectorAll("article.message").length === wanted, count, { timeout: 60_000 });
  // Content that is out of view is laid out too, and pointed at, focused and toggled.
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
