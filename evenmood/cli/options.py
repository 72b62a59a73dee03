"""Options, model loading and progress bar shared by the `evenmood` commands."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenmood.cli.help import ADVANCED, INPUT, MODEL, OUTPUT
from evenmood.errors import UsageError

if TYPE_CHECKING:
    from evenmood.classifier import EmotionClassifier

InputFormat = Literal["csv", "tsv", "jsonl", "parquet", "xlsx", "txt"]
Model = Annotated[
    str | None, typer.Option(help="fast, accurate, a folder or a Hub id; default: fast", rich_help_panel=MODEL)
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repository", rich_help_panel=MODEL)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON", rich_help_panel=OUTPUT)]
Column = Annotated[str, typer.Option(help="Column with the texts", rich_help_panel=INPUT)]
InputKind = Annotated[
    InputFormat | None, typer.Option(help="Format of IN; default: from its file name", rich_help_panel=INPUT)
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Skip invalid rows and print their number", rich_help_panel=ADVANCED)
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of IN: utf-8, utf-16, windows-1252, …; default: detected", rich_help_panel=INPUT),
]
Delimiter = Annotated[
    str | None,
    typer.Option(help="Delimiter of a CSV file: ';', tab, …; default: detected", rich_help_panel=INPUT),
]
Sheet = Annotated[
    str | None, typer.Option(help="Sheet of an Excel workbook; default: the first", rich_help_panel=INPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Hide the progress bar", rich_help_panel=ADVANCED)]


def load(model: str | None, revision: str | None) -> "EmotionClassifier":
    """Load the classifier given by the options."""
    from evenmood.classifier import EmotionClassifier

    return EmotionClassifier.from_pretrained(model, revision=revision)


class MessageCounter:
    """Counts messages and keeps the first one."""

    def __init__(self) -> None:
        """Start with zero messages."""
        self.count, self.first = 0, ""

    def add(self, message: str) -> None:
        """Count a message."""
        self.count, self.first = self.count + 1, self.first or message


def check_kinds(*options: tuple[str, str | None, str, tuple[str, ...]]) -> None:
    """Raise `UsageError` for options that the format does not support: flag, value, format, supported formats."""
    for flag, value, kind, kinds in options:
        if value is not None and kind not in kinds:
            raise UsageError(f"{flag} requires the format {' or '.join(kinds)}, not {kind}")


def check_stdout() -> None:
    """Raise `UsageError` if standard output is closed."""
    if sys.__stdout__ is None:
        raise UsageError("standard output is closed; there is nowhere to print to")


def progress_bar(stack: ExitStack, quiet: bool) -> Any:
    """Create a progress bar on a terminal; return a function to call with the rows and the share of the input read."""
    if quiet or not sys.stderr.isatty():
        return lambda count, share_read: None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    rows = TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s")
    columns = [rows, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
    task = progress.add_task("", total=None, rows=0, rate=0.0)

    def advance(count: int, share_read: float | None) -> None:
        rate = count / max(progress.tasks[0].elapsed or 0, 1e-3)
        progress.update(task, rows=count, rate=rate, completed=share_read or 0, total=None if share_read is None else 1)

    return advance
