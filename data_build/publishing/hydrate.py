"""Fill in withheld tweet texts from the user's own copy of Sentiment140."""

from collections.abc import Callable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from data_build.stage import MalformedRows
from evenmood.data.rows import text_hash
from evenmood.data.splits import SPLITS
from evenmood.data.tweets import clean_tweet, read_tweets
from evenmood.errors import DataError
from evenmood.model import hub
from evenmood.model.model_folder import atomic_folder, check_target


def hydrate(
    source: str,
    tweets: Path,
    out: Path,
    log: Callable[[str], None],
    *,
    configuration: str = "balanced",
    revision: str | None = None,
    token: str | bool | None = None,
    overwrite: bool = False,
) -> int:
    """Write `OUT/{train,validation,test}.parquet`, with the withheld texts filled in from the user's copy.

    A withheld text is identified by the hash of its cleaned form; if several tweets have the same cleaned text, the
    first one is used.

    Args:
        source: Hub id of a published data set, or a folder with the same layout.
        tweets: The user's copy of Sentiment140; see `read_tweets`.
        out: Folder to write atomically.
        log: Called with each progress message.
        configuration: Configuration to read.
        revision: Branch, tag or commit of the Hub repository.
        token: Hub token; by default, HF_TOKEN or the stored login.
        overwrite: Overwrite an existing `out`.

    Returns:
        Number of rows dropped because their text was not found.

    Raises:
        DataError: The data set or the tweets cannot be read, or no text was found.
        HubError: Unknown repository, no access, or no network.
        UsageError: `out` exists, and `overwrite` is false.
    """
    check_target(out, overwrite)
    if not Path(source).is_dir():
        folder = (
            hub.download_files(source, [f"{configuration}/*"], "dataset", revision=revision, token=token)
            / configuration
        )
    else:
        folder = Path(source) / configuration
    tables = {name: _read(folder, name) for name in SPLITS}
    withheld_hashes = {
        digest
        for table in tables.values()
        for digest, text in zip(table["text_hash"].to_pylist(), table["text"].to_pylist(), strict=True)
        if text is None
    }
    texts: dict[str, str] = {}
    malformed_rows = MalformedRows(log)
    for count, (_, raw) in enumerate(read_tweets(tweets, malformed_rows.add), 1):
        text = clean_tweet(raw)
        digest = text_hash(text)
        if digest in withheld_hashes:
            texts.setdefault(digest, text)
        if count % 200_000 == 0:
            log(f"{count:,} tweets read, {len(texts):,} of {len(withheld_hashes):,} texts found")
        if len(texts) == len(withheld_hashes):
            break
    if withheld_hashes and not texts:
        raise DataError(
            f"{tweets} contains none of the {len(withheld_hashes):,} withheld texts; expected a copy of Sentiment140"
            + (
                f"; {malformed_rows.total:,} malformed rows, the first: {malformed_rows.first}"
                if malformed_rows.total
                else ""
            )
        )
    dropped_rows = 0
    with atomic_folder(out, overwrite) as temporary_folder:
        for name, table in tables.items():
            complete_rows = _fill_in(table, texts)
            dropped_rows += table.num_rows - complete_rows.num_rows
            parquet.write_table(complete_rows, temporary_folder / f"{name}.parquet")
    log(
        f"{out}: {len(texts):,} of {len(withheld_hashes):,} withheld texts filled in"
        + (f"; {dropped_rows:,} rows dropped (text not found)" if dropped_rows else "")
        + (f"; {malformed_rows.total:,} malformed rows in {tweets}" if malformed_rows.total else "")
    )
    return dropped_rows


def _fill_in(table: pyarrow.Table, texts_by_hash: dict[str, str]) -> pyarrow.Table:
    """Fill in withheld texts by hash, and drop rows that still have none."""
    texts = [
        texts_by_hash.get(digest) if text is None else text
        for digest, text in zip(table["text_hash"].to_pylist(), table["text"].to_pylist(), strict=True)
    ]
    rows = table.set_column(table.schema.get_field_index("text"), "text", pyarrow.array(texts, pyarrow.string()))
    return rows.filter(pyarrow.array([text is not None for text in texts], pyarrow.bool_()))


def _read(folder: Path, split: str) -> pyarrow.Table:
    files = sorted(folder.glob(f"{split}*.parquet"))
    if not files:
        raise DataError(f"{folder}: no {split}*.parquet; expected the files of a published data set")
    try:
        table = pyarrow.concat_tables([parquet.read_table(path) for path in files])
    except (pyarrow.ArrowException, OSError) as error:
        empty = [path.name for path in files if not path.stat().st_size]
        reason = f"{empty[0]} is empty" if empty else " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {folder}/{split}*.parquet ({reason}); download the data set again") from None
    missing_columns = {"text", "text_hash"} - set(table.column_names)
    if missing_columns:
        raise DataError(
            f"{folder}: no column {' and '.join(sorted(missing_columns))}; use a configuration with withheld texts, "
            "such as balanced"
        )
    return table
