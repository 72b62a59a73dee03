import { ModelError } from "../errors.js";
import type { AlignedText } from "./aligned.js";
import { Normalizer, type NormalizerConfig } from "./normalizer.js";
import { regularExpression } from "./pattern.js";
import { BERT_PUNCTUATION } from "./unicode.js";

interface PreTokenizerConfig {
  readonly type: string;
  readonly pretokenizers?: readonly PreTokenizerConfig[];
  readonly pattern?: { readonly Regex?: string };
  readonly behavior?: string;
  readonly invert?: boolean;
}

interface PostProcessorConfig {
  readonly type: string;
  readonly single?: readonly { readonly SpecialToken?: { readonly id: string }; readonly Sequence?: unknown }[];
  readonly special_tokens?: Readonly<Record<string, { readonly ids: readonly number[] }>>;
}

/** Content of `tokenizer.json`: the fields used here. */
export interface TokenizerConfig {
  readonly added_tokens?: readonly unknown[];
  readonly normalizer: NormalizerConfig | null;
  readonly pre_tokenizer: PreTokenizerConfig | null;
  readonly post_processor: PostProcessorConfig | null;
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly unk_token: string;
    readonly continuing_subword_prefix?: string;
    readonly max_input_chars_per_word?: number;
  };
}

/** A word of a normalized text: its token ids, and its span in the original text in UTF-16 units. */
export interface TokenizedWord {
  readonly text: string;
  readonly ids: readonly number[];
  readonly start: number;
  readonly end: number;
}

const CACHED_WORDS = 50_000;
const LONGEST_CACHED = 60;
/** Default of the `tokenizers` library. */
const LONGEST_WORD = 100;

/** Tokenizer of a `tokenizer.json`: the same token ids as the `tokenizers` library, for the parts that it supports. */
export class Tokenizer {
  readonly padId: number;
  readonly unknownId: number;
  /** Special token ids before and after a text. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  readonly #normalizer: Normalizer;
  readonly #splits: readonly RegExp[];
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #continuing: ReadonlySet<number>;
  readonly #piecePrefix: string | undefined;
  readonly #longestWord: number;
  #cache = new Map<string, readonly number[]>();

  /** @throws ModelError - The tokenizer has a part that is not supported. */
  constructor(config: TokenizerConfig) {
    const { model } = config;
    if (model?.type !== "WordPiece" && model?.type !== "WordLevel") {
      throw new ModelError(`tokenizer.json: unsupported model ${model?.type}; expected WordPiece or WordLevel`);
    }
    if (config.added_tokens?.length) throw new ModelError("tokenizer.json: added tokens are not supported");
    this.#vocabulary = new Map(Object.entries(model.vocab));
    this.#piecePrefix = model.type === "WordPiece" ? (model.continuing_subword_prefix ?? "##") : undefined;
    this.#longestWord = model.max_input_chars_per_word ?? LONGEST_WORD;
    this.padId = this.#required("[PAD]");
    this.unknownId = this.#required(model.unk_token);
    this.#normalizer = new Normalizer(config.normalizer);
    this.#splits = config.pre_tokenizer === null ? [] : splits(config.pre_tokenizer);
    [this.prefix, this.suffix] = specialTokens(config.post_processor);
    const piece = this.#piecePrefix;
    this.#continuing = new Set(
      piece === undefined ? [] : [...this.#vocabulary].filter(([token]) => token.startsWith(piece)).map(([, id]) => id),
    );
  }

  /** Token ids of a text, without special tokens, neither truncated nor padded. */
  encode(text: string): number[] {
    const ids: number[] = [];
    const normalized = this.#normalizer.normalize(text);
    for (const [start, end] of this.#wordSpans(normalized)) {
      for (const id of this.#wordIds(normalized.slice(start, end))) ids.push(id);
    }
    return ids;
  }

  /** Words of a text with their token ids and positions. */
  words(text: string): TokenizedWord[] {
    const normalized: AlignedText = this.#normalizer.align(text);
    return this.#wordSpans(normalized.text).map(([start, end]) => {
      const word = normalized.text.slice(start, end);
      return {
        text: word,
        ids: this.#wordIds(word),
        start: normalized.starts[start] as number,
        end: normalized.ends[end - 1] as number,
      };
    });
  }

  /** Whether a token begins a word rather than continues one. */
  beginsWord(id: number): boolean {
    return !this.#continuing.has(id);
  }

  #required(token: string): number {
    const id = this.#vocabulary.get(token);
    if (id === undefined) throw new ModelError(`tokenizer.json: the vocabulary has no ${token}`);
    return id;
  }

  #wordSpans(text: string): [number, number][] {
    let spans: [number, number][] = [[0, text.length]];
    for (const separator of this.#splits) spans = spans.flatMap((span) => split(text, span, separator));
    return spans;
  }

  #wordIds(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known) return known;
    const ids = this.#pieces(word) ?? [this.unknownId];
    if (word.length > LONGEST_CACHED) return ids;
    if (this.#cache.size >= CACHED_WORDS) this.#cache = new Map();
    // The key is a copy: a slice would keep its whole text in memory.
    this.#cache.set(Array.from(word).join(""), ids);
    return ids;
  }

  /** Split a word into the longest matching pieces, from left to right; undefined for an unknown word. */
  #pieces(word: string): number[] | undefined {
    if (this.#piecePrefix === undefined) {
      const id = this.#vocabulary.get(word);
      return id === undefined ? undefined : [id];
    }
    const characters = Array.from(word);
    if (characters.length > this.#longestWord) return undefined;
    const ids: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        const piece = characters.slice(start, end).join("");
        id = this.#vocabulary.get(start > 0 ? this.#piecePrefix + piece : piece);
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      ids.push(id);
      start = end;
    }
    return ids;
  }
}

/** Parse a `tokenizer.json`. */
export function parseTokenizer(content: string): Tokenizer {
  let config: TokenizerConfig;
  try {
    config = JSON.parse(content) as TokenizerConfig;
  } catch {
    throw new ModelError("tokenizer.json: not a JSON file; download or export the model again");
  }
  try {
    return new Tokenizer(config);
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw new ModelError(`tokenizer.json: corrupt (${(error as Error).message}); download or export the model again`);
  }
}

/** Patterns to split at, applied in order; a match becomes a part of its own, except whitespace, which is dropped. */
function splits(config: PreTokenizerConfig): RegExp[] {
  switch (config.type) {
    case "Sequence":
      return (config.pretokenizers ?? []).flatMap(splits);
    case "WhitespaceSplit":
      return [/\p{White_Space}/gu];
    case "BertPreTokenizer":
      return [/\p{White_Space}/gu, new RegExp(`[${BERT_PUNCTUATION}]`, "gv")];
    case "Split":
      if (config.behavior !== "Isolated" || config.invert || config.pattern?.Regex === undefined) break;
      return [regularExpression(config.pattern.Regex)];
  }
  throw new ModelError(`tokenizer.json: unsupported pre-tokenizer ${config.type}`);
}

function split(text: string, [start, end]: [number, number], separator: RegExp): [number, number][] {
  const parts: [number, number][] = [];
  let from = start;
  for (const match of text.slice(start, end).matchAll(separator)) {
    const at = start + match.index;
    if (at > from) parts.push([from, at]);
    from = at + match[0].length;
    if (!/^\p{White_Space}$/u.test(match[0])) parts.push([at, from]);
  }
  if (end > from) parts.push([from, end]);
  return parts;
}

function specialTokens(config: PostProcessorConfig | null): [number[], number[]] {
  if (config === null) return [[], []];
  if (config.type !== "TemplateProcessing") {
    throw new ModelError(`tokenizer.json: unsupported post-processor ${config.type}`);
  }
  const sides: [number[], number[]] = [[], []];
  let side = 0;
  for (const part of config.single ?? []) {
    if (part.SpecialToken) sides[side as 0 | 1].push(...(config.special_tokens?.[part.SpecialToken.id]?.ids ?? []));
    else side = 1;
  }
  return sides;
}
