"""The comments in what a model wrote, without the wrappers that models and servers put around them."""

import json
import re
from itertools import islice
from typing import Any

import pydantic

REASONING_ENDS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "<|message|>")
"""What an answer comes after: reasoning that a server leaves in the content, or a channel's header."""
CANDIDATES = 20
"""Brackets at which JSON is looked for."""
BRACKET = re.compile(r"[{\[]")
MARKER = re.compile(r"(?:[-*•]|\d{1,3}[.)])\s*(?=\S)")
FENCE = "```"
QUOTES = (('"', '"'), ("\u201c", "\u201d"))


class Comments(pydantic.BaseModel):
    """What a chat model is to answer."""

    comments: list[str]


COMMENT_LIST = pydantic.TypeAdapter(list[str])


def without_reasoning(content: str) -> str:
    """What follows a model's reasoning; all of it where there is none."""
    for end in REASONING_ENDS:
        content = content.rpartition(end)[2]
    return content.strip()


def comments_in(content: str) -> tuple[str, ...] | None:
    """The comments of an answer in JSON, alone or within reasoning, a code fence or prose; None where there are none.

    Args:
        content: What the model wrote.

    Returns:
        The list under `comments`, or a list of strings where the model left out the object around it.
    """
    text = without_reasoning(content)
    end, broken = 0, False
    for match in islice(BRACKET.finditer(text), CANDIDATES):
        if match.start() < end:
            continue  # part of a value that was not it
        try:
            _, end = json.JSONDecoder().raw_decode(text, match.start())
        except (ValueError, RecursionError):
            broken |= match[0] == "{"
            continue
        value = text[match.start() : end]
        try:
            if match[0] == "{":
                return tuple(Comments.model_validate_json(value).comments)
            if not broken:
                return tuple(COMMENT_LIST.validate_json(value))
        except pydantic.ValidationError:
            continue
    return None


def listed_in(content: str) -> tuple[str, ...] | None:
    """The comments of an answer that lists them, a numbered or bulleted line each; None where it does not."""
    lines = [line.strip() for line in without_reasoning(content).splitlines()]
    marked = [_unquoted(MARKER.sub("", line, count=1)) for line in lines if MARKER.match(line)]
    return tuple(marked) if len(marked) > 1 else None


def lines_in(content: str) -> list[str]:
    """The lines of a completion without the markers of a list; a code fence is none of them."""
    stripped = (line.strip() for line in without_reasoning(content).split("\n"))
    found = (MARKER.sub("", line, count=1) if MARKER.match(line) else line for line in stripped)
    return [line for line in found if line and not line.startswith(FENCE)]


def _unquoted(line: str) -> str:
    quoted = any(len(line) > 1 and line[0] == first and line[-1] == last for first, last in QUOTES)
    return line[1:-1].strip() if quoted else line


def schema() -> dict[str, Any]:
    """The JSON schema of an answer."""
    return {**Comments.model_json_schema(), "additionalProperties": False}
