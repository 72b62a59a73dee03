/** A label, its probability and the decision threshold applied. */
export interface LabelScore {
  readonly label: string;
  readonly probability: number;
  readonly threshold: number;
}

/** The labels of one text, as a plain object with the fields of `Prediction.to_dict()` in Python. */
export interface Prediction {
  /** Names of the labels, the most probable first. */
  readonly labels: readonly string[];
  /** Labels whose probability reaches their threshold, the most probable first. Empty only for a missing text. */
  readonly scores: readonly LabelScore[];
  /** Whether no label reached its threshold; `scores` then holds only the most probable one. */
  readonly fallback: boolean;
  /** Probability of every label, in the model's order; empty for a missing text. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** Number of words in the text. */
  readonly words: number;
  /** Number of windows that the text was split into: 1 unless it exceeds the maximum length, 0 for a missing text. */
  readonly windows: number;
}

/** A word of a text with its position and weight. */
export interface WordWeight {
  /** The word as written in the text. */
  readonly text: string;
  /** Index of its first UTF-16 unit. */
  readonly start: number;
  /** Index after its last UTF-16 unit. */
  readonly end: number;
  /** From `explain`, the word's share, from 0 to 1; from `leaveOneOut`, a change of probability, from -1 to 1. */
  readonly weight: number;
  /** Whether the vocabulary covers the word, whole or in pieces. */
  readonly known: boolean;
}

/** The prediction of a missing text. */
export function missingPrediction(): Prediction {
  return { labels: [], scores: [], fallback: false, probabilities: {}, words: 0, windows: 0 };
}

/** Select the labels whose probability reaches their threshold, or the most probable one if none does. */
export function applyThresholds(
  probabilities: Float32Array,
  thresholds: Float32Array,
  labels: readonly string[],
): Pick<Prediction, "labels" | "scores" | "fallback" | "probabilities"> {
  const order = labels.map((_, column) => column).sort((a, b) => at(probabilities, b) - at(probabilities, a) || a - b);
  const above = order.filter((column) => at(probabilities, column) >= at(thresholds, column));
  const scores = (above.length ? above : order.slice(0, 1)).map((column) => ({
    label: labels[column] as string,
    probability: at(probabilities, column),
    threshold: Math.round(at(thresholds, column) * 1e6) / 1e6,
  }));
  return {
    labels: scores.map((score) => score.label),
    scores,
    fallback: above.length === 0,
    probabilities: Object.fromEntries(labels.map((label, column) => [label, at(probabilities, column)])),
  };
}

function at(values: Float32Array, index: number): number {
  return values[index] as number;
}
