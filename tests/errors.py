"""Trigger user-facing errors; `python -m tests.errors` writes their messages to docs/reference/errors.md."""

import contextlib
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.commands import run_command  # first, because it sets HF_ENDPOINT
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
"""Commands with their exit codes, by program."""
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
"""Calls of the library with their exceptions; `classifier` is the default model."""


def main() -> None:
    """Write the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(document(text), encoding="utf-8", newline="\n")


def document(text: str) -> str:
    """Return the document with updated tables."""
    before, mark, rest = text.partition(MARK)
    _, end, after = rest.partition("<!-- end -->")
    return before + mark + "\n".join(tables()) + "\n" + end + after


def tables() -> Iterator[str]:
    """Yield the lines of a table for each program and one for the library."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare(Path())
        for program, commands in COMMANDS.items():
            yield f"## `{program}`\n\n| command | exit code | message |\n|---|---|---|"
            for command, code in commands:
                yield _row(command, str(code), message_of_command(command, code))
            yield ""
        yield "## Python\n\n| call | exception | message |\n|---|---|---|"
        for call, exception in CALLS:
            yield _row(call, f"`{exception}`", message_of_call(call, exception))


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


def message_of_command(command: str, code: int) -> str:
    """Run a command that fails; return its error message."""
    arguments = shlex.split(command)
    result = run_command(*(arguments[2:] if arguments[0] == "python" else arguments))
    assert result.returncode == code, f"{command}: exit code {result.returncode}: {result.stderr}"
    (message,) = re.findall(r"^[Ee]rror: (.*)$", result.stderr, re.MULTILINE)
    return str(message)


def message_of_call(call: str, exception: str) -> str:
    """Evaluate a call that raises an exception; return its message."""
    import pandas

    namespace = {"EmotionClassifier": EmotionClassifier, "pandas": pandas}
    namespace["classifier"] = EmotionClassifier.from_pretrained()
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(call, namespace)
        except Exception as error:
            if type(error).__name__ == exception:
                return str(error)
            raise
    raise AssertionError(f"{call} raised no exception")


def _row(action: str, outcome: str, message: str) -> str:
    text = re.sub(rf"{LABELS[0]}, {LABELS[1]}(, [a-z]+)*", f"{LABELS[0]}, {LABELS[1]}, …", " ".join(message.split()))
    for path, name in ((f"{Path.cwd()}/", ""), (f"{PACKAGE}/", "evenmood/"), (HUB.url, "https://huggingface.co")):
        text = text.replace(path, name)
    return f"| `{action}` | {outcome} | {_literal(text)} |"


def _literal(text: str) -> str:
    return re.sub(r"([\\*_<>|\[\]`])", r"\\\1", text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("usage: python -m tests.errors")
    main()
