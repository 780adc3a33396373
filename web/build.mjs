// Builds the page: bundles src/ with esbuild, collects the licences of what went in, compresses, and writes one pack
// for the program to embed (format: src/serve/web_assets.h).
//   node build.mjs --pack FILE      for the program
//   node build.mjs --folder FOLDER  the same files as they are, for tests/mock_server.ts
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

const contentTypes = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  woff2: "font/woff2",
};

// KaTeX names each font in three formats; every browser that can run the page takes the first.
const onlyWoff2 = {
  name: "only-woff2",
  setup(setup) {
    setup.onLoad({ filter: /katex\.min\.css$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/,url\([^)]*\.(woff|ttf)\) format\("[a-z]+"\)/g, ""),
      loader: "css",
    }));
  },
};

async function bundle() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: {
      page: "src/main.tsx", style: "src/styles/page.css", theme: "src/theme.ts",
      training: "src/training/main.tsx", training_style: "src/styles/training.css",
    },
    outdir: "assets",
    publicPath: "/assets",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    write: false,
    metafile: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".woff2": "file" },
    plugins: [onlyWoff2],
  });
  const files = new Map();
  for (const file of result.outputFiles) files.set(`/assets/${basename(file.path)}`, Buffer.from(file.contents));
  return { files, inputs: Object.keys(result.metafile.inputs) };
}

// A font's own words about itself (OpenType, table 'name'), from its uncompressed form. 0: copyright, 13: licence.
function fontNames(file, wanted) {
  const bytes = readFileSync(file);
  const tables = Array.from({ length: bytes.readUInt16BE(4) }, (_, at) => 12 + 16 * at);
  const entry = tables.find((at) => bytes.toString("latin1", at, at + 4) === "name");
  const begin = bytes.readUInt32BE(entry + 8);
  const texts = begin + bytes.readUInt16BE(begin + 4);
  const found = new Map();
  for (let at = begin + 6; at < begin + 6 + 12 * bytes.readUInt16BE(begin + 2); at += 12) {
    const [platform, , , name, length, offset] = [0, 2, 4, 6, 8, 10].map((field) => bytes.readUInt16BE(at + field));
    const text = Buffer.from(bytes.subarray(texts + offset, texts + offset + length));
    if (wanted.includes(name)) found.set(name, platform === 3 || platform === 0 ? text.swap16().toString("utf16le") : text.toString("latin1"));
  }
  return wanted.map((name) => found.get(name) ?? "").join("\n\n");
}

// The package whose folder holds `input`, and the text of its licence.
function licences(inputs) {
  const names = new Set();
  for (const input of inputs) {
    const found = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) names.add(found[1]);
  }
  const parts = ["What this page contains besides Tessera's own code.\n"];
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? readFileSync(join(folder, file), "utf8") : "";
    if (!about.license) throw new Error(`${name}: expected a licence in its package.json`);
    parts.push(`${"=".repeat(78)}\n${name} ${about.version}: ${about.license}\n\n${text.trim()}\n`);
  }
  const font = join(here, "node_modules", "katex", "dist", "fonts", "KaTeX_Main-Regular.ttf");
  parts.push(`${"=".repeat(78)}\nThe fonts KaTeX_*\n\n${fontNames(font, [0, 13]).trim()}\n`);
  return parts.join("\n");
}

function assetName(files, stem, extension) {
  const found = [...files.keys()].find((path) => path.startsWith(`/assets/${stem}-`) && path.endsWith(extension));
  if (!found) throw new Error(`no ${stem}*${extension} in the bundle`);
  return found;
}

async function pageFiles() {
  const { files, inputs } = await bundle();
  const page = (script, style) => Buffer.from(readFileSync(join(here, "index.html"), "utf8")
    .replace("THEME_SCRIPT", assetName(files, "theme", ".js"))
    .replace("PAGE_SCRIPT", assetName(files, script, ".js"))
    .replace("PAGE_STYLE", assetName(files, style, ".css")));
  files.set("/", page("page", "style"));
  files.set("/training", page("training", "training_style"));
  files.set("/assets/licenses.txt", Buffer.from(licences(inputs)));
  return files;
}

function pack(files) {
  const lines = [];
  const parts = [];
  let offset = 0;
  const put = (bytes) => {
    parts.push(bytes);
    offset += bytes.length;
    return offset - bytes.length;
  };
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const extension = path.includes(".") ? path.split(".").pop() : "html";
    const type = contentTypes[extension];
    if (!type) throw new Error(`${path}: no content type for .${extension}`);
    const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    const small = gzipSync(bytes, { level: 9 });
    const compressed = small.length < bytes.length * 0.95 ? small : Buffer.alloc(0);
    lines.push([path, type, etag, put(bytes), bytes.length, put(compressed), compressed.length].join("\t"));
  }
  return Buffer.concat([Buffer.from(`tessera-page 1\n${lines.join("\n")}\n\n`), ...parts]);
}

const [option, target] = process.argv.slice(2);
if (!target || !["--pack", "--folder"].includes(option)) {
  console.error("usage: node build.mjs --pack FILE | --folder FOLDER");
  process.exit(2);
}
if (!existsSync(join(here, "node_modules"))) throw new Error("run 'npm ci' in web/ first");
const files = await pageFiles();
if (option === "--pack") {
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, pack(files));
} else {
  for (const [path, bytes] of files) {
    const file = join(target, path === "/" ? "index.html" : path.includes(".") ? path : `${path}.html`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
}
