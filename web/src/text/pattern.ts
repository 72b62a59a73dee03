import { ModelError } from "../errors.js";
import { LETTERS, MARKS, NUMBERS, OTHER_SYMBOLS, WORD } from "./unicode.js";

const PROPERTIES: Record<string, string> = { L: LETTERS, N: NUMBERS, M: MARKS, So: OTHER_SYMBOLS };
const CLASSES: Record<string, string> = { w: WORD, d: "\\p{Nd}", s: "\\p{White_Space}" };
/** Characters that `v` mode reserves inside a class. */
const RESERVED = new Set("(){}/|");

/**
 * Translate a pattern of `tokenizer.json` (Oniguruma syntax) to a global regular expression.
 *
 * `\w`, `\d`, `\s` and `\p{…}` match the same characters as in the `tokenizers` library, whatever Unicode version the
 * engine implements.
 */
export function regularExpression(pattern: string): RegExp {
  let depth = 0;
  let source = "";
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index] as string;
    if (character === "\\") {
      const [translated, length] = translateEscape(pattern.slice(index));
      source += translated;
      index += length - 1;
      continue;
    }
    if (character === "[") depth++;
    if (character === "]") depth--;
    source += depth > 0 && RESERVED.has(character) ? `\\${character}` : character;
  }
  try {
    return new RegExp(source, "gv");
  } catch {
    throw new ModelError(`tokenizer.json: unsupported pattern ${JSON.stringify(pattern)}`);
  }
}

/** Translate the escape at the start of a pattern; returns the translation and the length of the escape. */
function translateEscape(pattern: string): [string, number] {
  const property = /^\\p\{(\w+)\}/.exec(pattern);
  if (property) {
    const ranges = PROPERTIES[property[1] as string];
    return [ranges ? `[${ranges}]` : property[0], property[0].length];
  }
  const ranges = CLASSES[(pattern[1] ?? "").toLowerCase()];
  if (ranges) return [`[${pattern[1] === pattern[1]?.toLowerCase() ? "" : "^"}${ranges}]`, 2];
  return [pattern.slice(0, 2), 2];
}
