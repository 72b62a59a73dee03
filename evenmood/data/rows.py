"""The row type of the data build: what is known of each text, from its source to its publication."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from evenmood.text.normalization import clean, encodable
from evenmood.text.symbols import SYMBOL

if TYPE_CHECKING:
    import pyarrow

SOURCES = ("goemotions", "feedback", "written", "sentiment140", "generated")
"""Where rows come from, the most trusted first: people, visitors whom the teacher agrees with, a large model, the
teacher, a small model."""
HASH_BYTES = 8
"""Two of 1.6 million texts share an 8-byte hash by chance with a probability of 7e-8."""


def text_hash(text: str) -> str:
    """16 hexadecimal digits of the cleaned text; of a text without words, of its symbols."""
    content = clean(text) or encodable("".join(text.split()))
    return blake2b(content.encode(), digest_size=HASH_BYTES).hexdigest()


def symbol_hash(text: str) -> str:
    """As `text_hash`, and different for texts that differ in their emoji alone: models with `symbols` read them."""
    content = "\0".join([clean(text), *SYMBOL.findall(encodable(text))])
    return blake2b(content.encode(), digest_size=HASH_BYTES).hexdigest()


def schema() -> "pyarrow.Schema":
    """Columns of a row, as stored in Parquet.

    | column | what it holds |
    |---|---|
    | id | `source:` and the source's own id, or its row number |
    | text | the text as its source has it; null where it is withheld |
    | text_hash | `text_hash` of it |
    | labels | label numbers, in GoEmotions' order |
    | source | one of `SOURCES` |
    | scores | the teacher's 28 probabilities; null where no teacher was asked |
    | generator | model that wrote the text; null where a person did |
    | prompt_id | version of the prompt it was asked with |
    | votes | annotators who gave each label, 28 numbers; null where nobody reviewed |
    | reviewed | whether people have reviewed the row |
    | reviewed_by | whose the votes are: `people` or `model`; null where there are none |
    | resolution | how votes that did not agree were settled |
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
    """Rows from some columns of `schema`; the others are null, and `reviewed` is false."""
    import pyarrow

    rows = len(next(iter(columns.values())))
    defaults: dict[str, Any] = {**dict.fromkeys(schema().names, [None] * rows), "reviewed": [False] * rows}
    return pyarrow.table({**defaults, **columns}, schema())
