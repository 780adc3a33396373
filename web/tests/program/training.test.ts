// The live view of tessera train --serve: curves, samples, and a talk with the newest checkpoint.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type TestBrowser, openBrowser } from "../browser";
import { eventually } from "../page/page_fixture";

const folder = mkdtempSync(join(tmpdir(), "tessera-train-"));
const binary = process.env["TESSERA_BINARY"]!;
// What a page that took texts for markup would run.
const hostile = "<img src=x onerror=document.title='ran'>";
let browser: TestBrowser;
let training: ChildProcess;
let url = "";

function tessera(...args: string[]): void {
  const { status, stderr } = spawnSync(binary, args, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

before(async () => {
  writeFileSync(join(folder, "text.txt"), `the cat sat on the mat, ${hostile}\n`.repeat(60));
  tessera("tokenizer", "train", "--type", "char", "-o", join(folder, "tokenizer"), join(folder, "text.txt"));
  tessera("data", "-m", join(folder, "tokenizer", "tokenizer.json"), "-o", join(folder, "data"), join(folder, "text.txt"));
  const { TESSERA_MODEL: _, ...environment } = process.env; // it would be the model to go on from
  training = spawn(binary, [
    "train", "--data", join(folder, "data"), "--out", join(folder, "run"), "--serve", "0", "--steps", "1000000", "--layers", "1", "--heads", "2",
    "--hidden-size", "32", "--seq-len", "64", "--batch-size", "2", "--warmup", "2", "--learning-rate", "0.01", "--evaluate-every", "20",
    "--save-every", "200", "--sample-every", "50", "--sample-tokens", "12", "--sample-prompt", hostile, "--ema", "0.9",
  ], { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  url = await new Promise<string>((resolve, reject) => {
    training.stdout!.on("data", (text: Buffer) => {
      if (url === "") said += text.toString();
      const found = /http:\/\/[\d.]+:\d+\/training/.exec(said);
      if (found) resolve(found[0]);
    });
    training.on("exit", (code) => reject(new Error(`tessera train ended with ${code}: ${said}`)));
  });
  browser = await openBrowser();
});
after(async () => {
  const { hosts } = await browser.close();
  if (training.exitCode === null) {
    const ended = once(training, "exit");
    training.kill("SIGKILL");
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(hosts.filter((host) => host.endsWith(".example")), []);
});

test("the page follows the run and talks to its newest checkpoint", async () => {
  const page = await browser.context.newPage();
  await page.goto(url);
  await page.waitForSelector("[data-chart='Loss'] .curve.train path");
  await page.waitForSelector("[data-chart='Loss'] .curve.validation path");
  await page.waitForSelector("[data-chart='Loss'] .curve.average path");
  const stepOf = async () => Number(/step ([\d,]+)/.exec((await page.textContent(".facts")) ?? "")?.[1]?.replace(/,/g, "") ?? 0);
  const first = await stepOf();
  await eventually(async () => assert.ok((await stepOf()) > first, "the step stays where it was"));
  // Texts are text.
  await page.waitForSelector(".samples article");
  assert.ok((await page.textContent(".samples article b"))!.startsWith("<img src=x"));
  assert.equal(await page.locator(".samples img").count(), 0);

  await page.waitForFunction(() => /checkpoint-\d+/.test(document.querySelector(".talk .soft")?.textContent ?? ""));
  await page.getByLabel("Text to continue").fill("the cat");
  await page.getByRole("button", { name: "Continue the text" }).click();
  await page.waitForFunction(() => (document.querySelector(".talk .written")?.textContent ?? "").length > "the cat".length + 3);
  const wrote = await page.waitForSelector(".talk p:has-text('written by checkpoint-')");
  const numberIn = (text: string | null) => Number(/checkpoint-(\d+)/.exec(text ?? "")?.[1] ?? -1);
  const by = numberIn(await wrote.textContent());

  // A newer one takes its place.
  await page.waitForFunction((before) => Number(/checkpoint-(\d+)/.exec(document.querySelector(".talk .soft")?.textContent ?? "")?.[1] ?? -1) > before, by);
  await page.getByRole("button", { name: "Continue the text" }).click();
  await eventually(async () => assert.ok(numberIn(await page.textContent(".talk p:has-text('written by')")) > by));
  assert.equal(await page.title(), "Tessera");
  assert.deepEqual(browser.complaints, []);

  // When the run is over, the page says so and keeps what it drew.
  training.kill("SIGKILL");
  await page.waitForSelector(".run-head .problem");
  assert.ok((await page.locator("[data-chart='Loss'] .curve.train path").count()) > 0);
});
