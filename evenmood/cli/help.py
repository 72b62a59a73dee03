"""Help of all commands: panels of options, and a command group with one-line usage errors."""

from typing import Any

from typer.core import TyperGroup

INPUT, OUTPUT, MODEL, TRAINING, ADVANCED = PANELS = ("Input", "Output", "Model", "Training", "Advanced")
"""Panels of options in `--help`, in order."""


class CommandGroup(TyperGroup):
    """Commands with rich panels in `--help` but plain usage errors: typer frames errors if the group is rich too."""

    def __init__(self, **settings: Any) -> None:
        """Create the group, and sort the options of its commands by panel."""
        super().__init__(**{**settings, "rich_markup_mode": None})
        for command in self.commands.values():
            command.params.sort(key=_panel)


def _panel(parameter: Any) -> int:
    panel = getattr(parameter, "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1
