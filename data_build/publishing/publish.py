"""Upload the data set and its card to the Hub, in one commit."""

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
from data_build.stages import goemotions, relabel, review, verify, written
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, check_current, read_manifest, read_rows
from evenmood.data.rows import schema, table, text_hash
from evenmood.data.splits import SPLITS
from evenmood.errors import DataError
from evenmood.model import hub

BALANCE = review.BALANCE
"""Stage whose rows are the balanced training split."""
WITHHELD_SOURCE = "sentiment140"
"""Source of tweets, whose texts are withheld by default."""
OFFICIAL_COLUMNS = ("text", "labels", "id")


def publish(
    build: Path,
    repo_id: str,
    log: Callable[[str], None],
    *,
    include_tweets: bool = False,
    drop_balanced: bool = False,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> hub.Upload:
    """Upload the data set of a build folder in one commit.

    Args:
        build: Build folder with the finished stage `goemotions` and, optionally, `balance`.
        repo_id: `namespace/name`; created if missing.
        log: Called with each progress message.
        include_tweets: Publish the texts of tweets, not only their hashes; the history of the repository keeps them.
        drop_balanced: Delete the published configuration `balanced` if the build has none.
        private: Whether a new repository is private; by default, as set in the account.
        revision: Branch; created if missing.
        create_pr: Open a pull request.

    Raises:
        DataError: A stage is incomplete, or a row must not be published.
        HubError: No access, no network, or the Hub rejects the card.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        tables = prepare(build, out, repo_id, log, include_tweets=include_tweets)

        def check(api: HfApi, full_id: str) -> None:
            info: Any = api.dataset_info(full_id, revision=None if create_pr else revision)
            published_folders = {entry.rfilename.split("/")[0] for entry in info.siblings or []}
            if "balanced" in published_folders and "balanced" not in tables and not drop_balanced:
                raise DataError(
                    f"{full_id} has the configuration balanced, but {build} does not; run balance, or delete the "
                    "configuration with --drop-balanced"
                )

        return hub.upload(
            out,
            repo_id,
            message="Upload data set",
            delete_patterns=["balanced/*", "unbalanced/*", "written/*", "figures/*"],
            repo_type="dataset",
            private=private,
            revision=revision,
            create_pr=create_pr,
            prepare=check,
        )


def prepare(
    build: Path, out: Path, repo_id: str, log: Callable[[str], None], *, include_tweets: bool = False
) -> dict[str, dict[str, Any]]:
    """Write the files that `publish` uploads: Parquet files by configuration and split, figures, card.

    The configurations are `balanced` (if the stage is finished), `unbalanced` and `written`.

    Returns:
        Tables by configuration and split.
    """
    official = {name: read_rows(build, goemotions.STAGE, name) for name in SPLITS}
    tables: dict[str, dict[str, Any]] = {}
    if (build / BALANCE).is_dir():
        check_current(build, BALANCE)
        balanced_rows = read_rows(build, BALANCE).select(schema().names)
        check_rows(balanced_rows, official)
        if not include_tweets:
            balanced_rows = withhold(balanced_rows)
        held_out = {name: with_provenance(official[name]) for name in SPLITS[1:]}
        tables["balanced"] = {"train": balanced_rows, **held_out}
    else:
        log(f"{build}: the stage {BALANCE} has not been run; publishing without the configuration balanced")
    tables["unbalanced"] = {name: rows.select(OFFICIAL_COLUMNS) for name, rows in official.items()}
    tables[written_rows.CONFIGURATION] = {"train": written_rows.read(held_out_splits(official), written.ROWS)}
    for configuration, splits in tables.items():
        features = features_of(configuration)
        for name, rows in splits.items():
            path = out / configuration / f"{name}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(rows.cast(features.arrow_schema), path)
            log(f"{configuration}: {rows.num_rows:,} {name} rows")
    write_card(out, repo_id, tables, {name: features_of(name) for name in tables}, include_tweets, provenance(build))
    return tables


def provenance(build: Path) -> dict[str, Any]:
    """Return the provenance of the balanced split from the manifests; entries missing from the manifests are None."""

    def manifest(name: str) -> dict[str, Any]:
        return read_manifest(build, name) if (build / name / MANIFEST_FILE).exists() else {}

    return {
        "teacher": manifest(relabel.OFFICIAL_SCORES).get("options", {}).get("teacher"),
        "acceptance_rule": manifest(verify.STAGE).get("options"),
        "evenness_before": manifest(BALANCE).get("evenness_before"),
        "evenness_after": manifest(BALANCE).get("evenness_after"),
        "target": manifest(BALANCE).get("target"),
        "agreement": manifest(review.STAGE).get("agreement"),
        "audit": review.audit_result(build),
    }


def features_of(configuration: str) -> datasets.Features:
    """Return the columns of a configuration, as `datasets.Features`."""
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
    """Convert official rows to the row schema of the build; columns without a value are null."""
    return table(
        **{name: official[name] for name in OFFICIAL_COLUMNS},
        text_hash=[text_hash(text) for text in official["text"].to_pylist()],
        source=[goemotions.STAGE] * official.num_rows,
    )


def held_out_splits(official: Mapping[str, pyarrow.Table]) -> dict[str, str]:
    """Map the `text_hash` of each validation and test text to its split."""
    return {text_hash(text): name for name in SPLITS[1:] for text in official[name]["text"].to_pylist()}


def check_rows(rows: pyarrow.Table, official: Mapping[str, pyarrow.Table]) -> None:
    """Check rows before publication.

    Raises:
        DataError: An added row has a validation or test text, two rows share an id, or a hash or label is wrong.
    """
    held_out = held_out_splits(official)
    ids: set[str] = set()
    for row in rows.select(["id", "text", "text_hash", "source", "labels"]).to_pylist():
        if row["source"] != goemotions.STAGE and row["text_hash"] in held_out:
            raise DataError(
                f"row {row['id']}: the text is also in the {held_out[row['text_hash']]} split; "
                "run verify and balance again"
            )
        if row["id"] in ids:
            raise DataError(f"duplicate row id {row['id']}; run balance again")
        ids.add(row["id"])
        if row["text"] is not None and text_hash(row["text"]) != row["text_hash"]:
            raise DataError(f"row {row['id']}: text_hash does not match the text; run balance again")
        if not row["labels"] or not all(0 <= number < len(LABELS) for number in row["labels"]):
            raise DataError(
                f"row {row['id']}: invalid labels {row['labels']}; expected numbers from 0 to {len(LABELS) - 1}"
            )


def withhold(rows: pyarrow.Table) -> pyarrow.Table:
    """Set the texts of tweets to null."""
    texts = [
        None if source == WITHHELD_SOURCE else text
        for text, source in zip(rows["text"].to_pylist(), rows["source"].to_pylist(), strict=True)
    ]
    index = rows.schema.get_field_index("text")
    return rows.set_column(index, "text", pyarrow.array(texts, pyarrow.string()))
