// Build the static page into site/: one script, and the model and WebAssembly compressed.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = new URL("../", import.meta.url);
const site = new URL("site/", root);
const path = (name, base = root) => fileURLToPath(new URL(name, base));
const STATIC = ["index.html", "style.css", "icon.svg", "manifest.webmanifest"];
const COMPRESSED = {
  "model.onnx": "model/model.onnx",
  "tokenizer.json": "model/tokenizer.json",
  "emotions.json": "model/emotions.json",
  "ort.wasm": "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
};

rmSync(site, { recursive: true, force: true });
mkdirSync(site);
const sizes = {};
const dataDigest = createHash("sha256");
for (const [name, source] of Object.entries(COMPRESSED)) {
  const content = gzipSync(readFileSync(path(source)), { level: 9 });
  sizes[name] = content.length;
  dataDigest.update(content);
  writeFileSync(path(`${name}.gz`, site), content);
}
// The URL changes with the model, so browsers never use a cached copy of another model.
const query = `?${dataDigest.digest("hex").slice(0, 12)}`;
for (const name of STATIC) copyFileSync(path(`demo/${name}`), path(name, site));
const shared = { bundle: true, minify: true, target: "es2022", legalComments: "none", logLevel: "warning" };
await build({
  ...shared,
  entryPoints: [path("demo/main.ts")],
  outfile: path("app.js", site),
  format: "esm",
  platform: "browser",
  define: { FILES: JSON.stringify(sizes), QUERY: JSON.stringify(query) },
  alias: { evenmood: path("dist/index.js") },
});
const files = [...STATIC, "app.js"];
const digest = createHash("sha256").update(query);
for (const name of files) digest.update(readFileSync(path(name, site)));
await build({
  ...shared,
  entryPoints: [path("demo/service_worker.ts")],
  outfile: path("service_worker.js", site),
  define: {
    VERSION: JSON.stringify(digest.digest("hex").slice(0, 12)),
    PAGE_FILES: JSON.stringify(["./", ...files]),
    MODEL_FILES: JSON.stringify(Object.keys(COMPRESSED).map((name) => `${name}.gz${query}`)),
  },
});
