"""Annotation app: one text at a time, with a keyboard shortcut per label; annotators do not see each other's votes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from data_build.annotation.majority import ANNOTATORS, Item, Vote
from data_build.annotation.votes import Votes
from evenmood import LABELS
from evenmood.errors import EvenmoodError, UsageError

KEYS = "1234567890qwertyuiopasdfghjk"
"""Keyboard shortcut of each label, in label order; none requires Shift."""
UNSURE, VOTE, UNDO = "z", "Enter", "Backspace"
SCRIPT = Path(__file__).with_suffix(".js")
NO_TEXTS = "All done: there are no more texts for you. Thank you!"
NO_TIES = "No rows to adjudicate. Rows you voted on are adjudicated by someone else."


def app(votes: Votes) -> gr.Blocks:
    """Create the page for one task; launch it with `auth=votes.authenticate`."""
    with gr.Blocks(title=f"evenmood: {votes.task}", analytics_enabled=False) as page:
        row_id = gr.State("")
        with gr.Tab("Annotate"), gr.Column(elem_classes="annotate"):
            progress = gr.Markdown()
            text = gr.Textbox(label="Text", interactive=False, lines=3)
            labels = _label_checkboxes()
            with gr.Row():
                vote = gr.Button(f"Vote ({VOTE})", variant="primary", elem_classes="vote")
                unsure = gr.Button(f"Unsure ({UNSURE})", elem_classes="unsure")
                undo = gr.Button(f"Undo ({UNDO})", elem_classes="undo")
            with gr.Accordion("Show the predicted labels", open=False) as prediction:
                predicted_labels = gr.Markdown()
        with gr.Tab("Adjudicate", visible=False) as adjudication, gr.Column(elem_classes="annotate"):
            tie_id = gr.State("")
            tie_text = gr.Textbox(label="Text", interactive=False, lines=3)
            counts = gr.Textbox(label="Votes", interactive=False)
            decision = _label_checkboxes()
            with gr.Row():
                decide = gr.Button(f"Decide ({VOTE})", variant="primary", elem_classes="vote")
                discard = gr.Button("Discard the row: no label fits")

        def show(item: Item | None, annotator: str) -> list[Any]:
            progress = votes.progress(annotator)
            status = (
                f"**{annotator}**: {progress['own_votes']:,} votes; "
                f"{progress['complete_rows']:,} of {progress['rows']:,} rows have all {ANNOTATORS} votes"
            )
            return [item.id if item else "", item.text if item else NO_TEXTS, [], status, "", gr.Accordion(open=False)]

        def show_tie(adjudicator: str) -> list[Any]:
            item = votes.next_tie(adjudicator) if votes.annotators().get(adjudicator) else None
            if item is None:
                return ["", NO_TIES, "", []]
            ranking = sorted(((count, LABELS[label]) for label, count in enumerate(item.counts) if count), reverse=True)
            return [item.id, item.text, ", ".join(f"{label} {count}" for count, label in ranking) or "none", []]

        def open_adjudication(request: gr.Request) -> list[Any]:
            return show_tie(_user(request))

        def start(request: gr.Request) -> list[Any]:
            annotator = _user(request)
            can_adjudicate = bool(votes.annotators().get(annotator))
            return [*show(votes.next(annotator), annotator), gr.Tab(visible=can_adjudicate)]

        def submit(row: str, labels: list[int], request: gr.Request, is_unsure: bool = False) -> list[Any]:
            annotator = _user(request)
            if row:
                with _page_errors():
                    try:
                        votes.vote(Vote(row, annotator, () if is_unsure else tuple(labels), is_unsure, False))
                    except UsageError as error:
                        if labels or is_unsure:  # for example, another annotator cast the fifth vote: show the next row
                            gr.Warning(str(error))
                        else:
                            raise
            return show(votes.next(annotator), annotator)

        def submit_unsure(row: str, request: gr.Request) -> list[Any]:
            return submit(row, [], request, is_unsure=True)

        def undo_vote(request: gr.Request) -> list[Any]:
            annotator = _user(request)
            return show(votes.undo(annotator) or votes.next(annotator), annotator)

        def reveal(row: str, request: gr.Request) -> str:
            return ", ".join(LABELS[label] for label in votes.reveal(row, _user(request))) or "none"

        def settle(row: str, labels: list[int], request: gr.Request) -> list[Any]:
            if row and not labels:
                raise gr.Error("No label is selected. Select at least one, or discard the row.", print_exception=False)
            return save_decision(row, labels, _user(request))

        def discard_row(row: str, request: gr.Request) -> list[Any]:
            return save_decision(row, [], _user(request))

        def save_decision(row: str, labels: list[int], adjudicator: str) -> list[Any]:
            if row:
                with _page_errors():
                    votes.decide(row, adjudicator, labels)
            return show_tie(adjudicator)

        item_outputs = [row_id, text, labels, progress, predicted_labels, prediction]
        tie_outputs = [tie_id, tie_text, counts, decision]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        page.load(start, None, [*item_outputs, adjudication], **private)
        vote.click(submit, [row_id, labels], item_outputs, **private)
        unsure.click(submit_unsure, row_id, item_outputs, **private)
        undo.click(undo_vote, None, item_outputs, **private)
        prediction.expand(reveal, row_id, predicted_labels, **private)
        adjudication.select(open_adjudication, None, tie_outputs, **private)
        decide.click(settle, [tie_id, decision], tie_outputs, **private)
        discard.click(discard_row, tie_id, tie_outputs, **private)
        _endpoints(votes)
    return page


def launch(votes: Votes, host: str, port: int | None) -> None:
    """Serve the app until interrupted."""
    keys = {"labels": KEYS, "unsure": UNSURE, "vote": VOTE, "undo": UNDO}
    app(votes).launch(
        auth=votes.authenticate,
        auth_message=f"Log in to the {votes.task} with your name and passphrase",
        head=f"<script>const keys = {json.dumps(keys)};\n{SCRIPT.read_text(encoding='utf-8')}</script>",
        server_name=host,
        server_port=port,
        run_history=False,
        footer_links=[],
    )


def _endpoints(votes: Votes) -> None:
    """Add the API endpoints /next, /vote and /undo, for the logged-in annotator."""

    def next_row(request: gr.Request) -> dict[str, Any]:
        return _public(votes.next(_user(request)))

    def cast_vote(row: str, labels: list[str], unsure: bool, request: gr.Request) -> dict[str, Any]:
        if unknown := [label for label in labels if label not in LABELS]:
            raise gr.Error(
                f"unknown label {', '.join(unknown)}; expected one of: {', '.join(LABELS)}", print_exception=False
            )
        with _page_errors():
            votes.vote(Vote(row, _user(request), tuple(map(LABELS.index, labels)), unsure, saw_predictions=False))
        return votes.progress(_user(request))

    def undo_vote(request: gr.Request) -> dict[str, Any]:
        return _public(votes.undo(_user(request)))

    gr.api(next_row, api_name="next")
    gr.api(cast_vote, api_name="vote")
    gr.api(undo_vote, api_name="undo")


def _label_checkboxes() -> gr.CheckboxGroup:
    choices = [(f"{label} ({key})", number) for number, (label, key) in enumerate(zip(LABELS, KEYS, strict=True))]
    return gr.CheckboxGroup(choices, label="Labels: select all that the text expresses", elem_classes="labels")


def _public(item: Item | None) -> dict[str, Any]:
    return {"id": item.id, "text": item.text} if item else {}


def _user(request: gr.Request) -> str:
    return str(request.username)


@contextmanager
def _page_errors() -> Iterator[None]:
    """Convert `EvenmoodError` into an error message on the page."""
    try:
        yield
    except EvenmoodError as error:
        raise gr.Error(str(error), print_exception=False) from None
