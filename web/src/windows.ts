/** Start and end of a part of a text, in UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** A window repeats the previous window's last sentence if that fills at most 1/OVERLAP of a window. */
const OVERLAP = 4;
/** Weight of the maximum over windows; the mean gets the rest. */
const PEAK_SHARE = 0.25;
/** Whitespace, as matched by Python's `\s`. */
const SPACE = "[\\p{White_Space}\\x1c-\\x1f]";
const SENTENCE_END = new RegExp(`(?<=[.!?…。！？])${SPACE}+|\\n+`, "gv");
const WORD = /[^\p{White_Space}\x1c-\x1f]+/gv;

/**
 * Split a text into overlapping windows at sentence boundaries.
 *
 * @param text - Text to split.
 * @param size - Maximum number of tokens per window.
 * @param count - Returns the number of tokens in a text.
 */
export function windowSpans(text: string, size: number, count: (text: string) => number): Span[] {
  const parts: { span: Span; tokens: number }[] = [];
  for (const span of spansBetween(SENTENCE_END, text)) {
    const tokens = count(text.slice(...span));
    if (tokens <= size) {
      parts.push({ span, tokens });
      continue;
    }
    for (const word of wordSpans(text, span, size)) parts.push({ span: word, tokens: count(text.slice(...word)) });
  }
  const windows: Span[] = [];
  let [first, last, total] = [0, 0, 0]; // the current window is parts.slice(first, last)
  while (last < parts.length) {
    const next = parts[last] as (typeof parts)[number];
    if (last === first || total + next.tokens <= size) {
      total += next.tokens;
      last++;
      continue;
    }
    const previous = parts[last - 1] as (typeof parts)[number];
    windows.push([(parts[first] as (typeof parts)[number]).span[0], previous.span[1]]);
    const repeats =
      last - first > 1 && previous.tokens <= Math.floor(size / OVERLAP) && previous.tokens + next.tokens <= size;
    [first, total] = repeats ? [last - 1, previous.tokens] : [last, 0];
  }
  const [begin, end] = [parts[first], parts.at(-1)];
  if (begin && end) windows.push([begin.span[0], end.span[1]]);
  return windows;
}

/** Combine the probabilities of windows: a weighted mean of their mean and their maximum. */
export function combine(windows: readonly Float32Array[]): Float32Array {
  const labels = windows[0]?.length ?? 0;
  return Float32Array.from({ length: labels }, (_, label) => {
    let [sum, peak] = [0, 0];
    for (const window of windows) {
      const value = window[label] as number;
      sum += value;
      peak = Math.max(peak, value);
    }
    return PEAK_SHARE * peak + (1 - PEAK_SHARE) * (sum / windows.length);
  });
}

function spansBetween(separator: RegExp, text: string): Span[] {
  const spans: Span[] = [];
  let start = 0;
  for (const match of text.matchAll(separator)) {
    spans.push([start, match.index]);
    start = match.index + match[0].length;
  }
  spans.push([start, text.length]);
  return spans.filter(([from, to]) => to > from);
}

/** Words of a part of a text; a run of emoji is one word of as many tokens, and is split at `size` characters. */
function wordSpans(text: string, [start, end]: Span, size: number): Span[] {
  const spans: Span[] = [];
  for (const match of text.slice(start, end).matchAll(WORD)) {
    const characters = Array.from(match[0]);
    let from = start + match.index;
    for (let index = 0; index < characters.length; index += size) {
      const to = from + characters.slice(index, index + size).join("").length;
      spans.push([from, to]);
      from = to;
    }
  }
  return spans;
}
