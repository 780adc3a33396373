// Runs the page's tests: types, unit tests, then headless Chromium against the mock and the real program.
//   node tests/run.mjs unit|page|program|types    node tests/run.mjs mock [PORT]    node tests/run.mjs pictures
// Exit 77: something is missing (said aloud), the rest passed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const web = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [what = "unit", ...rest] = process.argv.slice(2);
const work = join(web, ".work", `${what}-${process.pid}`);

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { stdio: "inherit", cwd: web, ...options });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

async function bundle(files) {
  await build({
    absWorkingDir: web, entryPoints: files, outdir: work, outbase: join(web, "tests"), bundle: true, platform: "node", format: "esm",
    target: "node18", packages: "external", jsx: "automatic", jsxImportSource: "preact", outExtension: { ".js": ".mjs" },
    logLevel: "warning", sourcemap: "inline",
  });
  return files.map((file) => join(work, file.slice(join(web, "tests").length + 1).replace(/\.tsx?$/, ".mjs")));
}

function buildPage() {
  const folder = join(work, "site");
  if (run(process.execPath, ["build.mjs", "--folder", folder]) !== 0) process.exit(1);
  return folder;
}

const filesOf = (folder) =>
  readdirSync(join(web, "tests", folder)).filter((name) => name.endsWith(".test.ts") || name.endsWith(".test.tsx")).map((name) => join(web, "tests", folder, name));

mkdirSync(work, { recursive: true });
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
const environment = { ...process.env, TESSERA_WEB: web };

if (what === "types") process.exit(run(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "--noEmit"]));

if (what === "mock") {
  const folder = buildPage();
  const [file] = await bundle([join(web, "tests", "mock_server.ts")]);
  const { MockServer, shippedHeaders } = await import(pathToFileURL(file).href);
  const mock = new MockServer(folder, shippedHeaders(web));
  await mock.start(Number(rest[0] ?? 8080));
  console.log(mock.url);
} else {
  if (what !== "unit") {
    const chromium = process.env.TESSERA_CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
    if (!chromium || !existsSync(chromium)) {
      console.log("SKIPPED: needs Chromium (apt-get install chromium; TESSERA_CHROMIUM names another one)");
      process.exit(77);
    }
    environment.TESSERA_CHROMIUM = chromium;
    environment.TESSERA_SITE = buildPage();
  }
  if (what === "program" || what === "pictures") {
    if (!process.env.TESSERA_BINARY || !existsSync(process.env.TESSERA_BINARY)) {
      console.log("SKIPPED: TESSERA_BINARY names no program");
      process.exit(77);
    }
    const models = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tessera", "models");
    environment.TESSERA_MODEL = process.env.TESSERA_MODEL ?? join(models, "SmolLM2-135M-Instruct.Q4_1.gguf");
    if (!existsSync(environment.TESSERA_MODEL)) {
      console.log("SKIPPED: the default model is not there; ./quickstart gets it");
      process.exit(77);
    }
  }
  const files = await bundle(what === "pictures" ? [join(web, "tests", "pictures.ts")] : filesOf(what));
  const test = what === "pictures" ? [] : ["--test"];
  process.exitCode = run(process.execPath, ["--enable-source-maps", ...test, ...rest, ...files], { env: environment });
}
