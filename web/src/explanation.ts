import { type Pipeline, POOL_SIZE, padded } from "./inference.js";
import type { WordWeight } from "./prediction.js";
import { combine } from "./windows.js";

/** Symbols that count as words: arrows, technical signs, emoji. */
const SYMBOL = "[\\u2190-\\u21ff\\u2300-\\u28ff\\u2b00-\\u2bff\\u{1f000}-\\u{1faff}]";
/** An emoji, a word with its apostrophes, or a run of punctuation. */
const ENCODER_WORD = new RegExp(
  `${SYMBOL}|[\\p{L}\\p{N}_]+(?:['’][\\p{L}\\p{N}_]+)*|[^\\p{L}\\p{N}_\\p{White_Space}\\x1c-\\x1f]+`,
  "gv",
);
const ALPHANUMERIC = /[\p{L}\p{N}]/u;
const SPACE = /\p{White_Space}/u;
const MODIFIER = /^[\p{Sk}\p{Mn}\p{Me}\p{Cf}]/u;
const MARK = /^[\p{M}\u1160-\u11ff]/u;

/** Share of the attention of each word, averaged over the windows of the text. */
export async function attentionWeights(pipeline: Pipeline, text: string): Promise<WordWeight[]> {
  const spans = pipeline.windows(text);
  const weights = new Map<number, WordWeight>();
  for (const [start, end] of spans) {
    for (const word of await attendedWords(pipeline, text.slice(start, end))) {
      add(weights, word, start, word.weight / spans.length);
    }
  }
  return [...weights.values()];
}

/**
 * Compute the change of probabilities when each word is left out.
 *
 * @param columns - Columns of the labels to compare.
 * @param combined - Combines the decreases of their probabilities into the weight of a word.
 */
export async function leaveOneOut(
  pipeline: Pipeline,
  text: string,
  columns: readonly number[],
  combined: (decreases: readonly number[]) => number,
): Promise<WordWeight[]> {
  const spans = pipeline.windows(text);
  const parts = spans.map((span) => text.slice(...span));
  const whole = (await pipeline.read(parts)).map((read) => pick(read.probabilities, columns));
  const before = combine(whole);
  const weights = new Map<number, WordWeight>();
  for (const [place, part] of parts.entries()) {
    const words = pipeline.kind === "encoder" ? encoderWords(pipeline, part) : networkWords(pipeline, part).words;
    const without = words.map((word) => `${part.slice(0, word.start)} ${part.slice(word.end)}`);
    const reads = await pipeline.read(without);
    for (const [index, word] of words.entries()) {
      const changed = [...whole];
      changed[place] = pick((reads[index] as (typeof reads)[number]).probabilities, columns);
      const after = combine(changed);
      const decreases = Array.from(before, (value, column) => value - (after[column] as number));
      add(weights, word, (spans[place] as (typeof spans)[number])[0], combined(decreases));
    }
  }
  return [...weights.values()];
}

/** Normalize weights to sum to 1; equal weights if all are 0. */
export function shares(words: readonly WordWeight[]): WordWeight[] {
  const total = words.reduce((sum, word) => sum + word.weight, 0);
  return words.map((word) => ({ ...word, weight: total ? word.weight / total : 1 / words.length }));
}

async function attendedWords(pipeline: Pipeline, text: string): Promise<WordWeight[]> {
  const { words, wordOf, ids } = networkWords(pipeline, text);
  if (!words.length) return [];
  const read = ids.slice(0, pipeline.maxLength);
  const attention = await pipeline.network.attention(read, padded(read.length), pipeline.tokenizer.padId);
  const weights = words.map(() => 0);
  for (let token = 0; token < read.length; token++) {
    const step = Math.floor(token / POOL_SIZE);
    const sharers = Math.min(POOL_SIZE, read.length - step * POOL_SIZE);
    const word = wordOf[token] as number;
    weights[word] = (weights[word] as number) + (attention[step] as number) / sharers;
  }
  return words.map((word, index) => ({ ...word, weight: weights[index] as number }));
}

/** Words as the network reads them, the word of each token, and the token ids. */
function networkWords(pipeline: Pipeline, text: string): { words: WordWeight[]; wordOf: number[]; ids: number[] } {
  const { unknownId } = pipeline.tokenizer;
  const words: WordWeight[] = [];
  const wordOf: number[] = [];
  const ids: number[] = [];
  for (const word of pipeline.tokenizer.words(text)) {
    let span: [number, number] = [word.start, withMarks(text, word.end)];
    const seen = word.ids[0] === unknownId ? text.slice(...span) : word.text;
    if (!ALPHANUMERIC.test(seen)) span = wholeSymbol(text, span, words.at(-1)?.end ?? 0);
    for (const id of word.ids) {
      wordOf.push(words.length);
      ids.push(id);
    }
    words.push({
      text: text.slice(...span),
      start: span[0],
      end: span[1],
      weight: 0,
      known: !word.ids.includes(unknownId),
    });
  }
  return { words, wordOf, ids };
}

function encoderWords(pipeline: Pipeline, text: string): WordWeight[] {
  return Array.from(text.matchAll(ENCODER_WORD), (match) => {
    const ids = pipeline.tokenizer.encode(match[0]);
    const known = ids.length > 0 && !ids.includes(pipeline.tokenizer.unknownId);
    return { text: match[0], start: match.index, end: match.index + match[0].length, weight: 0, known };
  });
}

/** Widen a span over the combining marks after it, which the normalizer merged into the preceding letter. */
function withMarks(text: string, end: number): number {
  for (let mark = MARK.exec(text.slice(end, end + 2)); mark; mark = MARK.exec(text.slice(end, end + 2))) {
    end += mark[0].length;
  }
  return end;
}

/** Widen a span to the whole symbol that the normalizer shortened: `!!!`, `:)`, an emoji with its skin tone. */
function wholeSymbol(text: string, [start, end]: readonly [number, number], before: number): [number, number] {
  while (start > before) {
    const previous = lastCharacter(text.slice(0, start));
    if (ALPHANUMERIC.test(previous) || SPACE.test(previous)) break;
    start -= previous.length;
  }
  const last = lastCharacter(text.slice(0, end));
  while ("!?.".includes(last) && text[end] === last) end++;
  for (let match = MODIFIER.exec(text.slice(end, end + 2)); match; match = MODIFIER.exec(text.slice(end, end + 2))) {
    end += match[0].length;
  }
  return [start, end];
}

function lastCharacter(text: string): string {
  return Array.from(text.slice(-2)).at(-1) ?? "";
}

function pick(values: Float32Array, columns: readonly number[]): Float32Array {
  return Float32Array.from(columns, (column) => values[column] as number);
}

/** Add the weight of a word in the window that begins at `start`; overlapping windows add up. */
function add(weights: Map<number, WordWeight>, word: WordWeight, start: number, weight: number): void {
  const place = start + word.start;
  const total = weight + (weights.get(place)?.weight ?? 0);
  weights.set(place, { ...word, start: place, end: start + word.end, weight: total });
}
