"""Last stage: the data set as the Hub's users expect it, with its card, in one commit."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from huggingface_hub import HfApi
from pyarrow import parquet

from data_build.publishing import written_rows
from data_build.publishing.card import write_card
from data_build.stages import goemotions, relabel, review, verify
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, check_current, read_manifest, read_rows
from evenmood.data.rows import schema, table, text_hash
from evenmood.data.splits import SPLITS
from evenmood.errors import DataError
from evenmood.model import hub

BALANCE = review.BALANCE
"""The stage whose rows are the balanced training split."""
WITHHELD = "sentiment140"
"""Other people's tweets: their texts stay out unless asked for."""
OFFICIAL_COLUMNS = ("text", "labels", "id")


def publish(
    build: Path,
    repo_id: str,
    say: Callable[[str], None],
    *,
    include_tweets: bool = False,
    drop_balanced: bool = False,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> hub.Upload:
    """Upload the data set of a build folder in one commit.

    Args:
        build: Build folder, with the stage `goemotions` and, if it has come so far, `balance`.
        repo_id: `namespace/name`; created if there is none.
        say: Receives progress, a line at a time.
        include_tweets: Ship the texts of tweets, and not their hashes alone; they stay in the repository's history.
        drop_balanced: Let go of a published configuration `balanced` that the build folder lacks.
        private: Whether a new repository is private; None for the account's default.
        revision: Branch; created if there is none.
        create_pr: Open a pull request instead.

    Raises:
        DataError: A stage is missing, or a row is not fit for publication.
        HubError: No access, no network, or the Hub refuses the card.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        tables = prepare(build, work, repo_id, say, include_tweets=include_tweets)

        def check(api: HfApi, full_id: str) -> None:
            about: Any = api.dataset_info(full_id, revision=None if create_pr else revision)
            held = {entry.rfilename.split("/")[0] for entry in about.siblings or []}
            if "balanced" in held and "balanced" not in tables and not drop_balanced:
                raise DataError(
                    f"{full_id} holds the configuration balanced, which {build} lacks; build it, or let it go with "
                    "--drop-balanced"
                )

        return hub.upload(
            work,
            repo_id,
            message="Upload data set",
            replace=["balanced/*", "unbalanced/*", "written/*", "figures/*"],
            repo_type="dataset",
            private=private,
            revision=revision,
            create_pr=create_pr,
            prepare=check,
        )


def prepare(
    build: Path, out: Path, repo_id: str, say: Callable[[str], None], *, include_tweets: bool = False
) -> dict[str, dict[str, Any]]:
    """Write what `publish` uploads: Parquet files by configuration and split, figures, card.

    The configurations are `balanced`, if the build has come so far, `unbalanced` and `written`.

    Returns:
        Tables by configuration and split.
    """
    official = {name: read_rows(build, goemotions.STAGE, name) for name in SPLITS}
    tables: dict[str, dict[str, Any]] = {}
    if (build / BALANCE).is_dir():
        check_current(build, BALANCE)
        balanced = read_rows(build, BALANCE).select(schema().names)
        check_rows(balanced, official)
        if not include_tweets:
            balanced = withhold(balanced)
        rest = {name: with_provenance(official[name]) for name in SPLITS[1:]}
        tables["balanced"] = {"train": balanced, **rest}
    else:
        say(f"{build}: no {BALANCE} stage yet; the configuration balanced is not published")
    tables["unbalanced"] = {name: rows.select(OFFICIAL_COLUMNS) for name, rows in official.items()}
    tables[written_rows.CONFIGURATION] = {"train": written_rows.read(hashes_of(official))}
    for configuration, splits in tables.items():
        features = features_of(configuration)
        for name, rows in splits.items():
            path = out / configuration / f"{name}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(rows.cast(features.arrow_schema), path)
            say(f"{configuration}: {rows.num_rows:,} {name} rows")
    write_card(out, repo_id, tables, {name: features_of(name) for name in tables}, include_tweets, made_how(build))
    return tables


def made_how(build: Path) -> dict[str, Any]:
    """What the manifests say of how the balanced split was made; a part that was not recorded is None."""

    def said(name: str) -> dict[str, Any]:
        return read_manifest(build, name) if (build / name / MANIFEST_FILE).exists() else {}

    return {
        "teacher": said(relabel.OFFICIAL).get("options", {}).get("teacher"),
        "gates": said(verify.STAGE).get("options"),
        "evenness": said(BALANCE).get("evenness_after"),
        "before": said(BALANCE).get("evenness_before"),
        "target": said(BALANCE).get("target"),
        "agreement": said(review.STAGE).get("agreement"),
        "audit": review.audited(build),
    }


def features_of(configuration: str) -> datasets.Features:
    """Columns of a configuration, as the `datasets` library has them."""
    text = datasets.Value("string")
    labels = datasets.Sequence(datasets.ClassLabel(names=list(LABELS)))
    if configuration == written_rows.CONFIGURATION:
        return written_rows.features()
    if configuration == "unbalanced":
        return datasets.Features({"text": text, "labels": labels, "id": text})
    features = datasets.Features.from_arrow_schema(schema())
    features["labels"] = labels
    return features


def with_provenance(official: pyarrow.Table) -> pyarrow.Table:
    """Official rows with the columns of the row type: where they come from, and nothing that nobody measured."""
    return table(
        **{name: official[name] for name in OFFICIAL_COLUMNS},
        text_hash=[text_hash(text) for text in official["text"].to_pylist()],
        source=[goemotions.STAGE] * official.num_rows,
    )


def hashes_of(official: Mapping[str, pyarrow.Table]) -> dict[str, str]:
    """The split that each validation and test text is in, by its hash."""
    return {text_hash(text): name for name in SPLITS[1:] for text in official[name]["text"].to_pylist()}


def check_rows(rows: pyarrow.Table, official: Mapping[str, pyarrow.Table]) -> None:
    """Refuse added rows whose text is in validation or test, twice the same row, and hashes that do not fit."""
    held = hashes_of(official)
    seen: set[str] = set()
    for row in rows.select(["id", "text", "text_hash", "source", "labels"]).to_pylist():
        if row["source"] != goemotions.STAGE and row["text_hash"] in held:
            raise DataError(f"row {row['id']}: its text is in the {held[row['text_hash']]} split; run verify again")
        if row["id"] in seen:
            raise DataError(f"row {row['id']} appears twice; run balance again")
        seen.add(row["id"])
        if row["text"] is not None and text_hash(row["text"]) != row["text_hash"]:
            raise DataError(f"row {row['id']}: text_hash is not that of its text")
        if not row["labels"] or not all(0 <= number < len(LABELS) for number in row["labels"]):
            raise DataError(f"row {row['id']}: labels is {row['labels']}; expected numbers from 0 to {len(LABELS) - 1}")


def withhold(rows: pyarrow.Table) -> pyarrow.Table:
    """The same rows without the texts of tweets."""
    texts = [
        None if source == WITHHELD else text
        for text, source in zip(rows["text"].to_pylist(), rows["source"].to_pylist(), strict=True)
    ]
    at = rows.schema.get_field_index("text")
    return rows.set_column(at, "text", pyarrow.array(texts, pyarrow.string()))
