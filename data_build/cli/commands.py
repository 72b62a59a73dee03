"""Typer application, progress output and options shared by the data set commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evenmood.cli.help import ADVANCED, INPUT, CommandGroup

app = typer.Typer(
    cls=CommandGroup,
    help="Build, review and publish the data set.\n\nExample: python -m data_build goemotions data/build",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Build = Annotated[Path, typer.Argument(help="Build folder: each stage writes to its own subfolder")]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Discard the output of an earlier run", rich_help_panel=ADVANCED),
]
Limit = Annotated[
    int | None, typer.Option(help="Maximum number of rows to read; default: all", min=1, rich_help_panel=INPUT)
]
Seed = Annotated[int, typer.Option(help="Random seed", rich_help_panel=ADVANCED)]
TEACHER = "SamLowe/roberta-base-go_emotions"


def log(message: str) -> None:
    """Print a progress message to standard error."""
    print(message, file=sys.stderr, flush=True)
