"""What the commands have in common: the application, lines of progress, and flags made from `TrainConfig`."""

import inspect
import re
import sys
from dataclasses import fields
from typing import Annotated, Any, get_origin

import typer

from train.config import TrainConfig

app = typer.Typer(
    help="Train, evaluate, compare, bundle and push: `python -m train fit --help`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def config_flags(command: Any, without: tuple[str, ...] = ()) -> Any:
    """Give a command one flag for each field of `TrainConfig`, with its default and its help from the docstring.

    Args:
        command: The command; it gets the options as `config`.
        without: Fields that the command sets itself.
    """
    helps = dict(re.findall(r"^ {4,8}(\w+): (.+)$", inspect.cleandoc(TrainConfig.__doc__ or ""), re.MULTILINE))
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    flags, offered = [], [field for field in fields(TrainConfig) if field.name not in without]
    for field in offered:
        kind = list[str] if get_origin(field.type) is tuple else field.type
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        names = [f"--{field.name.replace('_', '-')}"]
        if kind is bool:
            names = [f"{names[0]}/--no-{names[0][2:]}"]
        option = Annotated[kind, typer.Option(*names, help=helps[field.name])]  # type: ignore[valid-type]
        flags.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option))

    def with_flags(**options: Any) -> None:
        chosen = {field.name: options.pop(field.name) for field in offered}
        chosen |= {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
        command(**options, config=TrainConfig(**chosen))

    with_flags.__name__, with_flags.__doc__ = command.__name__, command.__doc__
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in own if p.name != "config"] + flags
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags
