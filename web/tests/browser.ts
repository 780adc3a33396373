// Headless Chromium for the tests, with everything switched off that speaks to the network by itself.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, type BrowserContextOptions, type Page, chromium } from "playwright-core";

const switches = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
  "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
];

export interface TestBrowser {
  context: BrowserContext;
  // Everything the page complained of: refused by the policy, failed requests, errors.
  complaints: string[];
  // Hosts that the browser looked up or asked, from its own network log. Closes the browser.
  close(): Promise<{ hosts: string[] }>;
}

export async function openBrowser(options: BrowserContextOptions = {}): Promise<TestBrowser> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-web-"));
  const log = join(folder, "network.json");
  const context = await chromium.launchPersistentContext(join(folder, "profile"), {
    executablePath: process.env["TESSERA_CHROMIUM"] ?? "/usr/bin/chromium",
    args: [...switches, `--log-net-log=${log}`, "--net-log-capture-mode=Everything"],
    locale: "en-US",
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  context.setDefaultTimeout(45_000);
  const complaints: string[] = [];
  const slowdown = Number(process.env["TESSERA_BROWSER_SLOWDOWN"] ?? 1);
  context.on("page", (page) => {
    listen(page, complaints);
    if (slowdown > 1) void slow(context, page, slowdown).catch(() => undefined); // closed already
  });
  context.pages().forEach((page) => listen(page, complaints));
  return {
    context,
    complaints,
    close: async () => {
      await context.close();
      const hosts = hostsIn(log);
      rmSync(folder, { recursive: true, force: true });
      return { hosts };
    },
  };
}

// As a machine that is so many times slower: finds tests that count on the page being drawn already.
async function slow(context: BrowserContext, page: Page, rate: number): Promise<void> {
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate });
}

function listen(page: Page, complaints: string[]): void {
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`console: ${message.text()}`);
  });
}

// The network log holds every look-up of a name and every request, whoever made it.
function hostsIn(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const hosts = new Set<string>();
  for (const [, host] of text.matchAll(/"host":"(?:https?:\/\/)?([^":/]+)/g)) hosts.add(host!);
  for (const [, host] of text.matchAll(/"(?:url|origin)":"(?:https?|wss?):\/\/([^":/]+)/g)) hosts.add(host!);
  return [...hosts].filter((host) => !["127.0.0.1", "localhost", "[::1]"].includes(host)).sort();
}
