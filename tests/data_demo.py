"""The data build on a miniature: `make data-demo`. 300 rows, a teacher that learns them, an endpoint on loopback."""

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
    """Build the miniature in a folder, all stages in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder to write; what is there goes")
    place = parser.parse_args().out
    started = time.monotonic()
    shutil.rmtree(place, ignore_errors=True)
    with OpenAIServer() as server:
        server.write = recombine
        for command in commands(place, *prepare(place), server.url):
            print("$ python -m data_build", *command, flush=True)
            app(command, standalone_mode=False)
    found = json.loads((place / "dataset.json").read_text(encoding="utf-8"))
    print(f"{found['rows']} rows of {found['rows_by_source']}, ratio {found['ratio_after']}")
    print(f"done in {time.monotonic() - started:.0f} s: {place}/dataset.md, {place}/published")


def prepare(place: Path) -> tuple[Path, Path, Path]:
    """Write the official split, 8:1:1, the tweets, and a teacher that has learned the training split.

    Returns:
        Folder of the split, CSV file of the tweets, folder of the teacher.
    """
    split, taken = place / "goemotions", dict.fromkeys(LABELS, 0)
    split.mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    texts, labels = [], []
    for number, line in enumerate((MINIATURE / "emotions.txt").read_text(encoding="utf-8").splitlines()):
        label, text = line.split(": ", 1)
        taken[label] += 1
        part = {7: "validation", 8: "test"}.get(taken[label], "train")
        lines[part].append(f"{text}\t{LABELS.index(label)}\trow{number}\n")
        if part == "train":
            texts.append(text)
            labels.append(LABELS.index(label))
    for part, content in lines.items():
        (split / f"{part}.tsv").write_text("".join(content), encoding="utf-8")
    write_feedback(place / "feedback", texts)
    tweets = (MINIATURE / "tweets.txt").read_text(encoding="utf-8").splitlines()
    return split, write_tweets(place / "tweets.csv", tweets), train_teacher(place / "teacher", texts, labels)


def write_feedback(folder: Path, texts: list[str]) -> None:
    """What visitors of the demo said of its answers, kept by the demo's own code."""
    classifier, store = EmotionClassifier.from_pretrained(), Store(folder)
    said = [
        ("I am so grateful to my neighbours for all their help", CORRECT, ["gratitude"]),
        ("I am so grateful to my neighbours for all their help!", AGREE, ["gratitude"]),
        ("What a strange film that was", DISAGREE, []),
        ("Thanks a million to the nurse who stayed with me", CORRECT, ["grief"]),
        (texts[0], CORRECT, ["joy"]),
    ]
    for text, verdict, labels in said:
        store.add(feedback_row(classifier, "default", text, verdict, labels))


def commands(place: Path, split: Path, tweets: Path, teacher: Path, url: str) -> list[list[str]]:
    """The stages, in order."""
    build = str(place / "build")
    label = ["relabel", build, "--teacher", str(teacher), "--evaluate"]
    target = ["--target", str(TARGET)]
    return [
        ["goemotions", build, "--data", str(split), "--any-size"],
        ["sentiment140", build, "--tweets", str(tweets)],
        ["feedback", build, "--rows", str(place / "feedback")],
        label,
        ["verify", build, "--alignment", "intended"],
        ["balance", build, *target],
        ["generate", build, "--base-url", url, "--model", "recombines", "--samples", "400", "--for-shortfall"],
        label,
        ["verify", build, "--alignment", "intended", "--restart"],
        ["balance", build, *target, "--restart"],
        ["report", build, "--results", str(place / "dataset.json"), "--document", str(place / "dataset.md")],
        ["figures", build, "--out", str(place / "figures")],
        ["publish", build, "demo/miniature", "--include-tweets", "--out", str(place / "published")],
    ]


def recombine(prompt: str, count: int, draw: Random) -> list[str]:
    """What the endpoint's model writes: halves of the prompt's examples, joined anew."""
    shown = [line[2:].split() for line in prompt.splitlines() if line.startswith("- ")]
    found = []
    for _ in range(count):
        first, second = draw.sample(shown, 2)
        found.append(" ".join([*first[: len(first) // 2 + 1], *second[len(second) // 2 :]]))
    return found


if __name__ == "__main__":
    main()
