"""Texts of the page in three languages, from `locales/*.json`: translated by the browser, or on the server."""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

LANGUAGES = ("en", "es", "zh")
"""Supported languages; the first one is the default."""
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
"""Translations in the browser; the prefix of the keys avoids conflicts with Gradio's own, such as `file`."""


def localize(key: str) -> Any:
    """Return the text of a component, translated by the browser."""
    return I18N(f"evenmood_{key}")


def localize_html(key: str, by_language: dict[str, str]) -> Any:
    """Return the HTML of a component, which the browser selects by its language.

    Args:
        key: Key of the translation.
        by_language: HTML in each of `LANGUAGES`.
    """
    for language, html in by_language.items():
        I18N.translations[language][f"evenmood_{key}"] = html
    return localize(key)


def language_of(request: gr.Request | None) -> str:
    """Return the language of the page, from the Accept-Language header."""
    header = str(request.headers.get("accept-language", "") if request else "")
    code = header.lower().split(",")[0].split(";")[0].strip().split("-")[0]  # only the first one, as in the browser
    return code if code in LANGUAGES else LANGUAGES[0]


def translate(language: str, key: str, **values: Any) -> str:
    """Return a text in a language with its placeholders filled, not escaped."""
    text: str = TEXTS[language][key]
    return text.format(**values) if values else text


def translate_html(language: str, key: str, **values: Any) -> str:
    """Return a text in a language with its placeholders filled, escaped for HTML."""
    escaped = {name: escape(str(value)) for name, value in values.items()}
    return escape(TEXTS[language][key], quote=False).format(**escaped)


def label_name(language: str, label: str) -> str:
    """Return the name of a label in a language; labels outside GoEmotions are not translated."""
    name: str = TEXTS[language]["names"].get(label, label)
    return name


def join_names(language: str, names: list[str]) -> str:
    """Join names to a list: `a, b and c`."""
    *first, last = names
    return f"{translate(language, 'comma').join(first)}{translate(language, 'and')}{last}" if first else last


def label_choices(labels: Iterable[str], language: str | None = None) -> list[tuple[Any, str]]:
    """Return the choices of a dropdown: names and labels.

    Args:
        labels: The labels.
        language: Language of the names; by default, the browser translates them. Responses of event handlers need
            a language, since Gradio's HTTP API cannot send translations.
    """
    translated = TEXTS[LANGUAGES[0]]["names"]

    def name(label: str) -> Any:
        if language:
            return label_name(language, label)
        return localize(f"label_{label}") if label in translated else label

    return [(name(label), label) for label in labels]
