"""Generate the command reference of the site from the commands' help."""

import html
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

PROGRAMS = {
    "evenmood": ("evenmood", "evenmood.cli.commands"),
    "python -m train": ("train", "train.__main__"),
    "python -m data_build": ("data-build", "data_build.__main__"),
    "python -m space.deploy": ("space-deploy", "space.deploy"),
}
"""Page and module of each program; the module defines its `app`."""
EXAMPLE = "Example: "
"""Prefix of an example in a help text."""


def pages() -> dict[str, str]:
    """Generate the pages: Markdown by file name."""
    return {f"{page}.md": "\n".join(_program(name, module)) for name, (page, module) in PROGRAMS.items()}


def _program(name: str, module: str) -> Iterator[str]:
    command: Any = typer.main.get_command(import_module(module).app)
    yield f"# `{name}`\n"
    yield "Generated from the command's `--help`.\n"
    commands = getattr(command, "commands", None)
    if not commands:
        yield from _command(name, command)
        return
    yield from _help(command.help)
    for subcommand_name, subcommand in commands.items():
        if not subcommand.hidden:
            yield f"## {subcommand_name}\n"
            yield from _command(f"{name} {subcommand_name}", subcommand)


def _command(name: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    yield from _help(command.help)
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and "--help" not in parameter.opts:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(record)
    for panel, records in panels.items():
        yield f"| {panel} | |\n|---|---|"
        for option, text in records:
            yield f"| `{option}` | {_text(text)} |"
        yield ""


def _help(text: str | None) -> Iterator[str]:
    for paragraph in (text or "").split("\n\n"):
        words = " ".join(paragraph.split())
        if words.startswith(EXAMPLE):
            yield f"```bash\n{words.removeprefix(EXAMPLE)}\n```\n"
        else:
            yield f"{_text(paragraph)}\n"


def _text(text: str | None) -> str:
    """Convert help to Markdown: keep code in backticks, and escape everything else."""
    parts = re.split(r"(`[^`]+`)", text or "")
    return "".join(part if part.startswith("`") else _literal(part) for part in parts)


def _literal(text: str) -> str:
    return re.sub(r"([*_|\[\]])", r"\\\1", html.escape(text, quote=False))
