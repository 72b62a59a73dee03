"""Versioned prompts for text generation, and the plan of requests with varied labels, topics and styles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evenmood import LABELS

PROMPT_ID = "v4"
"""Version of the prompts; increase it with every change of a text that is sent to the model."""
TOPICS = (
    *("work", "school", "family", "a friendship", "love", "health", "sport", "a game", "music", "a film", "food"),
    *("travel", "money", "a pet", "the weather", "politics", "technology", "a neighbour", "moving house", "an exam"),
)
LABEL_TOPICS = {
    "grief": (
        *("the death of a mother", "the death of a father", "a husband who died", "a grandmother who passed away"),
        *("a dog that died", "a friend who was killed", "a funeral", "condolences to a family", "a child who died"),
        *("a singer who passed away", "the anniversary of a death", "a brother who is gone"),
    ),
    "relief": (
        *("a test result that came back fine", "an exam that is over", "a lost thing that was found"),
        *("somebody who is safe after all", "the end of a bad job", "a pain that is gone", "a debt that is paid"),
        *("a storm that missed the town", "good news after a long wait", "an accident that nearly happened"),
    ),
}
"""Topics for labels to which few of `TOPICS` apply."""
REGISTERS = ("casual", "plain", "slangy", "polite", "heated", "thoughtful")
LENGTHS = ("about 6 words", "about 12 words", "about 20 words", "two short sentences")
VIEWS = ("in the first person", "to another commenter", "about somebody else", "as a reply to news")
SHOTS = 8
"""Number of examples per request, all from the training split."""
REQUESTS_PER_EXAMPLES = 32
"""Number of consecutive requests with the same examples for a label, so that servers can cache the prompt prefix."""
DEFINITIONS = {
    "admiration": "respect for somebody, or for something well done",
    "amusement": "something is funny",
    "anger": "somebody is furious",
    "annoyance": "something is mildly irritating",
    "approval": "agreeing, or thinking well of something",
    "caring": "concern and support for somebody",
    "confusion": "something makes no sense",
    "curiosity": "wanting to know more",
    "desire": "wanting or wishing for something",
    "disappointment": "something did not turn out as hoped",
    "disapproval": "thinking badly of something, or disagreeing",
    "disgust": "something is revolting",
    "embarrassment": "feeling awkward or ashamed in front of others",
    "excitement": "looking forward to something, thrilled",
    "fear": "being afraid",
    "gratitude": "thanking somebody",
    "grief": "mourning, somebody has died",
    "joy": "being happy",
    "love": "affection for somebody or something",
    "nervousness": "being anxious about what may happen",
    "optimism": "hoping that things will turn out well",
    "pride": "being proud of oneself or of somebody",
    "realization": "suddenly noticing or understanding something",
    "relief": "glad that something bad is over or did not happen",
    "remorse": "being sorry for what one did",
    "sadness": "being unhappy",
    "surprise": "something was not expected",
    "neutral": "no emotion at all",
}
"""Short definition of each label."""
SYSTEM = "You write short comments as people post them on Reddit and Twitter. You answer with the comments alone."

JSON_FORM = ' Answer with a JSON object of this form, and nothing else: {"comments": ["...", "..."]}'
"""Added to the prompt if the request does not include the JSON schema."""


@dataclass(frozen=True)
class Request:
    """A request to the endpoint, whose attributes are recorded with the generated rows.

    Attributes:
        number: Number in the plan, from 0.
        labels: Indices of the labels that the texts should express: the intended one, and optionally a second.
        topic: Topic.
        register: Tone.
        length: Length of each text, in words.
        view: Point of view.
        examples: Training texts with the intended label, without other labels if there are enough.
        example_ids: Ids of the examples; None if unknown.
        texts: Number of texts to write.
    """

    number: int
    labels: tuple[int, ...]
    topic: str
    register: str
    length: str
    view: str
    examples: tuple[str, ...]
    example_ids: tuple[str | None, ...]
    texts: int

    @property
    def intended(self) -> str:
        """Name of the intended label."""
        return LABELS[self.labels[0]]

    @property
    def names(self) -> str:
        """Names of the labels, joined by "and"."""
        return " and ".join(LABELS[label] for label in self.labels)

    @property
    def definitions(self) -> str:
        """Names and definitions of the labels, joined by "and"."""
        return " and ".join(f"{LABELS[label]} ({DEFINITIONS[LABELS[label]]})" for label in self.labels)

    def chat_prompt(self) -> str:
        """Return the prompt for a chat model."""
        return (
            f"Comments that express {self.definitions}:\n{self._example_list()}\n\n"
            f"Write {self.texts} more, different from these and from one another, {self.register}, {self.length} each, "
            f"{self.view}, about {self.topic}. Express {self.names} without naming it."
        )

    def completion_prompt(self) -> str:
        """Return the prompt for a base model, which continues a list of examples and follows no instructions."""
        return (
            f"Comments that express {self.definitions}:\n{self._example_list()}\n\n"
            f"{self.texts} {self.register} comments {self.view}, {self.length} each, about {self.topic}, that express "
            f"{self.names}:\n-"
        )

    def _example_list(self) -> str:
        return "\n".join(f"- {' '.join(example.split())}" for example in self.examples)


def co_occurring_labels(labels: Sequence[Sequence[int]], min_count: int = 5) -> dict[int, list[int]]:
    """Return the labels that co-occur with each label in at least `min_count` rows."""
    counts: dict[tuple[int, int], int] = {}
    for row in labels:
        for pair in combinations(sorted(row), 2):
            counts[pair] = counts.get(pair, 0) + 1
    partners: dict[int, list[int]] = {label: [] for label in range(len(LABELS))}
    for (first, second), count in sorted(counts.items()):
        if count >= min_count:
            partners[first].append(second)
            partners[second].append(first)
    return partners


def plan(
    shortfall: Mapping[str, int],
    texts: Sequence[str],
    labels: Sequence[Sequence[int]],
    requests: int,
    size: int,
    seed: int,
    round_number: int = 1,
    scores: np.ndarray | None = None,
    ids: Sequence[str | None] | None = None,
) -> list[Request]:
    """Draw random requests: labels in proportion to their shortfall, everything else uniformly.

    Args:
        shortfall: Number of rows that each label needs; other labels are not requested.
        texts: Training texts, the source of examples.
        labels: Label indices of the texts.
        requests: Number of requests.
        size: Texts per request.
        seed: Random seed.
        round_number: Number of the round; each has different requests.
        scores: The teacher's probabilities of the texts, shape (n, 28): examples come from the half of a label's texts
            with the highest probability; by default, from all of them.
        ids: Ids of the texts, recorded with the requests.
    """
    weights = np.array([shortfall.get(label, 0) for label in LABELS], float)
    if not weights.sum():
        return []
    neutral = LABELS.index("neutral")
    partners = {
        label: [other for other in others if other != neutral] for label, others in co_occurring_labels(labels).items()
    }
    examples = [_examples(label, labels, scores) for label in range(len(LABELS))]
    planned_requests = []
    for number in range(requests):
        rng = np.random.default_rng([seed, round_number, number])
        label = int(rng.choice(len(LABELS), p=weights / weights.sum()))
        second = [int(rng.choice(partners[label]))] if partners[label] and rng.random() < 0.25 else []
        example_rng = np.random.default_rng([seed, round_number, number // REQUESTS_PER_EXAMPLES, label])
        rows = example_rng.choice(examples[label], min(SHOTS, len(examples[label])), replace=False).tolist()
        planned_requests.append(
            Request(
                number=number,
                labels=(label, *second),
                topic=str(rng.choice(LABEL_TOPICS.get(LABELS[label], TOPICS))),
                register=str(rng.choice(REGISTERS)),
                length=str(rng.choice(LENGTHS)),
                view=str(rng.choice(VIEWS)),
                examples=tuple(texts[row] for row in rows),
                example_ids=tuple(ids[row] if ids else None for row in rows),
                texts=size,
            )
        )
    return planned_requests


def _examples(label: int, labels: Sequence[Sequence[int]], scores: np.ndarray | None) -> list[int]:
    """Return rows with a label, preferably without others; with scores, the half with the highest scores."""
    single = [row for row, row_labels in enumerate(labels) if list(row_labels) == [label]]
    rows = single if len(single) >= 2 * SHOTS else [row for row, numbers in enumerate(labels) if label in numbers]
    if scores is None or len(rows) < 2 * SHOTS:
        return rows
    return sorted(rows, key=lambda row: -scores[row, label])[: len(rows) // 2]
