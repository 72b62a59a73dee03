"""Write the model card from the content of the model folder."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from evenmood import EmotionClassifier
from evenmood.data.splits import GOEMOTIONS, OFFICIAL_DIGESTS
from evenmood.labels import GROUP_OF
from evenmood.model import cards
from evenmood.model.model_folder import CARD_FILE, CARD_ID, TRAINING_FOLDER, read_info
from train.config import FASTTEXT

AVERAGES = (
    ("macro_f1", "macro-F1"),
    ("micro_f1", "micro-F1"),
    ("macro_precision", "macro precision"),
    ("macro_recall", "macro recall"),
    ("macro_roc_auc", "macro ROC AUC"),
    ("macro_average_precision", "macro average precision"),
    ("subset_accuracy", "subset accuracy"),
    ("hamming_loss", "Hamming loss"),
)
INDEXED = {"macro_f1": "f1", "micro_f1": "f1", "macro_roc_auc": "roc_auc", "subset_accuracy": "accuracy"}
"""Metrics in the card's model-index, with their names on the Hub."""
REQUIRED = ("language", "library_name", "license", "metrics", "pipeline_tag", "tags", "widget")
EXAMPLES = (
    "Thank you so much, you really made my day!",
    "I can't believe they cancelled it again. So annoying.",
    "I'm nervous about tomorrow, but I hope it goes well.",
)
SOFT_TARGETS_FILE = "soft-targets.json"
"""File in the training folder with the records of soft targets."""
LOG_FILE = "evaluations.jsonl"
"""File in the training folder with a line per evaluation."""
ROBUSTNESS_FILE = "robustness.json"
"""File in the training folder with the results of the robustness suite; shown in the card if it exists."""
SEEDS_FILE = "seeds.json"
"""File in the training folder with metrics over several seeds; shown in the card if it exists."""
TERMS_FILE = "terms.md"
"""File in the training folder with the license section of the card."""
QUANTIZATION_FILE = "quantization.json"
"""File in the training folder with the accuracy lost by an encoder's quantization."""
TEMPLATES = {
    "bilstm": Path(__file__).with_name("model_card.md.jinja"),
    "encoder": Path(__file__).with_name("encoder_card.md.jinja"),
}
"""Template by kind of model."""
GOEMOTIONS_ID, GOEMOTIONS_CONFIG = GOEMOTIONS.split(":")


def write_card(folder: Path) -> None:
    """Write the README.md of a model folder from `emotions.json`, the training record and example predictions.

    Raises:
        DataError: The result is not a valid card for the Hub.
    """
    training = folder / TRAINING_FOLDER
    info = read_info(folder)
    data = _read(training / "data.json") or {}
    history = training / "history.csv"
    splits = [
        (split, metrics) for split in ("validation", "test") if (metrics := _read(training / f"metrics-{split}.json"))
    ]
    cards.render(
        TEMPLATES[info.kind],
        folder / CARD_FILE,
        front_matter=front_matter(folder, splits, data).to_yaml(),
        repo_id=CARD_ID,
        info=info,
        trained=info.trained_from,
        groups=GROUP_OF,
        averages=AVERAGES,
        titles=dict(AVERAGES),
        splits=splits,
        trained_counts=data.get("train", {}).get("label_counts"),
        calibration=_read(training / f"calibration-{splits[-1][0]}.json") if splits else None,
        layers=_read(training / "layers.json"),
        storage=_read(training / "storage.json"),
        quantization=_read(training / QUANTIZATION_FILE),
        losses=history.read_text(encoding="utf-8").splitlines()[1:] if history.exists() else [],
        robustness=_read(training / ROBUSTNESS_FILE),
        everyday=[
            (split, metrics)
            for split in ("validation", "test")
            if (metrics := _read(training / f"everyday-{split}.json"))
        ],
        seeds=_read(training / SEEDS_FILE),
        soft_targets=_read(training / SOFT_TARGETS_FILE),
        terms=(training / TERMS_FILE).read_text(encoding="utf-8") if (training / TERMS_FILE).exists() else "",
        has_figure=(training / "loss.png").exists(),
        official=official(info.trained_from["data"], "train", data),
        fasttext=FASTTEXT,
    )
    check_card(folder)


def front_matter(folder: Path, splits: list[tuple[str, Any]], data: dict[str, Any]) -> ModelCardData:
    """Return the card's metadata for the Hub: https://huggingface.co/docs/hub/model-cards."""
    classifier = EmotionClassifier.from_pretrained(folder)
    source = classifier.info.trained_from["data"]
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Multi-label emotion classification",
            dataset_type=GOEMOTIONS_ID if official(source, split, data) else hub_id(source) or "own-data",
            dataset_name="GoEmotions" if official(source, split, data) else Path(source).name,
            dataset_config=GOEMOTIONS_CONFIG if official(source, split, data) else None,
            dataset_split=split,
            metric_type=kind,
            metric_name=f"{title}{'' if name == 'macro_roc_auc' else ', default thresholds'}"
            f"{_interval(metrics['tuned'][name])}",
            metric_value=round(_value(metrics["tuned"][name]), 4),
        )
        for split, metrics in splits[-1:]
        for name, title in AVERAGES
        if (kind := INDEXED.get(name))
    ]
    probabilities = classifier.predict_proba(EXAMPLES)
    widget = [
        {
            "text": text,
            "output": [{"label": classifier.labels[c], "score": round(float(row[c]), 3)} for c in (-row).argsort()[:5]],
        }
        for text, row in zip(EXAMPLES, probabilities, strict=True)
    ]
    data_id = GOEMOTIONS_ID if official(source, "train", data) else hub_id(source)
    return ModelCardData(
        language="en",
        library_name="keras" if classifier.info.kind == "bilstm" else "onnxruntime",
        pipeline_tag="text-classification",
        datasets=[data_id] if data_id else None,
        metrics=sorted({*INDEXED.values()}),
        tags=["emotion", "goemotions", "multi-label", "onnx", "evenmood"],
        model_name=CARD_ID,
        eval_results=results,
        widget=widget,
        **license_metadata(classifier.info.trained_from, bool(data_id == GOEMOTIONS_ID)),
    )


def license_metadata(trained_from: Any, apache_data: bool) -> dict[str, Any]:
    """Return the license of a model, which depends on the licenses of its word vectors and data.

    GoEmotions is Apache-2.0. The published fastText vectors are CC BY-SA 3.0, which applies to the embedding derived
    from them (https://fasttext.cc/docs/en/crawl-vectors.html). The licenses of other vectors and data are unknown.
    """
    if "vectors" not in trained_from:  # an encoder
        return {"license": "other", "license_name": "terms-of-data-and-encoder"}
    own = trained_from["vectors"] in ("self", "random") and not trained_from["corpus"]
    own = own and not trained_from.get("soft_targets")
    if apache_data and own:
        return {"license": "apache-2.0"}
    if apache_data and trained_from["vectors"] == FASTTEXT and not trained_from.get("soft_targets"):
        return {"license": "cc-by-sa-3.0"}
    return {"license": "other", "license_name": "terms-of-data-and-vectors"}


def official(source: str, split: str, data: dict[str, Any]) -> bool:
    """Return whether a split of a model's data is the official GoEmotions split, by its digest."""
    matches: bool = data.get(split, {}).get("digest") == OFFICIAL_DIGESTS[split]
    return matches or source == GOEMOTIONS


def hub_id(source: str) -> str | None:
    """Return the Hub id in the name of a data set, or None for a folder."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(:[\w.-]+)?", source)
    return match[1] if match and not Path(source).exists() and source.split("/")[0] not in (".", "..", "data") else None


def check_card(folder: Path) -> None:
    """Raise `DataError` if the card of a model folder is invalid."""
    remedy = f"regenerate it with: python -m train evaluate {folder}"
    cards.check(folder / CARD_FILE, ModelCard, (*REQUIRED, "model-index"), remedy)


def _interval(metric: Any) -> str:
    return f" (95% interval {metric['low']:.3f} to {metric['high']:.3f})" if isinstance(metric, dict) else ""


def _value(metric: Any) -> float:
    return float(metric["value"] if isinstance(metric, dict) else metric)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
