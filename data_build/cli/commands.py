"""What the commands of the data build share: the application, progress output, and common options."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Build and publish the data set: `python -m data_build STAGE --help`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Build = Annotated[Path, typer.Argument(help="Build folder; every stage has a folder of its own in it.")]
Restart = Annotated[bool, typer.Option("--restart", help="Forget what an earlier run of this stage wrote.")]
Limit = Annotated[int | None, typer.Option(help="Rows to take; all of them if left out.", min=1)]
TEACHER = "SamLowe/roberta-base-go_emotions"
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
