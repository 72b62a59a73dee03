"""Visitors' feedback on predictions: stored only with consent, in a file that can be committed to a Hub data set."""

import json
import os
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evenmood import LABELS, EmotionClassifier
from evenmood.data.rows import text_hash
from evenmood.errors import UsageError
from evenmood.text.normalization import replace_surrogates
from space.components.predictions import analyze_text, check_text

REPO_VARIABLE = "EVENMOOD_FEEDBACK_REPO"
"""Variable with the id of the Hub data set; default on a Space with a token: the Space's id and `-feedback`."""
COMMIT_MINUTES = 10
AGREE, DISAGREE, CORRECT = "agree", "disagree", "correct"


class Store:
    """Append-only JSON Lines file of rows in the format of the data set build.

    Each process has its own file, so that processes never write to the same file.

    Args:
        folder: Folder of the file; created if missing.
        repo_id: Hub data set to which the folder is committed every ten minutes; created as private if missing.

    Raises:
        OSError: The folder is not writable.
    """

    def __init__(self, folder: Path, repo_id: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"feedback-{uuid.uuid4().hex}.jsonl"
        self.repo_id = repo_id
        self._scheduler: Any = None
        self._lock: Any = threading.Lock()
        self.path.touch()
        if repo_id:
            from huggingface_hub import CommitScheduler

            self._scheduler = CommitScheduler(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                path_in_repo="data",
                every=COMMIT_MINUTES,
                private=True,
            )
            self._lock = self._scheduler.lock

    def add(self, row: dict[str, Any]) -> None:
        """Append a row and flush it to disk.

        Raises:
            OSError: The file is not writable.
        """
        line = json.dumps(row, ensure_ascii=True) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def commit(self) -> None:
        """Commit the folder to the Hub now, if there is a repository."""
        if self._scheduler:
            self._scheduler.trigger().result()

    def close(self) -> None:
        """Stop the scheduled commits."""
        if self._scheduler:
            self._scheduler.stop()


def feedback_repository() -> str | None:
    """Return the Hub data set for feedback; None without a token, or without a variable or Space that names it."""
    if not os.environ.get("HF_TOKEN"):
        return None
    space = os.environ.get("SPACE_ID")
    return os.environ.get(REPO_VARIABLE) or (f"{space}-feedback" if space else None)


def feedback_row(
    classifier: EmotionClassifier, model: str, text: str, verdict: str, labels: Sequence[str]
) -> dict[str, Any]:
    """Return feedback as a row: the columns of `evenmood.data.rows.schema`, and prediction details in `feedback`.

    Args:
        classifier: The model that made the prediction.
        model: Name of the model.
        text: The text.
        verdict: `AGREE`: the model's labels are correct; `DISAGREE`: they are wrong; `CORRECT`: `labels` are correct.
        labels: Labels selected by the visitor.

    Raises:
        UsageError: A label is outside GoEmotions, or the text is too long.
    """
    text = replace_surrogates(check_text(text))
    prediction = analyze_text(classifier, text)
    labels = {AGREE: prediction["labels"], DISAGREE: []}.get(verdict, labels)
    unknown = [label for label in labels if label not in LABELS]
    if unknown:
        raise UsageError(f"unknown label {unknown[0]!r}; expected one of: {', '.join(LABELS)}")
    numbers = sorted(LABELS.index(label) for label in labels)
    return {
        "id": f"feedback:{uuid.uuid4().hex}",
        "text": text,
        "text_hash": text_hash(text),
        "labels": numbers,
        "source": "feedback",
        "scores": None,
        "generator": None,
        "prompt_id": None,
        "votes": None if verdict == DISAGREE else [int(number in numbers) for number in range(len(LABELS))],
        "reviewed": False,
        "reviewed_by": None,
        "resolution": None,
        "feedback": {
            "verdict": verdict,
            "model": model,
            "predicted": prediction["labels"],
            "probabilities": {label: round(value, 4) for label, value in prediction["probabilities"].items()},
            "day": datetime.now(UTC).date().isoformat(),
        },
    }
