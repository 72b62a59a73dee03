/** Sentiment groups of the 28 GoEmotions labels; each has a sign besides its color, for color-blind visitors. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = {
  positive: "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief".split(
    " ",
  ),
  negative:
    "anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness".split(
      " ",
    ),
  ambiguous: "confusion curiosity realization surprise".split(" "),
  neutral: ["neutral"],
};

/** Sign of each group. */
export const SIGNS: Readonly<Record<string, string>> = { positive: "+", negative: "−", ambiguous: "?", neutral: "=" };

/** Emoji of each label. */
export const EMOJI: Readonly<Record<string, string>> = {
  admiration: "👏",
  amusement: "😂",
  anger: "😡",
  annoyance: "😒",
  approval: "👍",
  caring: "🤗",
  confusion: "😕",
  curiosity: "🤔",
  desire: "😍",
  disappointment: "😞",
  disapproval: "👎",
  disgust: "🤢",
  embarrassment: "😳",
  excitement: "🤩",
  fear: "😨",
  gratitude: "🙏",
  grief: "😭",
  joy: "😄",
  love: "❤️",
  nervousness: "😬",
  optimism: "🤞",
  pride: "😌",
  realization: "💡",
  relief: "😅",
  remorse: "😔",
  sadness: "😢",
  surprise: "😲",
  neutral: "😐",
};

/** Sentiment group of a label. */
export function groupOf(label: string): string {
  return Object.keys(GROUPS).find((group) => GROUPS[group]?.includes(label)) ?? "neutral";
}

/** Groups with the labels of a model in them; unknown labels are in `neutral`. */
export function grouped(labels: readonly string[]): [string, string[]][] {
  const groups = Object.keys(GROUPS).map((group): [string, string[]] => [
    group,
    labels.filter((label) => groupOf(label) === group),
  ]);
  return groups.filter(([, members]) => members.length > 0);
}
