"""Join withheld texts from the user's own copy of Sentiment140."""

from collections.abc import Callable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from data_build.stage import BrokenRows
from evenmood.data.rows import text_hash
from evenmood.data.splits import SPLITS
from evenmood.data.tweets import read_tweets, tweet_text
from evenmood.errors import DataError
from evenmood.model import hub
from evenmood.model.model_folder import check_target, whole_folder


def hydrate(
    source: str,
    tweets: Path,
    out: Path,
    say: Callable[[str], None],
    *,
    configuration: str = "balanced",
    revision: str | None = None,
    token: str | bool | None = None,
    overwrite: bool = False,
) -> int:
    """Write `OUT/{train,validation,test}.parquet` with every text that the user's copy holds; `train` reads it.

    A withheld text is found by the hash of its cleaned form: of tweets that are the same to the model, the first one
    is taken.

    Args:
        source: Hub id of a published data set, or a folder of the same layout.
        tweets: The user's copy of Sentiment140; see `read_tweets`.
        out: Folder to write, whole or not at all.
        say: Receives progress, a line at a time.
        configuration: The one to read.
        revision: Branch, tag or commit of the Hub repository.
        token: None takes the environment's or the login's.
        overwrite: Replace what lies at `out`.

    Returns:
        Rows whose text was not found; they are left out.

    Raises:
        DataError: The data set or the tweets cannot be read, or no text was found at all.
        HubError: No such repository, no access, no network.
        UsageError: `out` exists and may not be replaced.
    """
    check_target(out, overwrite)
    if not Path(source).is_dir():
        folder = hub.fetch(source, [f"{configuration}/*"], "dataset", revision=revision, token=token) / configuration
    else:
        folder = Path(source) / configuration
    tables = {name: _read(folder, name) for name in SPLITS}
    wanted = {
        digest
        for table in tables.values()
        for digest, text in zip(table["text_hash"].to_pylist(), table["text"].to_pylist(), strict=True)
        if text is None
    }
    found: dict[str, str] = {}
    broken = BrokenRows(say)
    for count, (_, raw) in enumerate(read_tweets(tweets, broken.add), 1):
        text = tweet_text(raw)
        digest = text_hash(text)
        if digest in wanted:
            found.setdefault(digest, text)
        if count % 200_000 == 0:
            say(f"{count:,} tweets read, {len(found):,} of {len(wanted):,} texts found")
        if len(found) == len(wanted):
            break
    if wanted and not found:
        raise DataError(
            f"{tweets}: none of the {len(wanted):,} withheld texts is in it; is it Sentiment140?"
            + (f" {broken.total:,} rows are broken, the first: {broken.first}" if broken.total else "")
        )
    missing = 0
    with whole_folder(out, overwrite) as work:
        for name, table in tables.items():
            whole = _filled(table, found)
            missing += table.num_rows - whole.num_rows
            parquet.write_table(whole, work / f"{name}.parquet")
    say(
        f"{out}: {len(found):,} of {len(wanted):,} texts joined"
        + (f"; {missing:,} rows left out" if missing else "")
        + (f"; {broken.total:,} broken rows in {tweets}" if broken.total else "")
    )
    return missing


def _filled(table: pyarrow.Table, found: dict[str, str]) -> pyarrow.Table:
    texts = [
        found.get(digest) if text is None else text
        for digest, text in zip(table["text_hash"].to_pylist(), table["text"].to_pylist(), strict=True)
    ]
    filled = table.set_column(table.schema.get_field_index("text"), "text", pyarrow.array(texts, pyarrow.string()))
    return filled.filter(pyarrow.array([text is not None for text in texts], pyarrow.bool_()))


def _read(folder: Path, split: str) -> pyarrow.Table:
    files = sorted(folder.glob(f"{split}*.parquet"))
    if not files:
        raise DataError(f"{folder}: no {split}*.parquet")
    try:
        table = pyarrow.concat_tables([parquet.read_table(path) for path in files])
    except (pyarrow.ArrowException, OSError) as error:
        empty = [path.name for path in files if not path.stat().st_size]
        reason = f"{empty[0]} is empty" if empty else " ".join(str(error).split())[:200]
        raise DataError(f"{folder}: {split}*.parquet cannot be read ({reason}); download the data set again") from None
    absent = {"text", "text_hash"} - set(table.column_names)
    if absent:
        raise DataError(f"{folder}: no column {' and '.join(sorted(absent))}; there is nothing to join")
    return table
