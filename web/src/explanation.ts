import { POOL_SIZE, padded, type Reader } from "./inference.js";
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
export async function attentionWeights(reader: Reader, text: string): Promise<WordWeight[]> {
  const spans = reader.windows(text);
  const found = new Map<number, WordWeight>();
  for (const [start, end] of spans) {
    for (const word of await attendedWords(reader, text.slice(start, end))) {
      add(found, word, start, word.weight / spans.length);
    }
  }
  return [...found.values()];
}

/**
 * Compute the change of probabilities when each word is left out.
 *
 * @param columns - Columns of the labels to compare.
 * @param combined - Combines the decreases of their probabilities into the weight of a word.
 */
export async function leaveOneOut(
  reader: Reader,
  text: string,
  columns: readonly number[],
  combined: (decreases: readonly number[]) => number,
): Promise<WordWeight[]> {
  const spans = reader.windows(text);
  const parts = spans.map((span) => text.slice(...span));
  const whole = (await reader.read(parts)).map((read) => pick(read.probabilities, columns));
  const before = combine(whole);
  const found = new Map<number, WordWeight>();
  for (const [place, part] of parts.entries()) {
    const words = reader.kind === "encoder" ? encoderWords(reader, part) : networkWords(reader, part).words;
    const without = words.map((word) => `${part.slice(0, word.start)} ${part.slice(word.end)}`);
    const reads = await reader.read(without);
    for (const [index, word] of words.entries()) {
      const changed = [...whole];
      changed[place] = pick((reads[index] as (typeof reads)[number]).probabilities, columns);
      const after = combine(changed);
      const decreases = Array.from(before, (value, column) => value - (after[column] as number));
      add(found, word, (spans[place] as (typeof spans)[number])[0], combined(decreases));
    }
  }
  return [...found.values()];
}

/** Normalize weights to sum to 1; equal weights if all are 0. */
export function shares(words: readonly WordWeight[]): WordWeight[] {
  const total = words.reduce((sum, word) => sum + word.weight, 0);
  return words.map((word) => ({ ...word, weight: total ? word.weight / total : 1 / words.length }));
}

async function attendedWords(reader: Reader, text: string): Promise<WordWeight[]> {
  const { words, wordOf, ids } = networkWords(reader, text);
  if (!words.length) return [];
  const read = ids.slice(0, reader.maxLength);
  const attention = await reader.network.attention(read, padded(read.length), reader.tokenizer.padId);
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
function networkWords(reader: Reader, text: string): { words: WordWeight[]; wordOf: number[]; ids: number[] } {
  const { unknownId } = reader.tokenizer;
  const words: WordWeight[] = [];
  const wordOf: number[] = [];
  const ids: number[] = [];
  for (const word of reader.tokenizer.words(text)) {
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

function encoderWords(reader: Reader, text: string): WordWeight[] {
  return Array.from(text.matchAll(ENCODER_WORD), (match) => {
    const ids = reader.tokenizer.encode(match[0]);
    const known = ids.length > 0 && !ids.includes(reader.tokenizer.unknownId);
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
  for (let found = MODIFIER.exec(text.slice(end, end + 2)); found; found = MODIFIER.exec(text.slice(end, end + 2))) {
    end += found[0].length;
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
function add(found: Map<number, WordWeight>, word: WordWeight, start: number, weight: number): void {
  const place = start + word.start;
  const total = weight + (found.get(place)?.weight ?? 0);
  found.set(place, { ...word, start: place, end: start + word.end, weight: total });
}
