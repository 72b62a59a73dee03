"""Help of all commands: panels of options, and a group whose usage errors stay on one line."""

from typing import Any

from typer.core import TyperGroup

INPUT, OUTPUT, MODEL, TRAINING, ADVANCED = "Input", "Output", "Model", "Training", "Advanced"
"""Panels of options in `--help`."""


class CommandGroup(TyperGroup):
    """Commands with rich panels in `--help` but plain usage errors: typer frames errors if the group is rich too."""

    def __init__(self, **settings: Any) -> None:
        """Create the group; each command keeps the markup mode of the application."""
        super().__init__(**{**settings, "rich_markup_mode": None})
