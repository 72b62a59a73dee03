"""The typer application of `python -m train`, progress messages, and flags generated from `TrainConfig`."""

import inspect
import re
import sys
from dataclasses import fields
from typing import Annotated, Any, get_origin

import typer

from evenmood.cli.help import ADVANCED, INPUT, MODEL, OUTPUT, TRAINING, CommandGroup
from train.config import TrainConfig

app = typer.Typer(
    cls=CommandGroup,
    help="Train, evaluate, compare, bundle and push emotion classifiers.\n\n"
    "Example: python -m train fit --vectors self --out models/mine",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
PANELS = {
    INPUT: (
        *("data", "vectors", "corpus", "soft_targets", "label_share", "repeats", "extra", "extra_repeats"),
        "extra_label_share",
    ),
    MODEL: (
        *("vocabulary", "max_length", "min_frequency", "max_words", "word_pieces", "misspellings", "symbols"),
        *("embedding_size", "filters", "kernel_size", "lstm_units", "pooling", "dense_units", "embedding_bits"),
    ),
    ADVANCED: ("beta_1", "beta_2", "epsilon", "precision", "distribute"),
}
"""Panel of each field of `TrainConfig` in `--help`; all others are in the panel Training."""
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing output", rich_help_panel=OUTPUT, show_default=False)
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Discard an unfinished run", rich_help_panel=ADVANCED, show_default=False),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", help="Download large files without confirmation", rich_help_panel=ADVANCED, show_default=False
    ),
]
Seed = Annotated[int, typer.Option(help="Random seed", rich_help_panel=TRAINING)]


def log(message: str) -> None:
    """Print a progress message to standard error."""
    print(message, file=sys.stderr, flush=True)


def config_flags(command: Any, without: tuple[str, ...] = ()) -> Any:
    """Add an option to a command for each field of `TrainConfig`, with its default and its help from the docstring.

    Args:
        command: The command; it receives the options as `config`.
        without: Fields that the command sets itself.
    """
    helps = dict(re.findall(r"^ {4,8}(\w+): (.+)$", inspect.cleandoc(TrainConfig.__doc__ or ""), re.MULTILINE))
    parameters = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    panels = {name: panel for panel, names in PANELS.items() for name in names}
    flags, own_fields = [], [field for field in fields(TrainConfig) if field.name not in without]
    for field in own_fields:
        kind = list[str] if get_origin(field.type) is tuple else field.type
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        names = [f"--{field.name.replace('_', '-')}"]
        if kind is bool:
            names = [f"{names[0]}/--no-{names[0][2:]}"]
        panel = panels.get(field.name, TRAINING)
        option = Annotated[kind, typer.Option(*names, help=helps[field.name], rich_help_panel=panel)]  # type: ignore[valid-type]
        flags.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option))

    def with_flags(**options: Any) -> None:
        values = {field.name: options.pop(field.name) for field in own_fields}
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        command(**options, config=TrainConfig(**values))

    with_flags.__name__, with_flags.__doc__ = command.__name__, command.__doc__
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.name != "config"] + flags
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags
