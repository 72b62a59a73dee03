"""Visitors' feedback on answers: stored with consent only, appended to a file, committed to a Hub data set."""

import json
import os
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr

from evenmood import LABELS, EmotionClassifier
from evenmood.data.rows import text_hash
from evenmood.errors import EvenmoodError, UsageError
from evenmood.text.normalization import encodable
from space.components.answers import answer, check_text
from space.components.errors import check_length, page_error
from space.components.labels import note
from space.components.texts import label_choices, language_of, shown
from space.server.models import Models

REPO_VARIABLE = "EVENMOOD_FEEDBACK_REPO"
"""Names the Hub data set; a Space that has a token and no such variable takes its own name and `-feedback`."""
EVERY_MINUTES = 10
AGREE, DISAGREE, CORRECT = "agree", "disagree", "correct"


class Store:
    """An append-only file of rows in the data build's format, a JSON object a line.

    Each process has a file of its own, so that a restart, or a second process, never writes into another's.

    Args:
        folder: Where the file goes; created if there is none.
        repo_id: Data set on the Hub to which the folder is committed every ten minutes; private if it is created.

    Raises:
        OSError: The folder cannot be written to.
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
                every=EVERY_MINUTES,
                private=True,
            )
            self._lock = self._scheduler.lock

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; it is on the disk when this returns.

        Raises:
            OSError: It cannot be written.
        """
        line = json.dumps(row, ensure_ascii=True) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def commit(self) -> None:
        """Send what is there to the Hub now; nothing where there is no repository."""
        if self._scheduler:
            self._scheduler.trigger().result()

    def close(self) -> None:
        """Send nothing more."""
        if self._scheduler:
            self._scheduler.stop()


def repository() -> str | None:
    """The data set that feedback goes to: only where a token is there, and the place is named or is a Space's."""
    if not os.environ.get("HF_TOKEN"):
        return None
    space = os.environ.get("SPACE_ID")
    return os.environ.get(REPO_VARIABLE) or (f"{space}-feedback" if space else None)


def row_of(classifier: EmotionClassifier, model: str, text: str, verdict: str, labels: Sequence[str]) -> dict[str, Any]:
    """A visitor's word as a row: the columns of `evenmood.data.rows.schema`, and under `feedback` what it was said of.

    Args:
        classifier: The model that answered.
        model: Its name.
        text: The text.
        verdict: `AGREE`: the labels are the model's. `DISAGREE`: there are none. `CORRECT`: they are `labels`.
        labels: What the visitor chose.

    Raises:
        UsageError: A label that is none of GoEmotions', or a text that is too long.
    """
    text = encodable(check_text(text))
    found = answer(classifier, text)
    labels = {AGREE: found["labels"], DISAGREE: []}.get(verdict, labels)
    unknown = [label for label in labels if label not in LABELS]
    if unknown:
        raise UsageError(f"no label {unknown[0]!r}")
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
            "predicted": found["labels"],
            "probabilities": {label: round(value, 4) for label, value in found["probabilities"].items()},
            "day": datetime.now(UTC).date().isoformat(),
        },
    }


def panel(models: Models, store: Store | None, text: gr.Textbox, asked: gr.State) -> None:
    """Draw the questions under an answer and connect them; `asked` holds the text and the model that answered."""
    with gr.Accordion(shown("feedback"), open=False, elem_id="feedback"):
        if store is None:
            gr.Markdown(shown("feedback_off"))
            return
        gr.Markdown(shown("feedback_note"))
        consent = gr.Checkbox(label=shown("consent"), elem_id="consent")
        with gr.Row():
            right = gr.Button(shown("feedback_agree"))
            wrong = gr.Button(shown("feedback_disagree"))
        with gr.Row(equal_height=True):
            labels = gr.Dropdown(
                label_choices(LABELS), value=[], multiselect=True, label=shown("feedback_labels"), scale=3
            )
            send = gr.Button(shown("feedback_correct"))
        message = gr.HTML(elem_id="feedback-message")

    def give(verdict: str, agreed: bool, given: str, asked: list[str], chosen: Any, request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        if agreed is not True:  # no word, no number, nothing that only looks like a yes
            return [note(language, "feedback_no_consent"), gr.skip(), gr.skip()]
        if not given.strip() or given != asked[0]:  # nobody has seen an answer to this
            return [note(language, "feedback_no_text"), gr.skip(), gr.skip()]
        if verdict == CORRECT and not chosen:
            return [note(language, "feedback_no_labels"), gr.skip(), gr.skip()]
        try:
            store.add(row_of(models.get(asked[1]), models.title(asked[1]), given, verdict, chosen))
        except EvenmoodError as error:
            raise page_error(str(error)) from None
        except OSError:
            return [note(language, "feedback_failed"), gr.skip(), gr.skip()]
        # Consent is for one text: the next one is asked for anew.
        return [note(language, "feedback_thanks"), False, []]

    def handler(verdict: str) -> Any:
        def give_verdict(agreed: bool, given: str, asked: list[str], chosen: Any, request: gr.Request) -> list[Any]:
            return give(verdict, agreed, given, asked, chosen, request)

        return give_verdict

    for button, verdict in ((right, AGREE), (wrong, DISAGREE), (send, CORRECT)):
        button.click(
            handler(verdict),
            [consent, text, asked, labels],
            [message, consent, labels],
            api_visibility="private",
            show_progress="hidden",
        )
