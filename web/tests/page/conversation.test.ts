// What people do with a conversation: send, watch it stream, stop, answer again, edit, switch, undo, go back.
import assert from "node:assert/strict";
import test from "node:test";
import { wordsOf } from "../mock_server";
import { act, eventually, finished, fixture, openPage, send, textsOf } from "./page_fixture";

const f = fixture();

test("a question is answered as a stream, and the session appears in the list", async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  f.mock.makeReply = () => ({
    tokens: (function* () {
      yield "One ";
      yield "**two**";
    })(),
    pause: gate,
  });
  const page = await openPage(f);
  await send(page, "Count, please");
  await page.waitForSelector("article.user:has-text('Count, please')");
  await page.waitForSelector("article.live .waiting");
  await eventually(async () => assert.equal(await page.inputValue(".composer textarea"), ""));
  release();
  await finished(page);
  await eventually(async () => assert.deepEqual(await textsOf(page), ["Count, please", "One two"]));
  await eventually(async () => assert.equal(await page.locator("article.assistant strong").innerText(), "two"));
  await eventually(async () => assert.match(await page.locator("article.assistant .measure").innerText(), /tokens\/s · first token .* · 2 tokens/));
  await eventually(async () => assert.equal(await page.locator(".session").count(), 1));
  assert.match(page.url(), /#\/1$/);
  const asked = f.mock.requests.find(({ path }) => path.endsWith("/reply"))?.body as { parent: unknown; content: string };
  assert.equal(asked.parent, null);
  assert.equal(asked.content, "Count, please");
  assert.deepEqual(f.browser.complaints, []);
});

test("text is on the page before the answer is complete", async () => {
  f.mock.makeReply = () => ({ tokens: wordsOf("alpha beta gamma delta epsilon zeta eta theta".repeat(6)), delay: 40 });
  const page = await openPage(f);
  await send(page, "Go");
  await page.waitForFunction(() => document.querySelector(".composer .send.stop") && /alpha beta/.test(document.querySelector("article.live")?.textContent ?? ""));
  await finished(page);
});

test("Stop and Esc end the answer, and what was written is stored", async () => {
  for (const how of ["button", "key"]) {
    f.mock.makeReply = () => ({ tokens: wordsOf("word ".repeat(2000)), delay: 10 });
    const page = await openPage(f);
    await send(page, `Stop by ${how}`);
    await page.waitForFunction(() => (document.querySelector("article.live .markdown")?.textContent ?? "").length > 30);
    if (how === "button") await page.click(".composer .send.stop");
    else await page.keyboard.press("Escape");
    await finished(page);
    await page.waitForSelector("article.assistant .reason:has-text('stopped')");
    const stored = [...f.mock.messages.values()].flat().filter(({ finish_reason }) => finish_reason === "cancelled");
    assert.ok(stored.length >= 1);
    assert.ok(stored.at(-1)!.content.length < 8000);
    await eventually(async () => assert.equal(await page.locator(".unsaved").count(), 0));
    await page.close();
  }
});

test("answering again makes a version, and the switcher goes between them", async () => {
  let n = 0;
  f.mock.makeReply = () => ({ tokens: [`answer number ${++n}`] });
  const page = await openPage(f);
  await send(page, "Again and again");
  await finished(page);
  await act(page, "answer number 1", "Answer again");
  await page.waitForSelector("article.assistant:has-text('answer number 2')");
  await finished(page);
  await eventually(async () => assert.equal(await page.locator("article.assistant .versions").innerText(), "2/2"));
  await act(page, "answer number 2", "Previous version");
  await page.waitForSelector("article.assistant:has-text('answer number 1')");
  await eventually(async () => assert.equal(await page.locator("article.assistant .versions").innerText(), "1/2"));
  // The server knows where the reader stands: a reload shows the same.
  await page.reload();
  await page.waitForSelector("article.assistant:has-text('answer number 1')");
  await eventually(async () => assert.equal(await page.locator("article.assistant").count(), 1));
});

test("editing a question makes a branch; the old one is still there", async () => {
  f.mock.makeReply = (_, path) => ({ tokens: [`Heard ${path.at(-1)?.content.length} letters`] });
  const page = await openPage(f);
  await send(page, "first wording");
  await finished(page);
  await send(page, "a second turn");
  await finished(page);
  await act(page, "first wording", "Edit");
  await page.fill(".edit-message textarea", "better wording");
  await page.press(".edit-message textarea", "Enter");
  await page.waitForSelector("article.assistant:has-text('Heard 14 letters')");
  await finished(page);
  await eventually(async () => assert.deepEqual(await textsOf(page), ["better wording", "Heard 14 letters"]));
  await act(page, "better wording", "Previous version");
  await page.waitForSelector("article.user:has-text('a second turn')");
  await eventually(async () => assert.equal((await textsOf(page)).length, 4));
});

test("an answer can be edited by hand as a version of its own", async () => {
  const page = await openPage(f);
  await send(page, "Hello");
  await finished(page);
  await act(page, "mock's answer", "Edit");
  await page.fill(".edit-message textarea", "What I would have said");
  await page.getByRole("button", { name: "Save as a new version" }).click();
  await page.waitForSelector("article.assistant:has-text('What I would have said')");
  await eventually(async () => assert.equal(await page.locator("article.assistant .versions").innerText(), "2/2"));
});

test("undo takes the turn back into the field, and redo brings it back", async () => {
  const page = await openPage(f);
  await send(page, "one");
  await finished(page);
  await send(page, "two");
  await finished(page);
  await page.getByRole("button", { name: "Undo the last turn" }).click();
  await page.waitForFunction(() => document.querySelectorAll("article.user").length === 1);
  await eventually(async () => assert.equal(await page.inputValue(".composer textarea"), "two"));
  await page.getByRole("button", { name: "Redo" }).click();
  await page.waitForFunction(() => document.querySelectorAll("article.user").length === 2);
  // Nothing was taken away on the server.
  await eventually(() => assert.equal(f.mock.messages.get(1)!.length, 4));
});

test("going back to a message, then on: the next question follows that message", async () => {
  const page = await openPage(f);
  for (const text of ["one", "two", "three"]) {
    await send(page, text);
    await finished(page);
  }
  const first = page.locator("article.assistant").first();
  await first.hover();
  await first.getByRole("button", { name: "Go back to here" }).click();
  await page.waitForFunction(() => document.querySelectorAll("article.user").length === 1);
  await send(page, "another way");
  await finished(page);
  const messages = f.mock.messages.get(1)!;
  assert.equal(messages.find(({ content }) => content === "another way")?.parent, messages[1]!.id);
});

test("the tree shows every branch, and choosing a message goes there", async () => {
  let n = 0;
  f.mock.makeReply = () => ({ tokens: [`reply ${++n}`] });
  const page = await openPage(f);
  await send(page, "root");
  await finished(page);
  await act(page, "reply 1", "Answer again");
  await page.waitForSelector("article.assistant:has-text('reply 2')");
  await finished(page);
  await page.getByRole("button", { name: "Branches" }).click();
  const items = page.getByRole("treeitem");
  // What is not drawn yet has no inner text.
  await page.waitForFunction(() => [...document.querySelectorAll<HTMLElement>("[role=treeitem]")].every(({ innerText }) => innerText !== ""));
  await eventually(async () => assert.deepEqual(await items.allInnerTexts().then((all) => all.map((text) => text.split("\n")[0])), ["root", "reply 1", "reply 2"]));
  await eventually(async () => assert.equal(await page.locator("[role=treeitem][aria-selected=true]").innerText().then((text) => text.split("\n")[0]), "reply 2"));
  await items.nth(1).click();
  await page.waitForSelector("article.assistant:has-text('reply 1')");
  // By keyboard too.
  await items.nth(1).focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForSelector("article.assistant:has-text('reply 2')");
});

test("deleting a message asks first and takes what follows along", async () => {
  const page = await openPage(f);
  for (const text of ["one", "two"]) {
    await send(page, text);
    await finished(page);
  }
  const second = page.locator("article.user", { hasText: "two" });
  await second.hover();
  await second.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.waitForFunction(() => document.querySelectorAll("article.user").length === 1);
  await eventually(() => assert.equal(f.mock.messages.get(1)!.length, 2));
});

test("probabilities: pointing at a token shows what else it could have been; choosing that branches", async () => {
  const top = [{ text: " Paris", logprob: -0.1 }, { text: " Lyon", logprob: -2.4 }];
  f.mock.makeReply = (request) =>
    request.continue ? { tokens: [" indeed"] } : { tokens: [{ text: "It is", logprob: -0.01, top: [] }, { text: " Paris", logprob: -0.1, top }, "."] };
  const page = await openPage(f);
  await send(page, "Capital?");
  await finished(page);
  await act(page, "It is Paris", "Show token probabilities");
  await page.hover("[data-token='1']");
  const box = page.locator(".alternatives");
  await box.waitFor();
  await eventually(async () => assert.match(await box.innerText(), /␣Paris\s+90 %[^]*␣Lyon\s+9\.1 %/));
  await box.getByRole("button", { name: "␣Lyon" }).click();
  await page.waitForSelector("article.assistant .markdown:has-text('It is Lyon indeed')");
  const asked = f.mock.requests.filter(({ path }) => path.endsWith("/reply")).map(({ body }) => body as { continue?: boolean; logprobs?: number });
  assert.equal(asked[0]?.logprobs, 6);
  assert.equal(asked[1]?.continue, true);
});

test("probabilities of an answer are there after a reload, and only when they are stored", async () => {
  const top = [{ text: " Paris", logprob: -0.1 }, { text: " Lyon", logprob: -2.4 }];
  f.mock.makeReply = () => ({ tokens: [{ text: "It is", logprob: -0.01, top: [] }, { text: " Paris", logprob: -0.1, top }, "."] });
  const page = await openPage(f);
  await send(page, "Capital?");
  await finished(page);
  await page.reload();
  await page.waitForSelector("article.assistant .markdown:has-text('It is Paris')");
  assert.equal(f.mock.requests.filter(({ path }) => path.endsWith("/tokens")).length, 0); // not before somebody asks
  await act(page, "It is Paris", "Show token probabilities");
  await page.hover("[data-token='1']");
  await page.locator(".alternatives").waitFor();
  assert.match(await page.locator(".alternatives").innerText(), /␣Paris\s+90 %[^]*␣Lyon\s+9\.1 %/);
  for (const message of f.mock.messages.get(1)!) message.has_tokens = false;
  await page.reload();
  await page.waitForSelector("article.assistant .markdown:has-text('It is Paris')");
  await page.locator("article.assistant").hover();
  await page.locator("article.assistant").getByRole("button", { name: "Copy message", exact: true }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Show token probabilities" }).count(), 0);
});

test("a story goes on from nothing, from a person's words, and anew", async () => {
  let n = 0;
  f.mock.makeReply = () => ({ tokens: [` part ${++n}`] });
  const page = await openPage(f);
  await page.getByRole("button", { name: "Story", exact: true }).click();
  await send(page, "Once upon a time");
  await finished(page);
  await eventually(async () => assert.equal(await page.locator(".prose .piece").allInnerTexts().then((all) => all.join("|")), "Once upon a time| part 1"));
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForSelector(".piece:has-text('part 2')");
  await finished(page);
  const asked = f.mock.requests.filter(({ path }) => path.endsWith("/reply")).map(({ body }) => body as { content?: string; parent: number });
  assert.equal(asked[1]?.content, undefined);
  await page.getByRole("button", { name: "Answer again" }).click();
  await page.waitForSelector(".piece:has-text('part 3')");
  await finished(page);
  await eventually(async () => assert.equal(await page.locator(".versions").innerText(), "2/2"));
  await send(page, "Then it rained.");
  await finished(page);
  // What is added does not run into the word before it.
  await eventually(async () => assert.match(await page.locator(".prose").innerText(), /part 3 Then it rained\. part 4/));
  await eventually(() => assert.equal(f.mock.sessions.get(1)!.parameters.mode, "story"));
});

test("an answer that was cut short goes on where it stopped, as a version of its own", async () => {
  f.mock.makeReply = (request) => ({ tokens: wordsOf(request.continue ? " and so it ended." : "It began well, "), ...(request.continue ? {} : { failAfter: 3 }) });
  const page = await openPage(f);
  await send(page, "Tell");
  await page.waitForSelector("article.assistant:has-text('It began well') .reason");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForSelector("article.assistant:has-text('It began well, and so it ended.')");
  await finished(page);
  await eventually(async () => assert.equal(await page.locator("article.assistant .versions").innerText(), "2/2"));
});
