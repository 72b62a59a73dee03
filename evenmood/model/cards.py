"""Render model and data set cards for the Hub, and validate their front matter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError
from evenmood.model.model_folder import format_metric, write_text

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard, ModelCard

CARD_FILE = "README.md"


def render(template: Path, card: Path, /, **values: Any) -> None:
    """Render a Jinja template and write the card."""
    write_text(card, render_template(template, **values))


def render_template(template: Path, /, **values: Any) -> str:
    """Render a Jinja template; an undefined variable raises `jinja2.UndefinedError`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own metrics
    )
    environment.filters["interval"] = format_metric
    return environment.get_template(template.name).render(**values)


def check(path: Path, kind: "type[ModelCard] | type[DatasetCard]", required: Sequence[str], remedy: str) -> None:
    """Validate a model or data set card.

    Args:
        path: The card.
        kind: Card class of huggingface_hub.
        required: Required keys of the front matter.
        remedy: What to do about an invalid card, for the error message.

    Raises:
        DataError: The Hub cannot parse the card, or its front matter lacks a key.
    """
    import yaml

    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    front: dict[str, Any] = {}
    problem = "" if text.startswith("---\n") else "no front matter"
    try:
        if not problem:
            front = kind(text).data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())[:200]
    if problem:
        raise DataError(f"{path}: not a valid card for the Hub ({problem}); {remedy}")
    missing = [key for key in required if not front.get(key)]
    if missing:
        raise DataError(f"{path}: the front matter lacks {', '.join(missing)}; {remedy}")
