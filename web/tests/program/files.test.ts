// The embedded page as the program serves it.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Program } from "./program";

const program = new Program();
before(() => program.start());
after(() => program.end());

test("every file of the page comes from the program, as it was built, under a strict policy", async () => {
  const site = process.env["TESSERA_SITE"]!;
  const paths = ["/", ...readdirSync(join(site, "assets")).map((name) => `/assets/${name}`)];
  assert.ok(paths.length > 20);
  for (const path of paths) {
    const response = await fetch(program.url + path);
    assert.equal(response.status, 200, path);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.ok(bytes.equals(readFileSync(join(site, path === "/" ? "index.html" : path))), path);
    assert.match(response.headers.get("content-security-policy") ?? "", /^default-src 'none'/, path);
    const again = await fetch(program.url + path, { headers: { "If-None-Match": response.headers.get("etag")! } });
    assert.equal(again.status, 304, path);
  }
});
