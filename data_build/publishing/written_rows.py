"""The configuration `written` of the published data set: texts that language models wrote, with votes and origin."""

from collections.abc import Mapping
from pathlib import Path

import datasets
import pyarrow

from data_build.stages import written
from evenmood import LABELS
from evenmood.data.rows import text_hash
from evenmood.errors import DataError

CONFIGURATION = "written"
LICENSE = "CC-BY-4.0"
"""Of the texts and their labels, as an SPDX identifier: every row carries it, for rows that are mixed with others."""


def features() -> datasets.Features:
    """Columns of the configuration, as the `datasets` library has them.

    | column | what it holds |
    |---|---|
    | id | `written:` and the hash of the text and its emoji, as in the rows of other configurations |
    | text | the text |
    | text_hash | `evenmood.data.rows.text_hash` of it |
    | labels | label numbers, the main one first |
    | writer_labels | those that the text was written for, the main one first |
    | votes | annotators who gave each label, 28 numbers; null where nobody voted |
    | reviewed_by | `model`: whose the votes are; null where there are none |
    | resolution | `majority` where votes decided the labels; null where they are the writer's |
    | writer | which of the language models wrote it |
    | domain | the kind of text that was asked for |
    | source | `written`, as in `balanced` |
    | license | `LICENSE` |
    """
    text, labels = datasets.Value("string"), datasets.Sequence(datasets.ClassLabel(names=list(LABELS)))
    return datasets.Features(
        {
            "id": text,
            "text": text,
            "text_hash": text,
            "labels": labels,
            "writer_labels": labels,
            "votes": datasets.Sequence(datasets.Value("int64")),
            "reviewed_by": text,
            "resolution": text,
            "writer": text,
            "domain": text,
            "source": text,
            "license": text,
        }
    )


def read(held_out: Mapping[str, str], path: Path = written.ROWS) -> pyarrow.Table:
    """The rows of the configuration.

    Args:
        held_out: The split that each validation and test text is in, by its `text_hash`.
        path: Parquet file as `written_votes.resolve` writes it.

    Raises:
        DataError: The file cannot be read, lacks a column or has an unknown label; or a text is in validation or test.
    """
    rows = written.read_file(path, ("id", "text", "labels", "writer_labels", "votes", "resolution", "writer", "domain"))
    given = rows.to_pydict()
    count, hashes = rows.num_rows, [text_hash(text) for text in given["text"]]
    for own_id, digest in zip(given["id"], hashes, strict=True):
        if digest in held_out:
            raise DataError(f"{path}: the text of {own_id} is in the {held_out[digest]} split; remove it")
    columns = {
        **given,
        "id": [f"{written.STAGE}:{own_id}" for own_id in given["id"]],
        "text_hash": hashes,
        **{
            name: [
                written.label_numbers(cell, f"{path}, row {row}: {name}", ordered=True)
                for row, cell in enumerate(given[name], 1)
            ]
            for name in ("labels", "writer_labels")
        },
        "reviewed_by": [None if votes is None else "model" for votes in given["votes"]],
        "source": [written.STAGE] * count,
        "license": [LICENSE] * count,
    }
    return pyarrow.table({name: columns[name] for name in features()}, features().arrow_schema)
