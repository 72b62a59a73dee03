import type { Network } from "./network.js";
import type { Tokenizer } from "./text/tokenizer.js";
import { combine, type Span, windowSpans } from "./windows.js";

/** Maximum number of texts per batch; texts of a batch have similar lengths. */
const BATCH_ROWS = 32;
/** Time steps that the network's max pooling merges; a padded length is a multiple of it. */
export const POOL_SIZE = 2;

/** Network output for one text. */
export interface TextOutput {
  readonly probabilities: Float32Array;
  readonly words: number;
  readonly windows: number;
}

/** Tokenizer and network of a model, and its maximum length in tokens. */
export class Pipeline {
  constructor(
    readonly tokenizer: Tokenizer,
    readonly network: Network,
    readonly maxLength: number,
    readonly kind: "bilstm" | "encoder",
  ) {}

  /** Number of tokens in a text, including special tokens. */
  count(text: string): number {
    return this.tokenizer.encode(text).length + this.tokenizer.prefix.length + this.tokenizer.suffix.length;
  }

  /** Input row of a text: its token ids, truncated, with special tokens. */
  inputRow(ids: readonly number[]): number[] {
    const { prefix, suffix, unknownId } = this.tokenizer;
    const room = this.maxLength - prefix.length - suffix.length;
    const row = [...prefix, ...ids.slice(0, room), ...suffix];
    return row.length ? row : [unknownId];
  }

  /** Windows of a text; a single one if the text is within the maximum length. */
  windows(text: string): Span[] {
    if (this.count(text) <= this.maxLength) return [[0, text.length]];
    return this.#split(text);
  }

  #split(text: string): Span[] {
    return windowSpans(text, this.maxLength, (part) => this.count(part));
  }

  /** Predict texts of any length; long ones are split into windows. */
  async read(texts: readonly string[]): Promise<TextOutput[]> {
    const parts: number[][] = [];
    const spans = texts.map((text) => {
      const ids = this.tokenizer.encode(text);
      const first = parts.length;
      if (ids.length + this.tokenizer.prefix.length + this.tokenizer.suffix.length <= this.maxLength) {
        parts.push(this.inputRow(ids));
      } else {
        for (const span of this.#split(text)) parts.push(this.inputRow(this.tokenizer.encode(text.slice(...span))));
      }
      return { first, windows: parts.length - first, words: this.#wordCount(text, ids) };
    });
    const probabilities = await this.#probabilities(parts);
    return spans.map(({ first, windows, words }) => ({
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

  /** Predict rows in batches of similar length; the probabilities do not depend on padding. */
  async #probabilities(rows: readonly number[][]): Promise<Float32Array[]> {
    const order = rows.map((_, index) => index).sort((a, b) => length(rows, a) - length(rows, b) || a - b);
    const results: Float32Array[] = new Array(rows.length);
    for (let start = 0; start < order.length; start += BATCH_ROWS) {
      const batch = order.slice(start, start + BATCH_ROWS);
      const longest = padded(length(rows, batch.at(-1) as number));
      const values = await this.network.probabilities(
        batch.map((index) => rows[index] as number[]),
        longest,
        this.tokenizer.padId,
      );
      batch.forEach((index, row) => {
        results[index] = values[row] as Float32Array;
      });
    }
    return results;
  }
}

/** Round a length up to a multiple of the pool size. */
export function padded(length: number): number {
  return Math.ceil(length / POOL_SIZE) * POOL_SIZE;
}

function length(rows: readonly number[][], index: number): number {
  return (rows[index] as number[]).length;
}
