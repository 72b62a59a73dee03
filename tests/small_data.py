"""A small labelled data set in GoEmotions' TSV form, made up for the tests: every label has words of its own."""

import random
from pathlib import Path

from evenmood import LABELS

FILLERS = ["the", "a", "this", "that", "it", "is", "was", "my", "your", "we", "they", "so", "really", "now", "here"]


def write_tsv(folder: Path, rows: int = 300, seed: int = 0) -> Path:
    """Write train, validation and test files of text, label numbers and id; some rows carry two labels."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for split, count in (("train", rows), ("validation", rows // 3), ("test", rows // 3)):
        lines = []
        for index in range(count):
            labels = {index % len(LABELS)} | ({draw.randrange(len(LABELS))} if draw.random() < 0.2 else set())
            words = [f"{LABELS[label]}{draw.choice(['', 'ful', 'ish'])}" for label in sorted(labels)]
            words += draw.choices(FILLERS, k=draw.randint(1, 12))
            draw.shuffle(words)
            numbers = ",".join(map(str, sorted(labels)))
            lines.append(f"{' '.join(words).capitalize()}!\t{numbers}\t{split}{index}\n")
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder
