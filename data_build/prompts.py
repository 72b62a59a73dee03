"""What the generator is asked: a fixed, versioned prompt, and how each request differs from the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evenmood import LABELS

PROMPT_ID = "v1"
"""Changes with any word of this file that a model reads."""
TOPICS = (
    *("work", "school", "family", "a friendship", "love", "health", "sport", "a game", "music", "a film", "food"),
    *("travel", "money", "a pet", "the weather", "politics", "technology", "a neighbour", "moving house", "an exam"),
)
REGISTERS = ("casual", "plain", "slangy", "polite", "heated", "thoughtful")
LENGTHS = ("about 6 words", "about 12 words", "about 20 words", "two short sentences")
VIEWS = ("in the first person", "to another commenter", "about somebody else", "as a reply to news")
SHOTS = 3
"""Examples a request shows, all from the training split."""
SYSTEM = "You write short comments as people post them on Reddit and Twitter. You answer with the comments alone."


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
        examples: Texts of the training split with the intended label.
        texts: How many are asked for.
    """

    number: int
    labels: tuple[int, ...]
    topic: str
    register: str
    length: str
    view: str
    examples: tuple[str, ...]
    texts: int

    def prompt(self) -> str:
        """What the model reads, for a chat and for a completion alike."""
        names = " and ".join(LABELS[label] for label in self.labels)
        shown = "\n".join(f"- {example}" for example in self.examples)
        return (
            f"Comments that express {names}:\n{shown}\n\n"
            f"Write {self.texts} more, different from these and from one another, {self.register}, {self.length} each, "
            f"{self.view}, about {self.topic}. Express {names} without naming it.\n-"
        )


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
) -> list[Request]:
    """Draw the requests: labels as often as rows of them are missing, everything else evenly.

    Args:
        missing: Rows that each label lacks; a label that lacks none is not asked for.
        texts: The training split's, for examples.
        labels: Their label numbers.
        requests: How many to draw.
        size: Texts a request asks for.
        seed: Of the draw.
    """
    weights = np.array([missing.get(label, 0) for label in LABELS], float)
    if not weights.sum():
        return []
    neutral = LABELS.index("neutral")
    pairs = {
        label: [other for other in others if other != neutral] for label, others in pairs_that_occur(labels).items()
    }
    examples = {label: [row for row, held in enumerate(labels) if label in held] for label in range(len(LABELS))}
    drawn = []
    for number in range(requests):
        draw = np.random.default_rng([seed, number])
        label = int(draw.choice(len(LABELS), p=weights / weights.sum()))
        second = [int(draw.choice(pairs[label]))] if pairs[label] and draw.random() < 0.25 else []
        held = examples[label]
        shown = draw.choice(held, min(SHOTS, len(held)), replace=False).tolist() if held else []
        drawn.append(
            Request(
                number=number,
                labels=(label, *second),
                topic=str(draw.choice(TOPICS)),
                register=str(draw.choice(REGISTERS)),
                length=str(draw.choice(LENGTHS)),
                view=str(draw.choice(VIEWS)),
                examples=tuple(texts[row] for row in shown),
                texts=size,
            )
        )
    return drawn
