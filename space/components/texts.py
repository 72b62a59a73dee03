"""Texts of the page, in each of its languages: `locales/*.json`, for components through gr.I18n, for answers here."""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

LANGUAGES = ("en", "es", "zh")
"""The first one is shown where a visitor's browser asks for none of them."""
TEXTS: dict[str, Any] = {
    language: json.loads((Path(__file__).parents[1] / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    for language in LANGUAGES
}
I18N = gr.I18n(
    **{
        language: {f"evenmood_{key}": text for key, text in texts.items() if key != "names"}
        | {f"evenmood_label_{label}": name for label, name in texts["names"].items()}
        for language, texts in TEXTS.items()
    }
)
"""The same for the browser, which chooses the language; keys have a prefix, for Gradio has `file` and `label` too."""


def shown(key: str) -> Any:
    """A text for a component, in the browser's language."""
    return I18N(f"evenmood_{key}")


def shown_html(key: str, by_language: dict[str, str]) -> Any:
    """HTML for a component, in the browser's language, that comes with the page itself.

    Args:
        key: Its name.
        by_language: The HTML in each of `LANGUAGES`.
    """
    for language, html in by_language.items():
        I18N.translations[language][f"evenmood_{key}"] = html
    return shown(key)


def language_of(request: gr.Request | None) -> str:
    """The language that a visitor's browser prefers among ours, by its Accept-Language header."""
    header = str(request.headers.get("accept-language", "") if request else "")
    code = header.lower().split(",")[0].split(";")[0].strip().split("-")[0]  # the first, which components go by too
    return code if code in LANGUAGES else LANGUAGES[0]


def say(language: str, key: str, **values: Any) -> str:
    """A text with its places filled: as plain text, unescaped."""
    text: str = TEXTS[language][key]
    return text.format(**values) if values else text


def say_html(language: str, key: str, **values: Any) -> str:
    """The same for HTML: text and values are escaped."""
    given = {name: escape(str(value)) for name, value in values.items()}
    return escape(TEXTS[language][key], quote=False).format(**given)


def label_name(language: str, label: str) -> str:
    """A label's name in a language; a label that is none of GoEmotions' keeps its own."""
    name: str = TEXTS[language]["names"].get(label, label)
    return name


def listed(language: str, names: list[str]) -> str:
    """Names as a list in words: `a, b and c`."""
    *first, last = names
    return f"{say(language, 'comma').join(first)}{say(language, 'and')}{last}" if first else last


def label_choices(labels: Iterable[str], language: str | None = None) -> list[tuple[Any, str]]:
    """Choices of a dropdown: the labels by their names, in the browser's language where none is given.

    An answer has to give one: Gradio's plain HTTP interface cannot send what the browser would translate.
    """
    known = TEXTS[LANGUAGES[0]]["names"]

    def name(label: str) -> Any:
        if language:
            return label_name(language, label)
        return shown(f"label_{label}") if label in known else label

    return [(name(label), label) for label in labels]
