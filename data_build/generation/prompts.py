"""What the generator is asked: a fixed, versioned prompt, and how each request differs from the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evenmood import LABELS

PROMPT_ID = "v4"
"""Changes with any word of this file that a model reads."""
TOPICS = (
    *("work", "school", "family", "a friendship", "love", "health", "sport", "a game", "music", "a film", "food"),
    *("travel", "money", "a pet", "the weather", "politics", "technology", "a neighbour", "moving house", "an exam"),
)
OWN_TOPICS = {
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
"""Topics of labels that belong to few: about most others nobody grieves."""
REGISTERS = ("casual", "plain", "slangy", "polite", "heated", "thoughtful")
LENGTHS = ("about 6 words", "about 12 words", "about 20 words", "two short sentences")
VIEWS = ("in the first person", "to another commenter", "about somebody else", "as a reply to news")
SHOTS = 8
"""Examples a request shows, all from the training split."""
SAME_EXAMPLES = 32
"""Requests in a row that show the same ones of a label, so that a server can reuse what it has read."""
MEANINGS = {
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
"""What each label means, in the fewest words."""
SYSTEM = "You write short comments as people post them on Reddit and Twitter. You answer with the comments alone."

JSON_FORM = ' Answer with a JSON object of this form, and nothing else: {"comments": ["...", "..."]}'
"""Added for a server that is not given the schema."""


@dataclass(frozen=True)
class Request:
    """One request to the generator; all of it is kept with what it answers.

    Attributes:
        number: Its place in the plan.
        labels: Label numbers that the texts should carry: the intended one, and for some a second.
        topic: What to write about.
        register: Tone.
        length: Of each text.
        view: Point of view.
        examples: Texts of the training split with the intended label, and no other where there are enough.
        example_ids: Their ids, where the split has any.
        texts: How many are asked for.
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
        """The label that was asked for."""
        return LABELS[self.labels[0]]

    @property
    def names(self) -> str:
        """The labels, as a phrase."""
        return " and ".join(LABELS[label] for label in self.labels)

    @property
    def meanings(self) -> str:
        """The labels, each with what it means."""
        return " and ".join(f"{LABELS[label]} ({MEANINGS[LABELS[label]]})" for label in self.labels)

    def instruction(self) -> str:
        """What a chat model reads."""
        return (
            f"Comments that express {self.meanings}:\n{self._shown()}\n\n"
            f"Write {self.texts} more, different from these and from one another, {self.register}, {self.length} each, "
            f"{self.view}, about {self.topic}. Express {self.names} without naming it."
        )

    def completion(self) -> str:
        """What a base model reads: it follows examples, not instructions, so it goes on with a list."""
        return (
            f"Comments that express {self.meanings}:\n{self._shown()}\n\n"
            f"{self.texts} {self.register} comments {self.view}, {self.length} each, about {self.topic}, that express "
            f"{self.names}:\n-"
        )

    def _shown(self) -> str:
        return "\n".join(f"- {' '.join(example.split())}" for example in self.examples)


def pairs_that_occur(labels: Sequence[Sequence[int]], at_least: int = 5) -> dict[int, list[int]]:
    """For each label those that really occur together with it in the training split."""
    counts: dict[tuple[int, int], int] = {}
    for row in labels:
        for pair in combinations(sorted(row), 2):
            counts[pair] = counts.get(pair, 0) + 1
    found: dict[int, list[int]] = {label: [] for label in range(len(LABELS))}
    for (first, second), count in sorted(counts.items()):
        if count >= at_least:
            found[first].append(second)
            found[second].append(first)
    return found


def plan(
    missing: Mapping[str, int],
    texts: Sequence[str],
    labels: Sequence[Sequence[int]],
    requests: int,
    size: int,
    seed: int,
    round_number: int = 1,
    scores: np.ndarray | None = None,
    ids: Sequence[str | None] | None = None,
) -> list[Request]:
    """Draw the requests: labels as often as rows of them are missing, everything else evenly.

    Args:
        missing: Rows that each label lacks; a label that lacks none is not asked for.
        texts: The training split's, for examples.
        labels: Their label numbers.
        requests: How many to draw.
        size: Texts a request asks for.
        seed: Of the draw.
        round_number: Of the stage; each draws anew.
        scores: The teacher's probabilities of the texts, shape (n, 28): examples are drawn among the half of a label's
            texts that the teacher is surest of. From all of them if left out.
        ids: Of the texts, so that a request can tell which examples it showed.
    """
    weights = np.array([missing.get(label, 0) for label in LABELS], float)
    if not weights.sum():
        return []
    neutral = LABELS.index("neutral")
    pairs = {
        label: [other for other in others if other != neutral] for label, others in pairs_that_occur(labels).items()
    }
    examples = [_examples(label, labels, scores) for label in range(len(LABELS))]
    drawn = []
    for number in range(requests):
        draw = np.random.default_rng([seed, round_number, number])
        label = int(draw.choice(len(LABELS), p=weights / weights.sum()))
        second = [int(draw.choice(pairs[label]))] if pairs[label] and draw.random() < 0.25 else []
        block = np.random.default_rng([seed, round_number, number // SAME_EXAMPLES, label])
        shown = block.choice(examples[label], min(SHOTS, len(examples[label])), replace=False).tolist()
        drawn.append(
            Request(
                number=number,
                labels=(label, *second),
                topic=str(draw.choice(OWN_TOPICS.get(LABELS[label], TOPICS))),
                register=str(draw.choice(REGISTERS)),
                length=str(draw.choice(LENGTHS)),
                view=str(draw.choice(VIEWS)),
                examples=tuple(texts[row] for row in shown),
                example_ids=tuple(ids[row] if ids else None for row in shown),
                texts=size,
            )
        )
    return drawn


def _examples(label: int, labels: Sequence[Sequence[int]], scores: np.ndarray | None) -> list[int]:
    """Rows with a label, and no other where there are enough; those that the teacher is surest of."""
    alone = [row for row, held in enumerate(labels) if list(held) == [label]]
    held = alone if len(alone) >= 2 * SHOTS else [row for row, held in enumerate(labels) if label in held]
    if scores is None or len(held) < 2 * SHOTS:
        return held
    return sorted(held, key=lambda row: -scores[row, label])[: len(held) // 2]
