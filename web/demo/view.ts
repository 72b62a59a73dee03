import type { Prediction, WordWeight } from "evenmood";
import { EMOJI, grouped, groupOf, SIGNS } from "./labels.js";

/** A text with its prediction, as shown on the page. */
export interface Analysis {
  readonly text: string;
  readonly prediction: Prediction;
  readonly words: readonly WordWeight[];
  /** Whether the text mentions self-harm: labels are then shown without color or emoji, with a link to a helpline. */
  readonly mentionsSelfHarm: boolean;
}

/** Show the prediction for a text. */
export function show(analysis: Analysis, thresholds: Readonly<Record<string, number>>): void {
  const { prediction, text, words, mentionsSelfHarm } = analysis;
  element("sentence").replaceChildren(...sentence(prediction, mentionsSelfHarm));
  element("support").hidden = !mentionsSelfHarm;
  element("bars").replaceChildren(
    ...prediction.scores.map(({ label, probability, threshold }) => bar(label, probability, threshold, true)),
  );
  element("words").replaceChildren(...shaded(text, words));
  const order = Object.entries(prediction.probabilities).sort(([, a], [, b]) => b - a);
  const groups = grouped(order.map(([label]) => label)).map(([group, labels]) => {
    const section = make("section");
    section.append(make("h3", "", `${SIGNS[group]} ${group}`));
    for (const label of labels) {
      const probability = prediction.probabilities[label] ?? 0;
      section.append(bar(label, probability, thresholds[label] ?? 0, prediction.labels.includes(label)));
    }
    return section;
  });
  element("groups").replaceChildren(...columns(groups));
  element("prediction").removeAttribute("aria-busy");
}

/** Element of the page. */
export function element(id: string): HTMLElement {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no element ${id}`);
  return node;
}

function sentence(prediction: Prediction, mentionsSelfHarm: boolean): (Node | string)[] {
  const chips = prediction.scores.map(({ label, probability }) =>
    chip(label, probability, prediction.fallback, mentionsSelfHarm),
  );
  const [first, ...others] = chips;
  if (!first) return ["No text."];
  if (prediction.fallback) return ["No label reaches its threshold; the most probable is ", first, "."];
  if (!others.length) return ["Most likely ", first, "."];
  return ["Most likely ", first, ", and also ", ...others.flatMap((one, place) => (place ? [", ", one] : [one])), "."];
}

function chip(label: string, probability: number, fallback: boolean, mentionsSelfHarm: boolean): HTMLElement {
  const kind = mentionsSelfHarm ? "plain" : `${groupOf(label)}${fallback ? " fallback" : ""}`;
  const chipElement = make("span", `chip ${kind}`);
  if (!mentionsSelfHarm) {
    const sign = make("span", "", `${EMOJI[label] ?? ""} ${SIGNS[groupOf(label)]} `);
    sign.setAttribute("aria-hidden", "true");
    chipElement.append(sign);
  }
  chipElement.append(`${label} ${percent(probability)}`);
  return chipElement;
}

function bar(label: string, probability: number, threshold: number, predicted: boolean): HTMLElement {
  const row = make("div", predicted ? "bar predicted" : "bar");
  const track = make("span", "track");
  const fill = make("span", `fill ${groupOf(label)}`);
  fill.style.width = `${probability * 100}%`;
  const tick = make("span", "tick");
  tick.style.left = `${threshold * 100}%`;
  tick.title = `threshold ${percent(threshold)}`;
  track.append(fill, tick);
  row.append(make("span", "name", label), track, make("span", "value", percent(probability)));
  return row;
}

/** The text with each word shaded by its weight, relative to the highest weight. */
function shaded(text: string, words: readonly WordWeight[]): (Node | string)[] {
  const highest = Math.max(...words.map((word) => word.weight), Number.MIN_VALUE);
  const parts: (Node | string)[] = [];
  let end = 0;
  for (const word of words) {
    if (word.start < end) continue;
    parts.push(text.slice(end, word.start));
    const mark = make("mark", "", text.slice(word.start, word.end));
    mark.style.setProperty("--weight", (word.weight / highest).toFixed(3));
    mark.title = percent(word.weight);
    parts.push(mark);
    end = word.end;
  }
  return [...parts, text.slice(end)];
}

/** One column each for positive and negative, and one for the small groups. */
function columns(groups: readonly HTMLElement[]): HTMLElement[] {
  const last = make("div");
  last.append(...groups.slice(2));
  return [...groups.slice(0, 2), last];
}

function make(tag: string, className = "", text = ""): HTMLElement {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function percent(value: number): string {
  return `${Math.round(value * 100)}%`;
}
