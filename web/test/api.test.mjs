// The public API, its errors, and loading from a folder, a URL and the Hub.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";
import { EmotionClassifier, EvenmoodError, ModelError, UsageError } from "evenmood";

const BUNDLED = fileURLToPath(new URL("../model/", import.meta.url));
const FILES = ["model.onnx", "tokenizer.json", "emotions.json"];
let classifier;
let folder;

before(async () => {
  classifier = await EmotionClassifier.fromPretrained();
  folder = mkdtempSync(join(tmpdir(), "evenmood-"));
});
after(() => rmSync(folder, { recursive: true }));

/** A copy of the bundled model, with some files replaced; undefined leaves a file out. */
function copy(name, changes = {}) {
  const target = mkdtempSync(join(folder, name));
  for (const file of FILES) {
    if (!(file in changes)) copyFileSync(join(BUNDLED, file), join(target, file));
    else if (changes[file] !== undefined) writeFileSync(join(target, file), changes[file]);
  }
  return target;
}

test("a text, a list, missing texts", async () => {
  const one = await classifier.predict("Phew, the test results came back negative.");
  assert.deepEqual(one.labels, ["relief"]);
  assert.equal(one.scores[0].threshold, classifier.thresholds.relief);
  assert.equal(Object.keys(one.probabilities).length, 28);
  const [missing, thanks] = await classifier.predict([null, "Thank you!"]);
  assert.deepEqual([missing.labels, missing.windows], [[], 0]);
  assert.deepEqual(thanks.labels, ["gratitude"]);
  assert.deepEqual(await classifier.predict([]), []);
  assert.equal(JSON.parse(JSON.stringify(thanks)).labels[0], "gratitude");
});

test("probabilities", async () => {
  const one = await classifier.predictProba("Thank you!");
  const [missing, same] = await classifier.predictProba([undefined, "Thank you!"]);
  assert.equal(one.length, classifier.labels.length);
  assert.deepEqual(one, same);
  assert.ok(missing.every(Number.isNaN));
});

test("a text without words is read as one unknown token", async () => {
  const prediction = await classifier.predict("   ");
  assert.equal(prediction.words, 0);
  assert.equal(prediction.labels.length, 1);
});

test("thresholds: for a call, for some labels, for all", async () => {
  const text = "Thank you, I love it!";
  const all = await classifier.predict(text, { thresholds: 0 });
  assert.equal(all.labels.length, 28);
  const none = await classifier.predict(text, { thresholds: 1 });
  assert.deepEqual([none.labels.length, none.fallback], [1, true]);
  const other = await EmotionClassifier.fromPretrained();
  other.setThresholds({ gratitude: 0.999999 });
  assert.ok(!(await other.predict(text)).labels.includes("gratitude"));
  other.thresholds = classifier.thresholds;
  assert.deepEqual(other.thresholds, classifier.thresholds);
  other.thresholds.joy = 2; // a copy
  assert.notEqual(other.thresholds.joy, 2);
});

test("invalid arguments", async () => {
  await assert.rejects(classifier.predict(5), new UsageError("expected a string or a list of strings, not number"));
  await assert.rejects(classifier.predict(["a", {}]), new UsageError("text 1: expected a string, not object"));
  await assert.rejects(classifier.explain(["a"]), new UsageError("explain: expected one string, not a list"));
  await assert.rejects(classifier.leaveOneOut("a", "happy"), /unknown label "happy"; expected one of: admiration/);
  await assert.rejects(classifier.predict("a", { thresholds: { happy: 0.5 } }), /unknown label "happy"/);
  await assert.rejects(classifier.predict("a", { thresholds: 2 }), /expected a number from 0 to 1, not 2/);
  assert.throws(() => classifier.setThresholds({ joy: "0.5" }), UsageError);
  assert.throws(() => {
    classifier.thresholds = { joy: 0.5 };
  }, /no value for admiration; expected all labels \(use setThresholds/);
  await assert.rejects(classifier.predict("a", { thresholds: [0.5] }), /expected an object of labels and numbers/);
  assert.throws(() => classifier.setThresholds(), /expected an object of labels and numbers, not undefined/);
  assert.deepEqual(await classifier.predict("a", { thresholds: null }), await classifier.predict("a"));
  assert.ok(new UsageError("") instanceof EvenmoodError);
});

test("attention and leave-one-out", async () => {
  const text = "I love it, but I'm scared 😨!!";
  const words = await classifier.explain(text);
  assert.deepEqual(
    words.map((word) => word.text),
    ["I", "love", "it", "but", "I'm", "scared", "😨", "!!"],
  );
  for (const word of words) assert.equal(text.slice(word.start, word.end), word.text);
  assert.ok(Math.abs(words.reduce((sum, word) => sum + word.weight, 0) - 1) < 1e-5);
  const changes = await classifier.leaveOneOut(text, "love");
  assert.equal(changes.toSorted((a, b) => b.weight - a.weight)[0].text, "love");
  assert.deepEqual(await classifier.explain(""), []);
});

test("labels with the names of JavaScript's own properties", async () => {
  const emotions = JSON.parse(readFileSync(join(BUNDLED, "emotions.json"), "utf8"));
  const odd = { admiration: "constructor", amusement: "__proto__" };
  const renamed = (label) => odd[label] ?? label;
  const thresholds = Object.fromEntries(
    Object.entries(emotions.thresholds).map(([label, value]) => [renamed(label), value]),
  );
  const place = copy("odd", {
    "emotions.json": JSON.stringify({ ...emotions, labels: emotions.labels.map(renamed), thresholds }),
  });
  const other = await EmotionClassifier.fromPretrained(place);
  for (const text of ["What an admirable thing to do!", "haha, so funny"]) {
    const { labels, probabilities } = await classifier.predict(text);
    const found = await other.predict(text);
    assert.deepEqual(found.labels, labels.map(renamed));
    assert.deepEqual(Object.values(found.probabilities), Object.values(probabilities));
  }
  assert.equal(Object.getPrototypeOf(other.thresholds), Object.prototype);
  const { constructor: _, ...rest } = other.thresholds;
  assert.throws(() => {
    other.thresholds = rest;
  }, /no value for constructor/);
});

test("files and a runtime of the wrong kind", async () => {
  await assert.rejects(EmotionClassifier.fromFiles(), new UsageError("files: expected a Uint8Array as emotions.json"));
  await assert.rejects(EmotionClassifier.fromPretrained(undefined, { runtime: {} }), UsageError);
});

test("a folder, and a URL of one", async () => {
  for (const place of [copy("same"), pathToFileURL(copy("same"))]) {
    const other = await EmotionClassifier.fromPretrained(place);
    assert.deepEqual(await other.predict("Thank you!"), await classifier.predict("Thank you!"));
  }
});

test("folders that are not models", async () => {
  const emotions = JSON.parse(readFileSync(join(BUNDLED, "emotions.json"), "utf8"));
  const cases = [
    [copy("absent", { "tokenizer.json": undefined }), /tokenizer\.json: no such file/],
    [copy("json", { "emotions.json": "{" }), /emotions\.json: not a JSON file/],
    [copy("version", { "emotions.json": JSON.stringify({ ...emotions, format_version: 9 }) }), /format version 9/],
    [
      copy("labels", { "emotions.json": JSON.stringify({ ...emotions, labels: ["joy"] }) }),
      /28 probabilities for the 1 /,
    ],
    [
      copy("twice", { "emotions.json": JSON.stringify({ ...emotions, labels: [...emotions.labels, "joy"] }) }),
      /joy appears more than once/,
    ],
    [copy("length", { "emotions.json": JSON.stringify({ ...emotions, max_length: 1 }) }), /integer from 2 to 4096/],
    [copy("null", { "tokenizer.json": "null" }), /tokenizer\.json: corrupt .*; download or export/],
    [copy("onnx", { "model.onnx": "nothing" }), /model\.onnx: corrupt or not an ONNX model/],
    [copy("tokenizer", { "tokenizer.json": '{"model": {"type": "BPE"}}' }), /unsupported model BPE/],
    [join(BUNDLED, "model.onnx"), /not a folder; expected the folder/],
    ["nowhere", /no such folder, and not a Hub id/],
    ["accurate", /only the fast model/],
  ];
  for (const [place, message] of cases) {
    await assert.rejects(EmotionClassifier.fromPretrained(place), (error) => {
      assert.ok(error instanceof ModelError, String(error));
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
});

test("bundlers find the bundled model", async () => {
  const source = readFileSync(new URL("../dist/source.js", import.meta.url), "utf8");
  for (const file of FILES) assert.ok(source.includes(`new URL("../model/${file}", import.meta.url)`), file);
  assert.equal(import.meta.resolve("evenmood/model/model.onnx"), pathToFileURL(join(BUNDLED, "model.onnx")).href);
});

test("a bundle that is not a module", async () => {
  const built = await build({
    entryPoints: [fileURLToPath(new URL("../dist/index.js", import.meta.url))],
    bundle: true,
    format: "iife",
    globalName: "evenmood",
    platform: "browser",
    logLevel: "error",
    write: false,
  });
  const load = new Function(`${built.outputFiles[0].text}; return evenmood.EmotionClassifier.fromPretrained();`);
  await assert.rejects(load(), /the bundled model cannot be located .*; pass its URL/);
});

test("a model on a web server, with progress", async () => {
  const server = createServer((request, response) => {
    const file = request.url.split("/").at(-1);
    if (!request.url.startsWith("/models/mine/")) return response.writeHead(404).end();
    const content = readFileSync(join(BUNDLED, file));
    return response.writeHead(200, { "content-length": content.length }).end(content);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const address = `http://127.0.0.1:${server.address().port}`;
  try {
    const seen = {};
    const other = await EmotionClassifier.fromPretrained(`${address}/models/mine`, {
      onProgress: ({ file, loaded, total }) => {
        seen[file] = loaded / total;
      },
    });
    assert.deepEqual((await other.predict("Thank you!")).labels, ["gratitude"]);
    assert.deepEqual(seen, { "emotions.json": 1, "tokenizer.json": 1, "model.onnx": 1 });
    await assert.rejects(EmotionClassifier.fromPretrained(`${address}/gone`), /emotions\.json: not found \(HTTP 404\)/);
    const aborted = AbortSignal.abort();
    await assert.rejects(EmotionClassifier.fromPretrained(`${address}/models/mine`, { signal: aborted }), /abort/i);
  } finally {
    server.close();
    server.closeAllConnections();
  }
  await assert.rejects(EmotionClassifier.fromPretrained(`${address}/models/mine`), /cannot be reached/);
});

test("a download that breaks off, and one that is canceled midway", async () => {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-length": 1000 }).write("{");
    if (request.url.startsWith("/broken/")) setTimeout(() => response.destroy(), 20);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const address = `http://127.0.0.1:${server.address().port}`;
  try {
    await assert.rejects(EmotionClassifier.fromPretrained(`${address}/broken`), (error) => {
      assert.ok(error instanceof ModelError, String(error));
      assert.match(error.message, /\/broken\/.*: download interrupted \(/);
      return true;
    });
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await assert.rejects(
      EmotionClassifier.fromPretrained(`${address}/slow`, { signal: controller.signal, onProgress }),
      { name: "AbortError" },
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("invalid model locations and options", async () => {
  const load = EmotionClassifier.fromPretrained;
  await assert.rejects(load(null), new UsageError("model: expected a Hub id, a URL or a path, not null"));
  await assert.rejects(load("http://"), /model: expected a URL such as .*, not http:/);
  await assert.rejects(load("owner/.."), /not a Hub id/);
  await assert.rejects(load("you/x", { revision: 5 }), /revision: expected a branch, tag or commit, not 5/);
  await assert.rejects(load("you/x", { endpoint: "localhost" }), /endpoint: expected a URL/);
  await assert.rejects(load("you/x", { endpoint: "http://127.0.0.1:9", token: "hf_se\ncret" }), (error) => {
    assert.ok(error instanceof UsageError && !error.message.includes("cret"), String(error));
    return true;
  });
});

test("a token is not sent to the host that a file is redirected to", async () => {
  const seen = [];
  const serve = (handle) =>
    new Promise((done) => {
      const server = createServer(handle).listen(0, "127.0.0.1", () => done(server));
    });
  const storage = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.end(readFileSync(join(BUNDLED, request.url.slice(1))));
  });
  const hub = await serve((request, response) => {
    seen.push(request.headers.authorization);
    const location = `http://localhost:${storage.address().port}/${request.url.split("/").at(-1)}`;
    response.writeHead(302, { location }).end();
  });
  try {
    const endpoint = `http://127.0.0.1:${hub.address().port}`;
    await EmotionClassifier.fromPretrained("you/private", { endpoint, token: " hf_secret\n" });
    assert.deepEqual(seen.toSorted(), [...Array(3).fill("Bearer hf_secret"), ...Array(3).fill(undefined)]);
  } finally {
    for (const server of [hub, storage]) {
      server.close();
      server.closeAllConnections();
    }
  }
});

// A Hub on loopback, with a private model.
const { EVENMOOD_HUB: hub, EVENMOOD_HUB_MODEL: model, EVENMOOD_HUB_TOKEN: token } = process.env;
test("a model on the Hub", { skip: !hub && "no Hub" }, async () => {
  const other = await EmotionClassifier.fromPretrained(model, { endpoint: hub, token });
  assert.deepEqual((await other.predict("Thank you!")).labels, ["gratitude"]);
  const pinned = await EmotionClassifier.fromPretrained(model, { endpoint: hub, token, revision: "main" });
  assert.deepEqual(pinned.thresholds, other.thresholds);
  await assert.rejects(EmotionClassifier.fromPretrained(model, { endpoint: hub, token, revision: "gone" }), /HTTP 404/);
  await assert.rejects(EmotionClassifier.fromPretrained("no/such", { endpoint: hub, token }), ModelError);
  await assert.rejects(EmotionClassifier.fromPretrained(model, { endpoint: hub, token: "" }), (error) => {
    assert.ok(error instanceof ModelError);
    assert.ok(!error.message.includes(token));
    return true;
  });
});
