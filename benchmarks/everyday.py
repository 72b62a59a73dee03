"""Other models on the everyday benchmark: `python -m benchmarks.everyday results/everyday.json --teacher MODEL`.

Scores are on its test split; thresholds of teachers are tuned on its validation split. NRCLex counts words of the NRC
emotion lexicon; its categories are mapped to `NRC_LABELS`, and texts without such words to neutral. It is included if
installed (`pip install nrclex`). text2emotion is not included: it requires an NLTK download and an obsolete version of
emoji.
"""

import argparse
import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.arguments import benchmark, check_out
from benchmarks.bench import write
from evenmood import EmotionClassifier
from evenmood.data.teacher import Teacher
from evenmood.labels import LABELS
from evenmood.thresholds import tune_thresholds
from train.evaluation.everyday import compute_metrics, load_everyday, table

NRC_LABELS = {
    "anger": "anger",
    "anticipation": "optimism",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "joy",
    "sadness": "sadness",
    "surprise": "surprise",
    "trust": "approval",
}
"""Closest of the 28 labels to each of the lexicon's eight emotions (Mohammad and Turney 2013)."""
_WORD = re.compile(r"[a-z']+")


def nrclex_scores(texts: Sequence[str]) -> np.ndarray:
    """Share of each category among a text's emotion words, or neutral without such words: shape (n, 28)."""
    from nrclex import NRCLex

    scores = np.zeros((len(texts), len(LABELS)), np.float32)
    for row, text in enumerate(texts):
        lexicon = NRCLex()
        lexicon.load_token_list(_WORD.findall(text.lower()))
        for category, label in NRC_LABELS.items():
            scores[row, LABELS.index(label)] = lexicon.affect_frequencies[category]
        if not scores[row].any():
            scores[row, LABELS.index("neutral")] = 1
    return scores


def main() -> None:
    """Score each model, and write the metrics."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="results file (JSON) to write")
    parser.add_argument("--teacher", action="append", default=[], help="folder or Hub id of a teacher; repeatable")
    arguments = parser.parse_args()
    check_out(parser, arguments.out)
    validation, test = load_everyday("validation"), load_everyday("test")
    classifier = EmotionClassifier.from_pretrained()
    ours = np.array([classifier.thresholds[label] for label in LABELS], np.float32)
    scorers: dict[str, tuple[Callable[[Sequence[str]], np.ndarray], np.ndarray | None]] = {
        "evenmood": (classifier.predict_proba, ours)
    }
    for name in arguments.teacher:
        scorers[Path(name).name] = (Teacher(name).probabilities, None)
    if importlib.util.find_spec("nrclex"):
        scorers["NRCLex"] = (nrclex_scores, None)
    models = []
    for title, (scores, thresholds) in scorers.items():
        if thresholds is None:
            probabilities = np.where(validation.ignored, np.float32(0), scores(validation.split.texts))
            thresholds = tune_thresholds(validation.split.labels, probabilities, "shrunk")
        results = compute_metrics(test, scores(test.split.texts), thresholds)
        print(f"{title}\n{table(results)}\n")
        models.append({"model": title, **{name: results[name] for name in results if name != "per_label"}})
    write(arguments.out, {"split": "test", "texts": len(test.split), "models": models})


if __name__ == "__main__":
    benchmark(main)
