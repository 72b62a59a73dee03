"""Extract comments from model output: strip reasoning, code fences, prose and list markers."""

import json
import re
from itertools import islice
from typing import Any

import pydantic

REASONING_ENDS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "<|message|>")
"""Markers that precede the final output: the end of reasoning that some servers include, or a channel header."""
MAX_BRACKETS = 20
"""Maximum number of brackets from which to try to parse JSON."""
BRACKET = re.compile(r"[{\[]")
MARKER = re.compile(r"(?:[-*•]|\d{1,3}[.)])\s*(?=\S)")
FENCE = "```"
QUOTES = (('"', '"'), ("\u201c", "\u201d"))


class Comments(pydantic.BaseModel):
    """Schema of the JSON that the model returns."""

    comments: list[str]


COMMENT_LIST = pydantic.TypeAdapter(list[str])


def strip_reasoning(content: str) -> str:
    """Remove a model's reasoning from its output."""
    for end in REASONING_ENDS:
        content = content.rpartition(end)[2]
    return content.strip()


def parse_json(content: str) -> tuple[str, ...] | None:
    """Extract comments from JSON, ignoring reasoning, code fences and prose around it.

    Args:
        content: Output of the model.

    Returns:
        The list in the field `comments`, or a top-level list of strings; None if there is neither.
    """
    text = strip_reasoning(content)
    end, has_broken_object = 0, False
    for match in islice(BRACKET.finditer(text), MAX_BRACKETS):
        if match.start() < end:
            continue  # inside a value that was rejected
        try:
            _, end = json.JSONDecoder().raw_decode(text, match.start())
        except (ValueError, RecursionError):
            has_broken_object |= match[0] == "{"
            continue
        value = text[match.start() : end]
        try:
            if match[0] == "{":
                return tuple(Comments.model_validate_json(value).comments)
            if not has_broken_object:
                return tuple(COMMENT_LIST.validate_json(value))
        except pydantic.ValidationError:
            continue
    return None


def parse_list(content: str) -> tuple[str, ...] | None:
    """Extract comments from a numbered or bulleted list; None if it has fewer than two items."""
    lines = [line.strip() for line in strip_reasoning(content).splitlines()]
    items = [_unquote(MARKER.sub("", line, count=1)) for line in lines if MARKER.match(line)]
    return tuple(items) if len(items) > 1 else None


def parse_lines(content: str) -> list[str]:
    """Return the non-empty lines of a completion, without list markers and code fences."""
    stripped = (line.strip() for line in strip_reasoning(content).split("\n"))
    unmarked = (MARKER.sub("", line, count=1) if MARKER.match(line) else line for line in stripped)
    return [line for line in unmarked if line and not line.startswith(FENCE)]


def _unquote(line: str) -> str:
    is_quoted = any(len(line) > 1 and line[0] == first and line[-1] == last for first, last in QUOTES)
    return line[1:-1].strip() if is_quoted else line


def response_schema() -> dict[str, Any]:
    """Return the schema of the JSON that the model returns."""
    return {**Comments.model_json_schema(), "additionalProperties": False}
