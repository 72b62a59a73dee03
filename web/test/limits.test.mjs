// Time and memory stay proportional to the length of a text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { Normalizer } from "../dist/text/normalizer.js";
import { parseTokenizer } from "../dist/text/tokenizer.js";
import { combine } from "../dist/windows.js";

test("stripping takes linear time for long runs of whitespace", () => {
  const text = ` a${" ".repeat(200_000)}b\u2003`;
  const began = performance.now();
  assert.equal(new Normalizer({ type: "Strip" }).normalize(text), text.slice(1, -1));
  assert.equal(new Normalizer({ type: "Strip", strip_left: false }).normalize(text), text.slice(0, -1));
  assert.equal(new Normalizer({ type: "Strip" }).normalize(" \n "), "");
  assert.ok(performance.now() - began < 2000);
});

test("the cache of words does not keep whole texts in memory", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const tokenizer = parseTokenizer(readFileSync(new URL("../model/tokenizer.json", import.meta.url), "utf8"));
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 1000; index++)
    tokenizer.encode(`extraordinary${index} ${`${"word".repeat(15)} `.repeat(500)}`);
  collect();
  assert.ok(process.memoryUsage().heapUsed - before < 10e6);
});

test("any number of windows", () => {
  const [value] = combine(Array.from({ length: 300_000 }, (_, index) => Float32Array.of(index % 2)));
  assert.equal(value, 0.25 + 0.75 / 2);
});
