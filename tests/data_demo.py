"""Build a miniature data set with 300 rows, a tiny teacher and an endpoint on loopback: `make data-demo`."""

import argparse
import json
import shutil
import time
from pathlib import Path
from random import Random

from data_build.__main__ import app
from evenmood import LABELS, EmotionClassifier
from space.server.feedback import AGREE, CORRECT, DISAGREE, Store, feedback_row
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.tiny_teacher import train_teacher
from tests.small_data import write_tweets

MINIATURE = Path(__file__).with_name("miniature")
TARGET = 8


def main() -> None:
    """Run all stages in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("data/demo"), help="output folder; existing content is deleted"
    )
    folder = parser.parse_args().out
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    with OpenAIServer() as server:
        server.write = recombine
        for command in commands(folder, *prepare(folder), server.url):
            print("$ python -m data_build", *command, flush=True)
            app(command, standalone_mode=False)
    results = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    print(f"{results['rows']} rows, by source: {results['rows_by_source']}; label ratio {results['ratio_after']}")
    print(f"done in {time.monotonic() - started:.0f} s: {folder}/dataset.md, {folder}/published")


def prepare(folder: Path) -> tuple[Path, Path, Path]:
    """Write splits with the ratio 8:1:1, tweets, feedback, and a teacher trained on the training split.

    Returns:
        Folder of the splits, CSV file of the tweets, folder of the teacher.
    """
    splits, counts = folder / "goemotions", dict.fromkeys(LABELS, 0)
    splits.mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    texts, labels = [], []
    for number, line in enumerate((MINIATURE / "emotions.txt").read_text(encoding="utf-8").splitlines()):
        label, text = line.split(": ", 1)
        counts[label] += 1
        split = {7: "validation", 8: "test"}.get(counts[label], "train")
        lines[split].append(f"{text}\t{LABELS.index(label)}\trow{number}\n")
        if split == "train":
            texts.append(text)
            labels.append(LABELS.index(label))
    for split, content in lines.items():
        (splits / f"{split}.tsv").write_text("".join(content), encoding="utf-8")
    write_feedback(folder / "feedback", texts)
    tweets = (MINIATURE / "tweets.txt").read_text(encoding="utf-8").splitlines()
    return splits, write_tweets(folder / "tweets.csv", tweets), train_teacher(folder / "teacher", texts, labels)


def write_feedback(folder: Path, texts: list[str]) -> None:
    """Write feedback as the demo does."""
    classifier, store = EmotionClassifier.from_pretrained(), Store(folder)
    feedback = [
        ("I am so grateful to my neighbours for all their help", CORRECT, ["gratitude"]),
        ("I am so grateful to my neighbours for all their help!", AGREE, ["gratitude"]),
        ("What a strange film that was", DISAGREE, []),
        ("Thanks a million to the nurse who stayed with me", CORRECT, ["grief"]),
        (texts[0], CORRECT, ["joy"]),
    ]
    for text, verdict, labels in feedback:
        store.add(feedback_row(classifier, "default", text, verdict, labels))


def commands(folder: Path, splits: Path, tweets: Path, teacher: Path, url: str) -> list[list[str]]:
    """Return the commands of all stages, in order."""
    build = str(folder / "build")
    relabel = ["relabel", build, "--teacher", str(teacher), "--evaluate"]
    target = ["--target", str(TARGET)]
    return [
        ["goemotions", build, "--data", str(splits), "--any-size"],
        ["sentiment140", build, "--tweets", str(tweets)],
        ["feedback", build, "--rows", str(folder / "feedback")],
        relabel,
        ["verify", build, "--alignment", "intended"],
        ["balance", build, *target],
        ["generate", build, "--base-url", url, "--model", "recombines", "--samples", "400", "--for-shortfall"],
        relabel,
        ["verify", build, "--alignment", "intended", "--restart"],
        ["balance", build, *target, "--restart"],
        ["report", build, "--results", str(folder / "dataset.json"), "--document", str(folder / "dataset.md")],
        ["figures", build, "--out", str(folder / "figures")],
        ["publish", build, "demo/miniature", "--include-tweets", "--out", str(folder / "published")],
    ]


def recombine(prompt: str, count: int, rng: Random) -> list[str]:
    """Write texts by combining halves of the prompt's examples."""
    examples = [line[2:].split() for line in prompt.splitlines() if line.startswith("- ")]
    texts = []
    for _ in range(count):
        first, second = rng.sample(examples, 2)
        texts.append(" ".join([*first[: len(first) // 2 + 1], *second[len(second) // 2 :]]))
    return texts


if __name__ == "__main__":
    main()
