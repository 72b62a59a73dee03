import { runtime as defaultRuntime } from "#platform";
import { ModelError, UsageError } from "./errors.js";
import { attentionWeights, leaveOneOut, shares } from "./explanation.js";
import { Reader } from "./inference.js";
import { type ModelInfo, parseInfo } from "./info.js";
import { Network } from "./network.js";
import { applyThresholds, MISSING, type Prediction, type WordWeight } from "./prediction.js";
import type { Runtime } from "./runtime.js";
import { MODEL_FILES, type ModelFiles, readModel, type SourceOptions } from "./source.js";
import { parseTokenizer } from "./text/tokenizer.js";

/** Threshold of some labels, by name. */
export type Thresholds = Readonly<Record<string, number>>;

/** Options of `EmotionClassifier.fromPretrained`. */
export interface LoadOptions extends SourceOptions {
  /** onnxruntime: the module `onnxruntime-web` or `onnxruntime-node`. By default the one that is installed. */
  readonly runtime?: unknown;
}

/** Options of a prediction. */
export interface PredictOptions {
  /** For this call only: one number for all labels, or thresholds that override those of the labels in it. */
  readonly thresholds?: Thresholds | number | null | undefined;
}

/** Texts in a list; null and undefined are missing texts. */
export type Texts = readonly (string | null | undefined)[];

/**
 * Multi-label emotion classifier: a text in, labels with probabilities out.
 *
 * Create one with `EmotionClassifier.fromPretrained()`.
 */
export class EmotionClassifier {
  readonly #info: ModelInfo;
  readonly #reader: Reader;
  #thresholds: Record<string, number>;

  private constructor(info: ModelInfo, reader: Reader) {
    this.#info = info;
    this.#reader = reader;
    this.#thresholds = Object.fromEntries(info.labels.map((label) => [label, info.thresholds[label] as number]));
  }

  /**
   * Load a model.
   *
   * @param model - Nothing or `"fast"` for the bundled model; a Hub id (`"you/evenmood"`), a URL or a path of a folder
   *   with `model.onnx`, `tokenizer.json` and `emotions.json`.
   * @throws ModelError - There is no such model, it cannot be downloaded, or it is damaged.
   */
  static async fromPretrained(model?: string | URL, options: LoadOptions = {}): Promise<EmotionClassifier> {
    return await EmotionClassifier.fromFiles(await readModel(model, options), options);
  }

  /**
   * Load a model from the content of its files.
   *
   * @throws ModelError - A file is damaged, or does not match the others.
   */
  static async fromFiles(files: ModelFiles, options: Pick<LoadOptions, "runtime"> = {}): Promise<EmotionClassifier> {
    for (const file of MODEL_FILES) {
      if (!ArrayBuffer.isView(files?.[file])) throw new UsageError(`files: expected a Uint8Array as ${file}`);
    }
    const decoder = new TextDecoder();
    const info = parseInfo(decoder.decode(files["emotions.json"]));
    const tokenizer = parseTokenizer(decoder.decode(files["tokenizer.json"]));
    const runtime = (options.runtime as Runtime | undefined) ?? (await defaultRuntime());
    if (typeof runtime?.InferenceSession?.create !== "function" || typeof runtime.Tensor !== "function") {
      throw new UsageError("runtime: expected the module onnxruntime-web or onnxruntime-node");
    }
    const network = await Network.open(runtime, files["model.onnx"], info.labels.length, info.attention);
    return new EmotionClassifier(info, new Reader(tokenizer, network, info.maxLength, info.kind));
  }

  /** Names of the labels, in the order of the probabilities. */
  get labels(): readonly string[] {
    return this.#info.labels;
  }

  /** Tokens that the model reads at once; longer texts are read in windows. */
  get maxLength(): number {
    return this.#info.maxLength;
  }

  /** Whether the network has attention, which `explain` then shows. */
  get hasAttention(): boolean {
    return this.#info.attention;
  }

  /** Threshold of each label. Assign an object with all labels to replace them; `setThresholds` changes some. */
  get thresholds(): Record<string, number> {
    return { ...this.#thresholds };
  }

  set thresholds(thresholds: Thresholds) {
    const checked = this.#checked(thresholds);
    const missing = this.labels.find((label) => !Object.hasOwn(checked, label));
    if (missing !== undefined) {
      throw new UsageError(`thresholds: no threshold of ${missing}; use setThresholds to change some`);
    }
    this.#thresholds = checked;
  }

  /**
   * Change the thresholds of some labels.
   *
   * @throws UsageError - An unknown label, or a threshold outside [0, 1].
   */
  setThresholds(thresholds: Thresholds): void {
    this.#thresholds = { ...this.#thresholds, ...this.#checked(thresholds) };
  }

  /**
   * Assign to each text the labels whose probability reaches their threshold.
   *
   * @param texts - A string gives a prediction, a list gives a list; a missing text in it gets an empty prediction.
   * @throws UsageError - Something is neither a string nor missing, a threshold is outside [0, 1], or a label unknown.
   */
  async predict(texts: string, options?: PredictOptions): Promise<Prediction>;
  async predict(texts: Texts, options?: PredictOptions): Promise<Prediction[]>;
  async predict(texts: string | Texts, options?: PredictOptions): Promise<Prediction | Prediction[]>;
  async predict(texts: string | Texts, options: PredictOptions = {}): Promise<Prediction | Prediction[]> {
    const thresholds = this.#thresholdArray(options.thresholds);
    const given = checkedTexts(texts);
    const reads = await this.#reader.read(given.filter((text) => text !== undefined));
    let next = 0;
    const predictions = given.map((text): Prediction => {
      const read = text === undefined ? undefined : reads[next++];
      if (!read) return MISSING;
      const { probabilities, words, windows } = read;
      return { ...applyThresholds(probabilities, thresholds, this.labels), words, windows };
    });
    return typeof texts === "string" ? (predictions[0] as Prediction) : predictions;
  }

  /**
   * Probability of every label, in the order of `labels`.
   *
   * @param texts - A string gives an array, a list gives a list of arrays; that of a missing text is NaN.
   */
  async predictProba(texts: string): Promise<Float32Array>;
  async predictProba(texts: Texts): Promise<Float32Array[]>;
  async predictProba(texts: string | Texts): Promise<Float32Array | Float32Array[]>;
  async predictProba(texts: string | Texts): Promise<Float32Array | Float32Array[]> {
    const given = checkedTexts(texts);
    const reads = await this.#reader.read(given.filter((text) => text !== undefined));
    let next = 0;
    const rows = given.map((text) => {
      const read = text === undefined ? undefined : reads[next++];
      return read?.probabilities ?? new Float32Array(this.labels.length).fill(Number.NaN);
    });
    return typeof texts === "string" ? (rows[0] as Float32Array) : rows;
  }

  /**
   * Share of each word in the answer; the weights sum to 1.
   *
   * A network with attention gives the share of the attention on the word. An encoder is asked again without each
   * word: the weight is the word's share of the change in the probabilities of the predicted labels.
   *
   * @throws ModelError - A network without attention that is not an encoder.
   */
  async explain(text: string): Promise<WordWeight[]> {
    checkText(text, "explain");
    if (this.#info.kind === "encoder") {
      const { labels } = await this.predict(text);
      const columns = labels.map((label) => this.labels.indexOf(label));
      const changes = await leaveOneOut(this.#reader, text, columns, (fall) =>
        fall.reduce((sum, value) => sum + Math.abs(value), 0),
      );
      return shares(changes);
    }
    if (!this.hasAttention) throw new ModelError("this model has no attention; use leaveOneOut");
    return await attentionWeights(this.#reader, text);
  }

  /**
   * Fall of a label's probability when a word is left out, for each word: positive if the word speaks for the label.
   *
   * @throws UsageError - The model has no such label.
   */
  async leaveOneOut(text: string, label: string): Promise<WordWeight[]> {
    checkText(text, "leaveOneOut");
    const column = this.labels.indexOf(label);
    if (column < 0) throw this.#unknown(label);
    return await leaveOneOut(this.#reader, text, [column], ([fall]) => fall ?? 0);
  }

  #thresholdArray(thresholds: PredictOptions["thresholds"]): Float32Array {
    if (typeof thresholds === "number") {
      const value = this.#checked({ [this.labels[0] as string]: thresholds })[this.labels[0] as string] as number;
      return new Float32Array(this.labels.length).fill(value);
    }
    const chosen = { ...this.#thresholds, ...this.#checked(thresholds ?? {}) };
    return Float32Array.from(this.labels, (label) => chosen[label] as number);
  }

  #checked(thresholds: Thresholds): Record<string, number> {
    if (typeof thresholds !== "object" || thresholds === null || Array.isArray(thresholds)) {
      throw new UsageError(`thresholds: expected an object of labels and numbers, not ${kindOf(thresholds)}`);
    }
    for (const [label, value] of Object.entries(thresholds)) {
      if (!this.labels.includes(label)) throw this.#unknown(label);
      if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
        throw new UsageError(`threshold of ${label}: expected a number from 0 to 1, not ${String(value)}`);
      }
    }
    return { ...thresholds };
  }

  #unknown(label: string): UsageError {
    return new UsageError(`unknown label ${JSON.stringify(label)}; expected one of: ${this.labels.join(", ")}`);
  }
}

function checkedTexts(texts: unknown): (string | undefined)[] {
  if (typeof texts === "string") return [texts];
  if (!Array.isArray(texts)) throw new UsageError(`expected a string or a list of strings, not ${kindOf(texts)}`);
  return texts.map((text, index) => {
    if (text === null || text === undefined) return undefined;
    if (typeof text !== "string") throw new UsageError(`text ${index}: expected a string, not ${kindOf(text)}`);
    return text;
  });
}

function checkText(text: unknown, method: string): void {
  if (typeof text !== "string") throw new UsageError(`${method}: expected one string, not ${kindOf(text)}`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value;
}
