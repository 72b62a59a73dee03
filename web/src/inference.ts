import type { Network } from "./network.js";
import type { Tokenizer } from "./text/tokenizer.js";
import { combine, type Span, windowSpans } from "./windows.js";

/** Texts of similar length that go through the network at a time. */
const BATCH_ROWS = 32;
/** Time steps that the network's max pooling merges; a padded length is a multiple of it. */
export const POOL_SIZE = 2;

/** Network output for one text. */
export interface Read {
  readonly probabilities: Float32Array;
  readonly words: number;
  readonly windows: number;
}

/** Tokenizer and network of a model with the number of tokens that it reads at once. */
export class Reader {
  constructor(
    readonly tokenizer: Tokenizer,
    readonly network: Network,
    readonly maxLength: number,
    readonly kind: "bilstm" | "encoder",
  ) {}

  /** Number of tokens of a text, special tokens included. */
  count(text: string): number {
    return this.tokenizer.encode(text).length + this.tokenizer.prefix.length + this.tokenizer.suffix.length;
  }

  /** Token ids of a text as the network takes them: with special tokens, and truncated. */
  row(ids: readonly number[]): number[] {
    const { prefix, suffix, unknownId } = this.tokenizer;
    const room = this.maxLength - prefix.length - suffix.length;
    const row = [...prefix, ...ids.slice(0, room), ...suffix];
    return row.length ? row : [unknownId];
  }

  /** Windows of a text; one if it does not exceed the maximum length. */
  windows(text: string): Span[] {
    if (this.count(text) <= this.maxLength) return [[0, text.length]];
    return windowSpans(text, this.maxLength, (part) => this.count(part));
  }

  /** Probabilities of texts of any length. */
  async read(texts: readonly string[]): Promise<Read[]> {
    const parts: number[][] = [];
    const found = texts.map((text) => {
      const ids = this.tokenizer.encode(text);
      const first = parts.length;
      if (ids.length + this.tokenizer.prefix.length + this.tokenizer.suffix.length <= this.maxLength) {
        parts.push(this.row(ids));
      } else {
        for (const span of this.windows(text)) parts.push(this.row(this.tokenizer.encode(text.slice(...span))));
      }
      return { first, windows: parts.length - first, words: this.#wordCount(text, ids) };
    });
    const probabilities = await this.#probabilities(parts);
    return found.map(({ first, windows, words }) => ({
      probabilities:
        windows === 1 ? (probabilities[first] as Float32Array) : combine(probabilities.slice(first, first + windows)),
      words,
      windows,
    }));
  }

  #wordCount(text: string, ids: readonly number[]): number {
    if (this.kind === "encoder") return text.match(/[^\p{White_Space}\x1c-\x1f]+/gv)?.length ?? 0;
    return ids.reduce((count, id) => count + Number(this.tokenizer.beginsWord(id)), 0);
  }

  /** Probabilities of rows, in batches of similar length: no answer depends on padding. */
  async #probabilities(rows: readonly number[][]): Promise<Float32Array[]> {
    const order = rows.map((_, index) => index).sort((a, b) => length(rows, a) - length(rows, b) || a - b);
    const found: Float32Array[] = new Array(rows.length);
    for (let start = 0; start < order.length; start += BATCH_ROWS) {
      const batch = order.slice(start, start + BATCH_ROWS);
      const longest = padded(length(rows, batch.at(-1) as number));
      const values = await this.network.probabilities(
        batch.map((index) => rows[index] as number[]),
        longest,
        this.tokenizer.padId,
      );
      batch.forEach((index, place) => {
        found[index] = values[place] as Float32Array;
      });
    }
    return found;
  }
}

/** The next multiple of the pool size. */
export function padded(length: number): number {
  return Math.ceil(length / POOL_SIZE) * POOL_SIZE;
}

function length(rows: readonly number[][], index: number): number {
  return (rows[index] as number[]).length;
}
