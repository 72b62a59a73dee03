import { runtime as defaultRuntime } from "#platform";
import { ModelError, UsageError } from "./errors.js";
import { attentionWeights, leaveOneOut, shares } from "./explanation.js";
import { Pipeline, type TextOutput } from "./inference.js";
import { type ModelInfo, parseInfo } from "./info.js";
import { Network } from "./network.js";
import { applyThresholds, missingPrediction, type Prediction, type WordWeight } from "./prediction.js";
import type { Runtime } from "./runtime.js";
import { MODEL_FILES, type ModelFiles, readModel, type SourceOptions } from "./source.js";
import { parseTokenizer } from "./text/tokenizer.js";

/** Decision thresholds by label name; labels may be left out. */
export type Thresholds = Readonly<Record<string, number>>;

/** Options of `EmotionClassifier.fromPretrained`. */
export interface LoadOptions extends SourceOptions {
  /** The module `onnxruntime-web` or `onnxruntime-node`; default: the one that is installed. */
  readonly runtime?: unknown;
}

/** Options of a prediction. */
export interface PredictOptions {
  /** Thresholds for this call only: one number for all labels, or an object that overrides some labels. */
  readonly thresholds?: Thresholds | number | null | undefined;
}

/** A list of texts; null and undefined are missing texts. */
export type Texts = readonly (string | null | undefined)[];

/**
 * Multi-label emotion classifier: predicts labels with probabilities for texts.
 *
 * Create one with `EmotionClassifier.fromPretrained()`.
 */
export class EmotionClassifier {
  readonly #info: ModelInfo;
  readonly #pipeline: Pipeline;
  #thresholds: Record<string, number>;

  private constructor(info: ModelInfo, pipeline: Pipeline) {
    this.#info = info;
    this.#pipeline = pipeline;
    this.#thresholds = Object.fromEntries(info.labels.map((label) => [label, info.thresholds[label] as number]));
  }

  /**
   * Load a model.
   *
   * @param model - Hub id (`"you/evenmood"`), or URL or path of a folder with `model.onnx`, `tokenizer.json` and
   *   `emotions.json`; default: `"fast"`, the bundled model.
   * @throws ModelError - The model does not exist, cannot be downloaded, or is corrupt.
   */
  static async fromPretrained(model?: string | URL, options: LoadOptions = {}): Promise<EmotionClassifier> {
    return await EmotionClassifier.fromFiles(await readModel(model, options), options);
  }

  /**
   * Load a model from the contents of its files.
   *
   * @throws ModelError - A file is corrupt, or does not match the other files.
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
    return new EmotionClassifier(info, new Pipeline(tokenizer, network, info.maxLength, info.kind));
  }

  /** Names of the labels, in the order of the probabilities. */
  get labels(): readonly string[] {
    return this.#info.labels;
  }

  /** Maximum number of tokens per window; longer texts are split into windows. */
  get maxLength(): number {
    return this.#info.maxLength;
  }

  /** Whether the network has attention weights for `explain`. */
  get hasAttention(): boolean {
    return this.#info.attention;
  }

  /** Decision threshold of each label; assign an object to replace all, use `setThresholds` to change some. */
  get thresholds(): Record<string, number> {
    return { ...this.#thresholds };
  }

  set thresholds(thresholds: Thresholds) {
    const checked = this.#checkThresholds(thresholds);
    const missing = this.labels.find((label) => !Object.hasOwn(checked, label));
    if (missing !== undefined) {
      throw new UsageError(
        `thresholds: no value for ${missing}; expected all labels (use setThresholds to change some)`,
      );
    }
    this.#thresholds = checked;
  }

  /**
   * Change the thresholds of some labels.
   *
   * @throws UsageError - A label is unknown, or a threshold is outside [0, 1].
   */
  setThresholds(thresholds: Thresholds): void {
    this.#thresholds = { ...this.#thresholds, ...this.#checkThresholds(thresholds) };
  }

  /**
   * Predict the labels of each text: those whose probability reaches their threshold.
   *
   * @param texts - One text, or a list of texts; a missing text gets an empty prediction.
   * @returns One prediction for a string, a list of predictions for a list.
   * @throws UsageError - A text is not a string, a threshold is outside [0, 1], or a label is unknown.
   */
  async predict(texts: string, options?: PredictOptions): Promise<Prediction>;
  async predict(texts: Texts, options?: PredictOptions): Promise<Prediction[]>;
  async predict(texts: string | Texts, options?: PredictOptions): Promise<Prediction | Prediction[]>;
  async predict(texts: string | Texts, options: PredictOptions = {}): Promise<Prediction | Prediction[]> {
    const thresholds = this.#thresholdArray(options.thresholds);
    const predictions = (await this.#read(texts)).map((read): Prediction => {
      if (!read) return missingPrediction();
      const { probabilities, words, windows } = read;
      return { ...applyThresholds(probabilities, thresholds, this.labels), words, windows };
    });
    return typeof texts === "string" ? (predictions[0] as Prediction) : predictions;
  }

  /**
   * Predict the probability of every label, in the order of `labels`.
   *
   * @param texts - One text, or a list of texts; the probabilities of a missing text are NaN.
   * @returns One array for a string, a list of arrays for a list.
   */
  async predictProba(texts: string): Promise<Float32Array>;
  async predictProba(texts: Texts): Promise<Float32Array[]>;
  async predictProba(texts: string | Texts): Promise<Float32Array | Float32Array[]>;
  async predictProba(texts: string | Texts): Promise<Float32Array | Float32Array[]> {
    const reads = await this.#read(texts);
    const rows = reads.map((read) => read?.probabilities ?? new Float32Array(this.labels.length).fill(Number.NaN));
    return typeof texts === "string" ? (rows[0] as Float32Array) : rows;
  }

  /**
   * Compute the weight of each word in a prediction; the weights sum to 1.
   *
   * For a network with attention, a weight is the word's share of the attention. For an encoder, each word is left out
   * in turn: a weight is the word's share of the change in the probabilities of the predicted labels.
   *
   * @throws ModelError - The model has no attention and is not an encoder.
   */
  async explain(text: string): Promise<WordWeight[]> {
    checkText(text, "explain");
    if (this.#info.kind === "encoder") {
      const { labels } = await this.predict(text);
      const columns = labels.map((label) => this.labels.indexOf(label));
      const changes = await leaveOneOut(this.#pipeline, text, columns, (decreases) =>
        decreases.reduce((sum, value) => sum + Math.abs(value), 0),
      );
      return shares(changes);
    }
    if (!this.hasAttention) throw new ModelError("this model has no attention; use leaveOneOut");
    return await attentionWeights(this.#pipeline, text);
  }

  /**
   * Compute how much each word contributes to the probability of a label.
   *
   * The weight of a word is the probability of the text minus that of the text without the word: positive if the word
   * supports the label.
   *
   * @throws UsageError - The model has no such label.
   */
  async leaveOneOut(text: string, label: string): Promise<WordWeight[]> {
    checkText(text, "leaveOneOut");
    const column = this.labels.indexOf(label);
    if (column < 0) throw this.#unknown(label);
    return await leaveOneOut(this.#pipeline, text, [column], ([decrease]) => decrease ?? 0);
  }

  /** Network output for each text; undefined for a missing text. */
  async #read(texts: string | Texts): Promise<(TextOutput | undefined)[]> {
    const checked = checkedTexts(texts);
    const reads = (await this.#pipeline.read(checked.filter((text) => text !== undefined))).values();
    return checked.map((text) => (text === undefined ? undefined : reads.next().value));
  }

  #thresholdArray(thresholds: PredictOptions["thresholds"]): Float32Array {
    if (typeof thresholds === "number") {
      const value = this.#checkThresholds({ [this.labels[0] as string]: thresholds })[
        this.labels[0] as string
      ] as number;
      return new Float32Array(this.labels.length).fill(value);
    }
    const merged = { ...this.#thresholds, ...this.#checkThresholds(thresholds ?? {}) };
    return Float32Array.from(this.labels, (label) => merged[label] as number);
  }

  #checkThresholds(thresholds: Thresholds): Record<string, number> {
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
