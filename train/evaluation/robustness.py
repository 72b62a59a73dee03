"""Robustness suite: how predictions change with typos, casing, negation, names, identity terms and sarcasm."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenmood import EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.errors import UsageError
from evenmood.model.model_folder import TRAINING_FOLDER, format_metric, write_text
from evenmood.tables.table_files import check_output
from train.evaluation.probes import SEEDS, Results, hard_sentences, negation, perturbations, sarcasm, swaps
from train.release.card import ROBUSTNESS_FILE, write_card

TEXTS_FILE = Path(__file__).with_name("robustness_texts.json")
"""Sentences, names and terms of the suite."""
HARD_FILE = Path(__file__).with_name("hard_sentences.json")
"""100 hard sentences with their correct labels, never used in training."""


def run_robustness(
    model: str, data: str | None, split: str, out: Path | None = None, overwrite: bool = False, seeds: int = SEEDS
) -> str:
    """Run the suite, write the metrics, and return them as a table.

    Args:
        model: Model folder or Hub id.
        data: Data set as in `load_split`; by default, the one the model was trained on.
        split: Split whose texts are perturbed: `validation` or `test`.
        out: JSON file; by default, `training/robustness.json` in the model folder, and the card.
        overwrite: Whether to replace `out`.
        seeds: Number of repetitions of random perturbations.

    Raises:
        DataError: The split cannot be read.
        UsageError: `out` exists, there is no folder to write to, or no data set is set or recorded.
    """
    if out is not None:
        check_output(str(out), overwrite)
    elif not Path(model).is_dir():
        raise UsageError(f"{model} is not a local folder to write the results to; use --out")
    classifier = EmotionClassifier.from_pretrained(model)
    source = data or str(classifier.info.trained_from.get("data", ""))
    if not source:
        raise UsageError("the model does not record its training data; use --data")
    rows = load_split(source, split)
    texts = json.loads(TEXTS_FILE.read_text(encoding="utf-8"))
    results: Results = {
        "data": {"source": source, "split": split, "rows": len(rows), "digest": rows.digest()},
        "perturbed": perturbations(classifier, rows.texts, rows.labels, texts["emoji"], seeds),
        "negation": negation(classifier, texts["negation"]),
        "names": swaps(classifier, texts["names"]["templates"], texts["names"]["groups"], across=True),
        "terms": swaps(classifier, texts["terms"]["templates"], texts["terms"]["groups"], across=False),
        "sarcasm": sarcasm(classifier, texts["sarcasm"]),
        "hard": hard_sentences(classifier, json.loads(HARD_FILE.read_text(encoding="utf-8"))),
    }
    results = _round(results)
    content = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if out is not None:
        write_text(out, content)
    else:
        folder = Path(model) / TRAINING_FOLDER
        folder.mkdir(exist_ok=True)
        write_text(folder / ROBUSTNESS_FILE, content)
        if any(folder.glob("metrics-*.json")):  # a card requires metrics
            write_card(Path(model))
    return report(results)


def report(results: Mapping[str, Any]) -> str:
    """Format the metrics as text."""
    data, perturbed_texts = results["data"], results["perturbed"]
    lines = [
        f"{data['source']}, {data['split']}: {data['rows']:,} texts, at the model's thresholds; 95% intervals",
        f"{'':26}{'macro-F1':24}{'change':28}texts with other labels",
        f"{'unchanged':26}{format_metric(perturbed_texts['macro_f1'])}",
    ]
    for name, row in perturbed_texts["kinds"].items():
        lines.append(
            f"{name:26}{format_metric(row['macro_f1']):24}{signed(row['change']):28}{row['texts_changed']:.1%}"
        )
    negated, ironic = results["negation"], results["sarcasm"]
    lines += [
        "",
        f"negation: the label's probability decreases in {negated['decreased']:.0%} of {negated['pairs']} pairs; "
        f"it is no longer predicted in {negated['removed']:.0%} of the {negated['labeled']} pairs in which it was",
        f"sarcasm: of {ironic['sentences']} sentences, {ironic['intended']:.0%} have only the intended group, "
        f"{ironic['both']:.0%} both, {ironic['literal']:.0%} only the literal one, {ironic['neither']:.0%} neither",
    ]
    hard = results["hard"]
    kinds = ", ".join(f"{kind} {row['right']:.0%}" for kind, row in hard["by_kind"].items())
    lines.append(
        f"hard sentences: the most probable label is correct in {hard['right']:.0%} of {hard['sentences']} ({kinds})"
    )
    for key, title in (("names", "names"), ("terms", "identity terms")):
        part = results[key]
        lines += [
            "",
            f"{title}: {part['entries_count']} in {part['templates']} templates, {part['unknown']:.0%} not in the "
            f"vocabulary; mean shift {part['mean_shift']:.4f}; labels differ in {part['pairs_changed']:.1%} of pairs",
        ]
        rows = [*part["groups"].items(), *largest(part["entries"], 8)]
        lines += [f"  {name:32}{_shift(row):52}labels differ in {row['pairs_changed']:.1%}" for name, row in rows]
    return "\n".join(lines)


def largest(entries: Mapping[str, Results], count: int) -> list[tuple[str, Results]]:
    """Return the names or terms with the largest shift of a probability."""
    return sorted(entries.items(), key=lambda item: -abs(item[1]["largest_shift"]))[:count]


def signed(change: Mapping[str, float]) -> str:
    """Format a change with its interval: `-0.041 (-0.052 to -0.030)`."""
    return f"{change['value']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"


def _shift(row: Results) -> str:
    by = f" by {row['entry']}" if "entry" in row else ""
    return f"{row['mean_shift']:.4f}, at most {row['label']} {row['largest_shift']:+.3f}{by}"


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_round(entry) for entry in value]
    return round(value, 5) + 0.0 if isinstance(value, float) else value  # + 0.0: no negative zero
