import { ModelError } from "../errors.js";
import { type AlignedText, aligned, mapAligned, replaceAligned, sliceAligned } from "./aligned.js";
import { regularExpression } from "./pattern.js";
import { BERT_ACCENTS, BERT_REMOVED, NOT_NORMALIZED } from "./unicode.js";

/** A step of a normalizer, for plain and for aligned texts. */
interface Step {
  (text: string): string;
  aligned(text: AlignedText): AlignedText;
}

type Form = "NFC" | "NFD" | "NFKC" | "NFKD";

/** The part of `tokenizer.json` that describes a normalizer. */
export interface NormalizerConfig {
  readonly type: string;
  readonly normalizers?: readonly NormalizerConfig[];
  readonly pattern?: { readonly Regex?: string; readonly String?: string };
  readonly content?: string;
  readonly strip_left?: boolean;
  readonly strip_right?: boolean;
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  readonly strip_accents?: boolean | null;
  readonly lowercase?: boolean;
}

const ASCII = /^[\x00-\x7f]*$/;
const NOT_NORMALIZED_RUN = new RegExp(`([${NOT_NORMALIZED}]+)`, "v");
/** A character with what normalization may merge into it: combining marks, Hangul jamo, half-width voicing marks. */
const CLUSTER = new RegExp(
  `[${NOT_NORMALIZED}]|.[[\\p{M}\\u1160-\\u11ff\\uff9e-\\uffdc]--[${NOT_NORMALIZED}]]*`,
  "gvs",
);
const CHARACTER = /./gsu;
const SPACE = /\p{White_Space}/u;
const CHINESE =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** Normalizer of a `tokenizer.json`, with output identical to the `tokenizers` library. */
export class Normalizer {
  readonly #steps: readonly Step[];

  /** @throws ModelError - The configuration has a normalizer that is not supported. */
  constructor(config: NormalizerConfig | null) {
    this.#steps = config === null ? [] : steps(config);
  }

  /** The normalized text. */
  normalize(text: string): string {
    return this.#steps.reduce((current, step) => step(current), text.toWellFormed());
  }

  /** The normalized text with the spans of the original text. */
  align(text: string): AlignedText {
    return this.#steps.reduce((current, step) => step.aligned(current), aligned(text.toWellFormed()));
  }
}

function steps(config: NormalizerConfig): Step[] {
  switch (config.type) {
    case "Sequence":
      return (config.normalizers ?? []).flatMap(steps);
    case "Replace":
      return [replaceStep(patternOf(config), config.content ?? "")];
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return [unicodeStep(config.type)];
    case "Lowercase":
      return [lowercaseStep()];
    case "Strip":
      return [stripStep(config.strip_left ?? true, config.strip_right ?? true)];
    case "BertNormalizer":
      return bertSteps(config);
    default:
      throw new ModelError(`tokenizer.json: unsupported normalizer ${config.type}`);
  }
}

function patternOf(config: NormalizerConfig): RegExp {
  if (config.pattern?.Regex !== undefined) return regularExpression(config.pattern.Regex);
  const literal = config.pattern?.String ?? "";
  return new RegExp(literal.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gv");
}

function bertSteps(config: NormalizerConfig): Step[] {
  const lowercase = config.lowercase ?? true;
  const result: Step[] = [];
  if (config.clean_text ?? true) {
    result.push(replaceStep(new RegExp(`[${BERT_REMOVED}]`, "gv"), ""), replaceStep(/\p{White_Space}/gu, " "));
  }
  if (config.handle_chinese_chars ?? true) result.push(surroundStep(CHINESE));
  if (config.strip_accents ?? lowercase) {
    result.push(unicodeStep("NFD"), replaceStep(new RegExp(`[${BERT_ACCENTS}]`, "gv"), ""));
  }
  if (lowercase) result.push(lowercaseStep());
  return result;
}

function step(plain: (text: string) => string, alignedForm: (text: AlignedText) => AlignedText): Step {
  return Object.assign((text: string) => plain(text), { aligned: alignedForm });
}

function replaceStep(pattern: RegExp, content: string): Step {
  return step(
    (text) => text.replace(pattern, () => content),
    (text) => replaceAligned(text, pattern, content),
  );
}

/** Put spaces around characters. */
function surroundStep(pattern: RegExp): Step {
  return step(
    (text) => text.replace(pattern, " $& "),
    (text) => mapAligned(text, CHARACTER, (character) => character.replace(pattern, " $& ")),
  );
}

function unicodeStep(form: Form): Step {
  const normalize = (text: string): string =>
    text
      .split(NOT_NORMALIZED_RUN)
      .map((part, index) => (index % 2 ? part : part.normalize(form)))
      .join("");
  return step(
    (text) => (ASCII.test(text) ? text : normalize(text)),
    (text) => {
      const whole = normalize(text.text);
      if (whole === text.text) return text;
      const clusters = mapAligned(text, CLUSTER, normalize);
      // Rare sequences compose across clusters; a correct text then takes precedence over exact spans.
      return clusters.text === whole ? clusters : mapAligned(text, /.+/gsu, normalize);
    },
  );
}

function lowercaseStep(): Step {
  // Character by character, as the library does: String.prototype.toLowerCase treats a final sigma specially.
  const lower = (text: string): string => text.replaceAll("Σ", "σ").toLowerCase();
  return step(lower, (text) => mapAligned(text, CHARACTER, lower));
}

function stripStep(left: boolean, right: boolean): Step {
  // Not a pattern that ends in `$`: it is quadratic in a long run of spaces inside the text.
  const bounds = (text: string): [number, number] => {
    let [start, end] = [0, text.length];
    while (left && start < end && SPACE.test(text[start] as string)) start++;
    while (right && start < end && SPACE.test(text[end - 1] as string)) end--;
    return [start, end];
  };
  return step(
    (text) => text.slice(...bounds(text)),
    (text) => sliceAligned(text, ...bounds(text.text)),
  );
}
