// Predictions equal Python's: EVENMOOD_REFERENCE is the file that `python -m tests.web.reference` writes; skipped without it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { EmotionClassifier } from "evenmood";

import { parseTokenizer } from "../dist/text/tokenizer.js";

const CASES = [
  { name: "fast", runtime: "onnxruntime-node", rows: Infinity, largest: 1e-4, explained: 100 },
  { name: "fast", runtime: "onnxruntime-web", rows: 500, largest: 1e-4, explained: 100 },
  { name: "accurate", runtime: "onnxruntime-node", rows: Infinity, largest: 1e-4, explained: 10 },
  { name: "accurate", runtime: "onnxruntime-web", rows: 80, largest: 1e-4, explained: 2 },
];
const FOLDERS = { fast: "default_model", accurate: "accurate_model" };
const folder = (name) => fileURLToPath(new URL(`../../evenmood/${FOLDERS[name]}/`, import.meta.url));
const file = process.env.EVENMOOD_REFERENCE;
const reference = file && JSON.parse(readFileSync(file, "utf8"));
const skip = !reference && "EVENMOOD_REFERENCE is not set";

for (const name of Object.keys(FOLDERS)) {
  test(`${name}: token ids`, { skip }, () => {
    const tokenizer = parseTokenizer(readFileSync(`${folder(name)}tokenizer.json`, "utf8"));
    for (const [index, text] of reference[name].texts.entries()) {
      const expected = reference[name].ids[index];
      assert.deepEqual(tokenizer.encode(text), expected, JSON.stringify(text));
      const words = tokenizer.words(text);
      assert.deepEqual(
        words.flatMap((word) => word.ids),
        expected,
        `words of ${JSON.stringify(text)}`,
      );
      assert.ok(words.every((word) => 0 <= word.start && word.start < word.end && word.end <= text.length));
    }
  });
}

for (const { name, runtime, rows, largest, explained } of CASES) {
  describe(`${name} on ${runtime}`, { skip }, () => {
    if (skip) return;
    const scored = reference[name].scored.slice(0, rows);
    let classifier;
    let predictions;
    before(async () => {
      classifier = await EmotionClassifier.fromPretrained(folder(name), { runtime: await import(runtime) });
      predictions = await classifier.predict(scored.map((row) => row.text));
    });

    test("probabilities", () => {
      const differences = scored.flatMap((row, index) =>
        classifier.labels.map((label) => Math.abs(predictions[index].probabilities[label] - row.probabilities[label])),
      );
      const worst = differences.reduce((a, b) => Math.max(a, b));
      assert.ok(worst < largest, `largest difference ${worst}`);
    });

    test("words and windows", () => {
      for (const [index, row] of scored.entries()) {
        const { words, windows } = predictions[index];
        assert.deepEqual([words, windows], [row.words, row.windows], row.text);
      }
      assert.ok(predictions.some((prediction) => prediction.windows > 1));
    });

    test("labels, in their order", () => {
      // Compare only texts whose probabilities are not within rounding error of a threshold or of each other.
      let compared = 0;
      for (const [index, row] of scored.entries()) {
        if (!isClear(row, classifier.thresholds)) continue;
        compared++;
        const { labels, fallback } = predictions[index];
        assert.deepEqual([labels, fallback], [row.labels, row.fallback], row.text);
      }
      assert.ok(compared > scored.length / 2);
    });

    test("explanations", async () => {
      for (const { text, words } of reference[name].explained.slice(-explained)) {
        const found = await classifier.explain(text);
        const places = (list) => list.map(({ text, start, end, known }) => ({ text, start, end, known }));
        assert.deepEqual(places(found), places(words), text);
        for (const [index, word] of words.entries()) {
          assert.ok(Math.abs(found[index].weight - word.weight) < 1e-3, `${word.text} in ${text}`);
        }
      }
    });
  });
}

function isClear(row, thresholds) {
  const entries = Object.entries(row.probabilities);
  const sorted = entries.map(([, value]) => value).toSorted((a, b) => b - a);
  return (
    entries.every(([label, value]) => Math.abs(value - thresholds[label]) > 1e-3) &&
    sorted.every((value, index) => index === 0 || value < 0.05 || sorted[index - 1] - value > 1e-3)
  );
}
