"""User-facing errors, each provoked: `python -m tests.errors` writes docs/reference/errors.md from their messages."""

import contextlib
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.commands import run_command  # first: it points the Hub's client to a Hub on this machine
from tests.fakes.local_hub import HUB

import evenmood  # isort: skip
from evenmood import LABELS, EmotionClassifier  # isort: skip

DOCUMENT = Path(__file__).parent.parent / "docs/reference/errors.md"
PACKAGE = Path(evenmood.__file__).parent
MARK = "<!-- written by: python -m tests.errors -->\n"
USAGE, FAILURE = 2, 1
COMMANDS: dict[str, list[tuple[str, int]]] = {
    "evenmood": [
        ("evenmood predict nope.csv", USAGE),
        ("evenmood predict comments.csv --column comment", USAGE),
        ("evenmood predict comments.csv emotions.csv", USAGE),
        ("evenmood predict comments.csv comments.csv --overwrite", USAGE),
        ("evenmood predict comments.csv --labels happy", USAGE),
        ("evenmood predict comments.csv --strict", FAILURE),
        ("evenmood predict short.csv", FAILURE),
        ("evenmood predict scored.csv", USAGE),
        ("evenmood predict latin.csv --encoding utf-8", FAILURE),
        ("evenmood predict comments.csv --encoding klingon", USAGE),
        ("evenmood predict comments.csv --delimiter ab", USAGE),
        ("evenmood predict lines.jsonl", FAILURE),
        ("evenmood predict empty.csv", FAILURE),
        ("evenmood predict table.dat", USAGE),
        ("evenmood predict comments.csv emotions.txt", USAGE),
        ("evenmood predict comments.csv --ray-address 10.0.0.1:6379", USAGE),
        ("evenmood predict comments.csv out.csv --engine ray", USAGE),
        ("evenmood predict comments.csv --id id", USAGE),
        ("evenmood predict comments.csv --model nope/nope/nope", FAILURE),
        ("evenmood predict comments.csv --model you/nope", FAILURE),
        ("evenmood predict comments.csv --model folder", FAILURE),
        ("evenmood predict comments.csv --revision main", USAGE),
        ("evenmood predict comments.csv --treshold 0.5", USAGE),
        ("evenmood report comments.csv report.html --time date", USAGE),
        ("evenmood report comments.csv report.html --group product", USAGE),
        ("evenmood info fast --model accurate", USAGE),
        ("evenmood predit comments.csv", USAGE),
    ],
    "python -m train": [
        ("python -m train fit --data nope --vectors self --out models/mine", FAILURE),
        ("python -m train fit --data you/nope --vectors self --out models/mine", FAILURE),
        ("python -m train fit --data goemotions --vectors nope.vec --out models/mine", FAILURE),
        ("python -m train fit --data goemotions --vectors self --out folder", USAGE),
        ("python -m train fit --data goemotions --vectors self --out models/mine --max-length 31", USAGE),
        ("python -m train fit --data goemotions --vectors self --out models/mine --epochs 0", USAGE),
        ("python -m train fit --data goemotions --vectors self --out models/mine --soft-targets nope.parquet", FAILURE),
        ("python -m train evaluate nope", FAILURE),
        ("python -m train thresholds folder", FAILURE),
        ("python -m train push folder you/evenmood", FAILURE),
        ("python -m train label --texts goemotions --out soft.parquet", USAGE),
    ],
    "python -m data_build": [
        ("python -m data_build goemotions other --data nope", FAILURE),
        ("python -m data_build goemotions other --data goemotions", FAILURE),
        ("python -m data_build sentiment140 build --tweets nope.csv", FAILURE),
        ("python -m data_build written build --rows nope.parquet", FAILURE),
        ("python -m data_build relabel other", FAILURE),
        ("python -m data_build verify build", FAILURE),
        ("python -m data_build generate build --for-shortfall", FAILURE),
        ("python -m data_build generate build --rows nope.parquet", FAILURE),
        ("python -m data_build review build", FAILURE),
        ("python -m data_build resolve build", FAILURE),
        ("python -m data_build balance build --ratio 0.5", USAGE),
        ("python -m data_build report build --results nope.json", FAILURE),
        ("python -m data_build publish build even-emotions", FAILURE),
        ("python -m data_build hydrate you/nope --tweets nope.csv --out data/balanced", FAILURE),
    ],
    "python -m space.deploy": [
        ("python -m space.deploy evenmood-demo", FAILURE),
        ("python -m space.deploy you/evenmood-demo", FAILURE),
        ("python -m space.deploy you/evenmood-demo --model you/nope", FAILURE),
        ("python -m space.deploy you/evenmood-demo --out folder", USAGE),
    ],
}
"""By program, each command with its exit code."""
CALLS = [
    ('EmotionClassifier.from_pretrained("nope")', "ModelError"),
    ('EmotionClassifier.from_pretrained("you/nope")', "ModelError"),
    ('EmotionClassifier.from_pretrained("folder")', "ModelError"),
    ('EmotionClassifier.from_pretrained("fast", revision="main")', "UsageError"),
    ('EmotionClassifier.from_onnx("folder")', "ModelError"),
    ("classifier.set_thresholds(happy=0.3)", "UsageError"),
    ("classifier.set_thresholds(joy=1.5)", "UsageError"),
    ('classifier.thresholds = {"joy": 0.3}', "UsageError"),
    ('classifier.predict(["Thank you!", 7])', "TypeError"),
    ("classifier.predict(7)", "TypeError"),
    ('classifier.predict("Thank you!", thresholds=2)', "UsageError"),
    ('classifier.predict_stream("Thank you!")', "TypeError"),
    ('classifier.predict_frame(pandas.DataFrame({"comment": ["Hi"]}))', "UsageError"),
    ('classifier.predict_frame(["Hi"], labels=["happy"])', "UsageError"),
    ('classifier.leave_one_out("Thank you!", "happy")', "UsageError"),
    ('classifier.explain(["Thank you!"])', "TypeError"),
    ('classifier.tune_thresholds(["Hi"], [["happy"]])', "UsageError"),
    ('classifier.tune_thresholds(["Hi", "Oh"], [["joy"]])', "UsageError"),
    ('classifier.save_pretrained("folder")', "UsageError"),
    ('classifier.push_to_hub("you/evenmood")', "ModelError"),
]
"""Calls of the library, each with its exception; `classifier` is the default model."""


def main() -> None:
    """Write the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(document(text), encoding="utf-8", newline="\n")


def document(text: str) -> str:
    """The document with its tables written again."""
    before, mark, rest = text.partition(MARK)
    _, end, after = rest.partition("<!-- end -->")
    return before + mark + "\n".join(tables()) + "\n" + end + after


def tables() -> Iterator[str]:
    """A table for each program and one for the library, a line each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare(Path())
        for program, commands in COMMANDS.items():
            yield f"## `{program}`\n\n| command | exit code | message |\n|---|---|---|"
            for command, code in commands:
                yield _row(command, str(code), message_of(command, code))
            yield ""
        yield "## Python\n\n| call | exception | message |\n|---|---|---|"
        for call, kind in CALLS:
            yield _row(call, f"`{kind}`", raised(call, kind))


def prepare(folder: Path) -> None:
    """Write the files that the commands read."""
    files = {
        "comments.csv": "id,text\n1,Thank you!\n2,\n",
        "emotions.csv": "",
        "short.csv": "id,text\n1,Thank you!\n2\n",
        "scored.csv": "text,emotions\nThank you!,gratitude\n",
        "lines.jsonl": '{"text": "Thank you!"}\n{"text": \n',
        "empty.csv": "",
        "table.dat": "text\nThank you!\n",
        "folder/notes.txt": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "latin.csv").write_bytes("text\nCafé!\n".encode("cp1252"))
    (folder / "goemotions").mkdir()
    for split in ("train", "validation", "test"):
        lines = [f"a {label} text of {split}\t{number}\t{split}{number}\n" for number, label in enumerate(LABELS)]
        (folder / "goemotions" / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
    HUB.clear()
    result = run_command("data_build", "goemotions", folder / "build", "--data", folder / "goemotions", "--any-size")
    assert result.returncode == 0, result.stderr


def message_of(command: str, code: int) -> str:
    """The message of a command that fails."""
    words = shlex.split(command)
    result = run_command(*(words[2:] if words[0] == "python" else words))
    assert result.returncode == code, f"{command}: exit code {result.returncode}: {result.stderr}"
    (message,) = re.findall(r"^[Ee]rror: (.*)$", result.stderr, re.MULTILINE)
    return str(message)


def raised(call: str, kind: str) -> str:
    """The message of a call that fails."""
    import pandas

    values = {"EmotionClassifier": EmotionClassifier, "pandas": pandas}
    values["classifier"] = EmotionClassifier.from_pretrained()
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(call, values)
        except Exception as error:
            if type(error).__name__ == kind:
                return str(error)
            raise
    raise AssertionError(f"{call} raises nothing")


def _row(action: str, outcome: str, message: str) -> str:
    shown = re.sub(rf"{LABELS[0]}, {LABELS[1]}(, [a-z]+)*", f"{LABELS[0]}, {LABELS[1]}, …", " ".join(message.split()))
    for place, name in ((f"{Path.cwd()}/", ""), (f"{PACKAGE}/", "evenmood/"), (HUB.url, "https://huggingface.co")):
        shown = shown.replace(place, name)
    return f"| `{action}` | {outcome} | {_literal(shown)} |"


def _literal(text: str) -> str:
    return re.sub(r"([\\*_<>|\[\]`])", r"\\\1", text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("usage: python -m tests.errors")
    main()
