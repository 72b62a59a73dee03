"""Row schema of the data build, shared by all stages."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from evenmood.text.normalization import clean, replace_surrogates
from evenmood.text.symbols import SYMBOL

if TYPE_CHECKING:
    import pyarrow

SOURCES = ("goemotions", "feedback", "written", "sentiment140", "generated")
"""Sources of rows, most trusted labels first: human annotators, visitors' corrections confirmed by the teacher, a large
language model, the teacher, a small language model."""
HASH_BYTES = 8
"""Size of a text hash; the probability of any collision among 1.6 million texts is 7e-8."""


def text_hash(text: str) -> str:
    """Hash the cleaned text (or, if it is empty, the text without whitespace) to 16 hexadecimal digits."""
    content = clean(text) or replace_surrogates("".join(text.split()))
    return blake2b(content.encode(), digest_size=HASH_BYTES).hexdigest()


def symbol_hash(text: str) -> str:
    """Hash the cleaned text and its emoji to 16 hexadecimal digits, for models that read emoji (`symbols`)."""
    content = "\0".join([clean(text), *SYMBOL.findall(replace_surrogates(text))])
    return blake2b(content.encode(), digest_size=HASH_BYTES).hexdigest()


def schema() -> "pyarrow.Schema":
    """Return the Arrow schema of a row, as stored in Parquet.

    | column | content |
    |---|---|
    | id | `SOURCE:ID`, where ID is the source's id or row number |
    | text | original text; null if withheld |
    | text_hash | `text_hash` of the text |
    | labels | label indices, in GoEmotions order |
    | source | one of `SOURCES` |
    | scores | the teacher's 28 probabilities; null if not scored |
    | generator | model that wrote the text; null for human-written texts |
    | prompt_id | version of the prompt that generated the text |
    | votes | number of annotators per label, 28 values; null if not reviewed |
    | reviewed | whether human annotators reviewed the row |
    | reviewed_by | type of annotators: `people` or `model`; null if not reviewed |
    | resolution | how disagreeing votes were resolved |
    """
    import pyarrow

    return pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("text", pyarrow.string()),
            ("text_hash", pyarrow.string()),
            ("labels", pyarrow.list_(pyarrow.int64())),
            ("source", pyarrow.string()),
            ("scores", pyarrow.list_(pyarrow.float32())),
            ("generator", pyarrow.string()),
            ("prompt_id", pyarrow.string()),
            ("votes", pyarrow.list_(pyarrow.int64())),
            ("reviewed", pyarrow.bool_()),
            ("reviewed_by", pyarrow.string()),
            ("resolution", pyarrow.string()),
        ]
    )


def table(**columns: Any) -> "pyarrow.Table":
    """Build a table with `schema` from some of its columns; the others are null, and `reviewed` is false."""
    import pyarrow

    rows = len(next(iter(columns.values())))
    defaults: dict[str, Any] = {**dict.fromkeys(schema().names, [None] * rows), "reviewed": [False] * rows}
    return pyarrow.table({**defaults, **columns}, schema())
