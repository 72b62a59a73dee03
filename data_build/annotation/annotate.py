"""The annotators' app: one text at a time, a key for every label, nobody sees what the others said."""

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
"""One for each label, in their order: no shift, and no label further than a hand."""
UNSURE, VOTE, UNDO = "z", "Enter", "Backspace"
SCRIPT = Path(__file__).with_suffix(".js")
DONE = "Nothing is left for you to read. Thank you."


def app(votes: Votes) -> gr.Blocks:
    """The page for one task; `launch` it with `auth=votes.lets_in`."""
    people = votes.people
    with gr.Blocks(title=f"evenmood: {votes.task}", analytics_enabled=False) as page:
        name = gr.State("")
        with gr.Tab("Read"), gr.Column(elem_classes="annotate"):
            progress = gr.Markdown()
            text = gr.Textbox(label="Text", interactive=False, lines=3)
            chosen = _labels()
            with gr.Row():
                cast = gr.Button(f"Vote ({VOTE})", variant="primary", elem_classes="vote")
                unsure = gr.Button(f"Unsure ({UNSURE})", elem_classes="unsure")
                undo = gr.Button(f"Undo ({UNDO})", elem_classes="undo")
            with gr.Accordion("What the machine said", open=False) as peek:
                machine = gr.Markdown()
        with gr.Tab("Adjudicate", visible=False) as bench, gr.Column(elem_classes="annotate"):
            tie = gr.State("")
            tied = gr.Textbox(label="Text", interactive=False, lines=3)
            counts = gr.Textbox(label="Votes", interactive=False)
            settled = _labels()
            with gr.Row():
                decide = gr.Button(f"Decide ({VOTE})", variant="primary", elem_classes="vote")
                discard = gr.Button("Throw the row out: no label fits")

        def show(item: Item | None, who: str) -> list[Any]:
            held = votes.progress(who)
            line = (
                f"**{who}**, {held['mine']:,} read; {held['voted']:,} of {held['rows']:,} rows have {ANNOTATORS} votes"
            )
            return [item.id if item else "", item.text if item else DONE, [], line, "", gr.Accordion(open=False)]

        def show_tie(who: str) -> list[Any]:
            item = votes.next_tie(who) if people().get(who) else None
            if item is None:
                return ["", "Nothing waits for your decision: nobody settles what they voted on.", "", []]
            given = sorted(((count, LABELS[label]) for label, count in enumerate(item.counts) if count), reverse=True)
            return [item.id, item.text, ", ".join(f"{label} {count}" for count, label in given) or "none", []]

        def open_bench(request: gr.Request) -> list[Any]:
            return show_tie(_who(request))

        def start(request: gr.Request) -> list[Any]:
            who = _who(request)
            return [*show(votes.next(who), who), gr.Tab(visible=bool(people().get(who)))]

        def submit(row: str, given: list[int], request: gr.Request, is_unsure: bool = False) -> list[Any]:
            who = _who(request)
            if row:
                with _shown():
                    try:
                        votes.vote(Vote(row, who, () if is_unsure else tuple(given), is_unsure, False))
                    except UsageError as error:
                        if given or is_unsure:  # somebody else was faster, say: on to the next row
                            gr.Warning(str(error))
                        else:
                            raise
            return show(votes.next(who), who)

        def pass_on(row: str, request: gr.Request) -> list[Any]:
            return submit(row, [], request, is_unsure=True)

        def back(request: gr.Request) -> list[Any]:
            who = _who(request)
            return show(votes.undo(who) or votes.next(who), who)

        def reveal(row: str, request: gr.Request) -> str:
            return ", ".join(LABELS[label] for label in votes.reveal(row, _who(request))) or "nothing"

        def settle(row: str, given: list[int], request: gr.Request) -> list[Any]:
            if row and not given:
                raise gr.Error("Choose a label, or throw the row out.", print_exception=False)
            return close(row, given, _who(request))

        def throw_out(row: str, request: gr.Request) -> list[Any]:
            return close(row, [], _who(request))

        def close(row: str, given: list[int], who: str) -> list[Any]:
            if row:
                with _shown():
                    votes.decide(row, who, given)
            return show_tie(who)

        shown = [name, text, chosen, progress, machine, peek]
        ties = [tie, tied, counts, settled]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        page.load(start, None, [*shown, bench], **private)
        cast.click(submit, [name, chosen], shown, **private)
        unsure.click(pass_on, name, shown, **private)
        undo.click(back, None, shown, **private)
        peek.expand(reveal, name, machine, **private)
        bench.select(open_bench, None, ties, **private)
        decide.click(settle, [tie, settled], ties, **private)
        discard.click(throw_out, tie, ties, **private)
        _endpoints(votes)
    return page


def launch(votes: Votes, host: str, port: int | None) -> None:
    """Open the app and stay until it is interrupted."""
    keys = {"labels": KEYS, "unsure": UNSURE, "vote": VOTE, "undo": UNDO}
    app(votes).launch(
        auth=votes.lets_in,
        auth_message=f"{votes.task}: your name and passphrase",
        head=f"<script>const keys = {json.dumps(keys)};\n{SCRIPT.read_text(encoding='utf-8')}</script>",
        server_name=host,
        server_port=port,
        run_history=False,
        footer_links=[],
    )


def _endpoints(votes: Votes) -> None:
    """The same for programs: /next, /vote and /undo, each for the person who is logged in."""

    def next_row(request: gr.Request) -> dict[str, Any]:
        return _public(votes.next(_who(request)))

    def cast_vote(row: str, labels: list[str], unsure: bool, request: gr.Request) -> dict[str, Any]:
        if unknown := [label for label in labels if label not in LABELS]:
            raise gr.Error(f"{', '.join(unknown)} is no label", print_exception=False)
        with _shown():
            votes.vote(Vote(row, _who(request), tuple(map(LABELS.index, labels)), unsure, saw_machine=False))
        return votes.progress(_who(request))

    def take_back(request: gr.Request) -> dict[str, Any]:
        return _public(votes.undo(_who(request)))

    gr.api(next_row, api_name="next")
    gr.api(cast_vote, api_name="vote")
    gr.api(take_back, api_name="undo")


def _labels() -> gr.CheckboxGroup:
    choices = [(f"{label} ({key})", number) for number, (label, key) in enumerate(zip(LABELS, KEYS, strict=True))]
    return gr.CheckboxGroup(choices, label="Labels: all that the text expresses", elem_classes="labels")


def _public(item: Item | None) -> dict[str, Any]:
    return {"id": item.id, "text": item.text} if item else {}


def _who(request: gr.Request) -> str:
    return str(request.username)


@contextmanager
def _shown() -> Iterator[None]:
    """Show our own errors to the person in front of the page."""
    try:
        yield
    except EvenmoodError as error:
        raise gr.Error(str(error), print_exception=False) from None
