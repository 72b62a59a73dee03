"""Cards for the Hub: Markdown from a template, with front matter that is checked as the Hub reads it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError
from evenmood.model.model_folder import figure_text, write_text

if TYPE_CHECKING:
    from huggingface_hub import DatasetCard, ModelCard

CARD_FILE = "README.md"


def render(template: Path, card: Path, /, **values: Any) -> None:
    """Fill a Jinja template and write the card: `rendered`."""
    write_text(card, rendered(template, **values))


def rendered(template: Path, /, **values: Any) -> str:
    """A filled Jinja template; a value that the template names and nobody gave is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own figures
    )
    environment.filters["interval"] = figure_text
    return environment.get_template(template.name).render(**values)


def check(path: Path, kind: "type[ModelCard] | type[DatasetCard]", required: Sequence[str], remedy: str) -> None:
    """Read a model's or data set's card as the Hub does.

    Raises:
        DataError: It cannot be read, or its front matter lacks a key; the message ends with the remedy.
    """
    import yaml

    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    front: dict[str, Any] = {}
    problem = "" if text.startswith("---\n") else "it does not begin with front matter"
    try:
        if not problem:
            front = kind(text).data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())[:200]
    if problem:
        raise DataError(f"{path}: not a card that the Hub reads ({problem}); {remedy}")
    absent = [key for key in required if not front.get(key)]
    if absent:
        raise DataError(f"{path}: the front matter lacks {', '.join(absent)}; {remedy}")
