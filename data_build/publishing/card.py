"""Data set card and its figure, generated from the published tables."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData

from data_build.publishing import figures, written_rows
from evenmood import GROUP_OF, LABELS
from evenmood.data.rows import SOURCES
from evenmood.model import cards

TEMPLATE = Path(__file__).with_name("dataset_card.md.jinja")
SOURCE_IDS = {"goemotions": "google-research-datasets/go_emotions", "sentiment140": "stanfordnlp/sentiment140"}
REQUIRED = (
    *("annotations_creators", "configs", "dataset_info", "language", "license", "license_name", "pretty_name"),
    *("size_categories", "source_datasets", "task_categories", "task_ids"),
)
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
Tables = Mapping[str, Mapping[str, Any]]


def write_card(
    out: Path,
    repo_id: str,
    tables: Tables,
    features: Mapping[str, datasets.Features],
    include_tweets: bool,
    provenance: Mapping[str, Any],
) -> None:
    """Write README.md and `figures/labels.png`.

    Args:
        out: Folder with the Parquet files of each configuration.
        repo_id: Hub id of the data set.
        tables: Tables by configuration and split.
        features: Columns of each configuration.
        include_tweets: Whether the texts of tweets are published.
        provenance: See `publish.provenance`.

    Raises:
        DataError: The generated card is not valid on the Hub.
    """
    counts = {
        configuration: {name: label_counts(table) for name, table in splits.items()}
        for configuration, splits in tables.items()
    }
    main, written = next(iter(tables)), tables[written_rows.CONFIGURATION]["train"]
    train = tables[main]["train"]
    by_source: dict[str, dict[str, Any]] = {}
    if main == "balanced":
        for source in SOURCES:
            rows = train.filter(pyarrow.array([value == source for value in train["source"].to_pylist()]))
            if rows.num_rows:
                by_source[source] = {"rows": rows.num_rows, "labels": label_counts(rows)}
    figures.label_counts(
        {name: splits["train"] for name, splits in counts.items() if name != written_rows.CONFIGURATION},
        {source: entry["labels"] for source, entry in by_source.items()},
        out / "figures" / "labels.png",
    )
    cards.render(
        TEMPLATE,
        out / cards.CARD_FILE,
        front_matter=front_matter(out, repo_id, tables, features, by_source).to_yaml(),
        repo_id=repo_id,
        main=main,
        tables=tables,
        counts=counts,
        ratios={name: figures.ratio(splits["train"]) for name, splits in counts.items()},
        by_source=by_source,
        labels=LABELS,
        groups=GROUP_OF,
        include_tweets=include_tweets,
        provenance=provenance,
        withheld=train["text"].null_count,
        reviewed=sum(train["reviewed"].to_pylist()) if main == "balanced" else 0,
        generators=generator_names(train) if main == "balanced" else [],
        domains=[name for name, _ in Counter(written["domain"].to_pylist()).most_common(5)],
        writers=len(set(written["writer"].to_pylist())),
        annotated=written.num_rows - written["votes"].null_count,
        written_license=written_rows.LICENSE,
    )
    check_card(out)


def generator_names(rows: Any) -> list[str]:
    """Return the names of the models that wrote the generated rows."""
    pairs = zip(rows["generator"].to_pylist(), rows["source"].to_pylist(), strict=True)
    return sorted({generator for generator, source in pairs if source == "generated"})


def label_counts(table: Any) -> dict[str, int]:
    """Count the rows with each label."""
    counts = Counter(number for row in table["labels"].to_pylist() for number in row)
    return {label: counts[number] for number, label in enumerate(LABELS)}


def front_matter(
    out: Path, repo_id: str, tables: Tables, features: Mapping[str, datasets.Features], by_source: Mapping[str, Any]
) -> DatasetCardData:
    """Return the YAML metadata of the card: https://huggingface.co/docs/hub/datasets-cards."""
    rows = max(sum(table.num_rows for table in splits.values()) for splits in tables.values())
    sources = [SOURCE_IDS[source] for source in by_source if source in SOURCE_IDS] or [SOURCE_IDS["goemotions"]]
    has_machine_texts = "generated" in by_source or written_rows.CONFIGURATION in tables
    if has_machine_texts:
        sources.append("original")
    has_machine_labels = has_machine_texts or any(source != "goemotions" for source in by_source)
    data = DatasetCardData(
        pretty_name="evenmood emotions",
        language=["en"],
        license="other",
        license_name="per-source-terms",
        license_link=f"https://huggingface.co/datasets/{repo_id}#license",
        annotations_creators=["crowdsourced", *(["machine-generated"] if has_machine_labels else [])],
        language_creators=["found", *(["machine-generated"] if has_machine_texts else [])],
        multilinguality=["monolingual"],
        size_categories=[next((name for limit, name in SIZES if rows < limit), "1M<n<10M")],
        source_datasets=sources,
        task_categories=["text-classification"],
        task_ids=["multi-label-classification"],
        tags=["emotion", "goemotions"],
        configs=[
            {
                "config_name": configuration,
                "data_files": [{"split": name, "path": f"{configuration}/{name}-*.parquet"} for name in splits],
                **({"default": True} if configuration == next(iter(tables)) else {}),
            }
            for configuration, splits in tables.items()
        ],
    )
    infos = {}
    for configuration, splits in tables.items():
        split_infos = datasets.SplitDict()
        for name, table in splits.items():
            split_infos.add(datasets.SplitInfo(name, table.nbytes, table.num_rows))
        infos[configuration] = datasets.DatasetInfo(
            features=features[configuration],
            splits=split_infos,
            download_size=sum(path.stat().st_size for path in (out / configuration).iterdir()),
            dataset_size=sum(table.nbytes for table in splits.values()),
        )
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return data


def check_card(folder: Path) -> None:
    """Raise `DataError` if the card cannot be read, or lacks required metadata."""
    cards.check(folder / cards.CARD_FILE, DatasetCard, REQUIRED, "run publish again to regenerate it")
