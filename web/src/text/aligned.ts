/** A text that maps each of its UTF-16 units to a span of the original text. */
export interface AlignedText {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Align a text with itself, character by character. */
export function aligned(text: string): AlignedText {
  const builder = new Builder();
  let index = 0;
  for (const character of text) {
    builder.add(character, index, index + character.length);
    index += character.length;
  }
  return builder.result();
}

/** Replace matches; the replacement is aligned with the last character that it replaces. */
export function replaceAligned(source: AlignedText, pattern: RegExp, content: string): AlignedText {
  const builder = new Builder();
  let end = 0;
  for (const match of source.text.matchAll(pattern)) {
    if (match[0] === "") continue;
    builder.copy(source, end, match.index);
    end = match.index + match[0].length;
    builder.add(content, source.starts[end - 1] ?? 0, source.ends[end - 1] ?? 0);
  }
  builder.copy(source, end, source.text.length);
  return builder.result();
}

/**
 * Replace each cluster of characters.
 *
 * @param clusters - Pattern of the clusters, which together cover the whole text.
 * @param replacement - Returns the replacement of a cluster; its characters are aligned in order with those of the
 *   cluster, and any further ones with the last.
 */
export function mapAligned(
  source: AlignedText,
  clusters: RegExp,
  replacement: (cluster: string) => string,
): AlignedText {
  const builder = new Builder();
  for (const match of source.text.matchAll(clusters)) {
    const replaced = replacement(match[0]);
    if (replaced === match[0]) {
      builder.copy(source, match.index, match.index + match[0].length);
      continue;
    }
    const places: number[] = [];
    let place = match.index;
    for (const character of match[0]) {
      places.push(place);
      place += character.length;
    }
    let count = 0;
    for (const character of replaced) {
      const from = places[Math.min(count++, places.length - 1)] as number;
      builder.add(character, source.starts[from] as number, source.ends[from] as number);
    }
  }
  return builder.result();
}

/** A part of an aligned text. */
export function sliceAligned(source: AlignedText, start: number, end: number): AlignedText {
  return {
    text: source.text.slice(start, end),
    starts: source.starts.slice(start, end),
    ends: source.ends.slice(start, end),
  };
}

class Builder {
  readonly #parts: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  add(text: string, start: number, end: number): void {
    this.#parts.push(text);
    for (let unit = 0; unit < text.length; unit++) {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  copy(source: AlignedText, start: number, end: number): void {
    this.#parts.push(source.text.slice(start, end));
    for (let unit = start; unit < end; unit++) {
      this.#starts.push(source.starts[unit] as number);
      this.#ends.push(source.ends[unit] as number);
    }
  }

  result(): AlignedText {
    return { text: this.#parts.join(""), starts: this.#starts, ends: this.#ends };
  }
}
