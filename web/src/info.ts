import { ModelError } from "./errors.js";

/** Content of `emotions.json`: the fields used here. */
export interface ModelInfo {
  readonly labels: readonly string[];
  readonly thresholds: Readonly<Record<string, number>>;
  readonly maxLength: number;
  readonly attention: boolean;
  readonly kind: "bilstm" | "encoder";
}

const FORMAT_VERSION = 1;
const MAX_LENGTH_LIMIT = 4096;

/** Parse and validate `emotions.json`. */
export function parseInfo(content: string): ModelInfo {
  let raw: Record<string, unknown>;
  try {
    raw = JSON.parse(content) as Record<string, unknown>;
  } catch {
    throw new ModelError("emotions.json: not a JSON file; download or export the model again");
  }
  const { format_version: version, labels, thresholds, max_length: maxLength, attention, kind = "bilstm" } = raw ?? {};
  if (version !== FORMAT_VERSION) {
    throw new ModelError(
      `emotions.json: format version ${String(version)}; expected ${FORMAT_VERSION}; update the evenmood package`,
    );
  }
  if (!Array.isArray(labels) || !labels.length || labels.some((label) => typeof label !== "string")) {
    throw new ModelError("emotions.json: labels: expected a list of names");
  }
  const repeated = labels.find((label, index) => labels.indexOf(label) < index);
  if (repeated !== undefined) throw new ModelError(`emotions.json: labels: ${repeated} appears more than once`);
  const values = (thresholds ?? {}) as Record<string, unknown>;
  for (const label of labels as string[]) {
    const value = values[label];
    if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
      throw new ModelError(`emotions.json: threshold of ${label}: expected a number from 0 to 1, not ${String(value)}`);
    }
  }
  if (!Number.isInteger(maxLength) || (maxLength as number) < 2 || (maxLength as number) > MAX_LENGTH_LIMIT) {
    throw new ModelError(
      `emotions.json: max_length: expected an integer from 2 to ${MAX_LENGTH_LIMIT}, not ${String(maxLength)}`,
    );
  }
  if (kind !== "bilstm" && kind !== "encoder") {
    throw new ModelError(`emotions.json: unknown kind ${String(kind)}; expected bilstm or encoder`);
  }
  return {
    labels: labels as string[],
    thresholds: values as Record<string, number>,
    maxLength: maxLength as number,
    attention: Boolean(attention),
    kind,
  };
}
