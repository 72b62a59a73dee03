"""The `written` configuration of the published data set: texts written by language models, with votes and writers."""

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
"""SPDX identifier. Stored as a column, so that rows keep their license when data sets are merged."""


def features() -> datasets.Features:
    """Return the columns of the configuration, as `datasets.Features`.

    | column | description |
    |---|---|
    | id | `written:` followed by a hash of the text, emoji included |
    | text | the text |
    | text_hash | `evenmood.data.rows.text_hash` of the text |
    | labels | label indices, main label first |
    | writer_labels | label indices that the writer was asked to express, main label first |
    | votes | votes for each of the 28 labels; null if there are none |
    | reviewed_by | `model` if there are votes, otherwise null |
    | resolution | `majority` if votes decided the labels; null if they are the writer's |
    | writer | pseudonym of the language model that wrote the text |
    | domain | requested kind of text |
    | source | always `written` |
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


def read(held_out: Mapping[str, str], path: Path) -> pyarrow.Table:
    """Read the rows of the configuration.

    Args:
        held_out: Maps the `text_hash` of each validation and test text to its split.
        path: Parquet file written by `written_votes.resolve`.

    Raises:
        DataError: The file cannot be read, lacks a column or has an unknown label; or a text is in validation or test.
    """
    rows = written.read_file(path, ("id", "text", "labels", "writer_labels", "votes", "resolution", "writer", "domain"))
    cells = rows.to_pydict()
    count, hashes = rows.num_rows, [text_hash(text) for text in cells["text"]]
    for row_id, digest in zip(cells["id"], hashes, strict=True):
        if digest in held_out:
            raise DataError(f"{path}: the text of {row_id} is also in the {held_out[digest]} split; remove the row")
    columns = {
        **cells,
        "id": [f"{written.STAGE}:{row_id}" for row_id in cells["id"]],
        "text_hash": hashes,
        **{
            name: [
                written.label_indices(cell, f"{path}, row {row}: {name}", ordered=True)
                for row, cell in enumerate(cells[name], 1)
            ]
            for name in ("labels", "writer_labels")
        },
        "reviewed_by": [None if votes is None else "model" for votes in cells["votes"]],
        "source": [written.STAGE] * count,
        "license": [LICENSE] * count,
    }
    return pyarrow.table({name: columns[name] for name in features()}, features().arrow_schema)
