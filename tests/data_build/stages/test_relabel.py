"""Teacher: labels matched by name, the same probabilities as transformers, PyTorch and ONNX."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from evenmood import LABELS, DataError
from evenmood.data.teacher import Teacher, label_columns
from evenmood.text.symbols import spell_out
from tests.commands import run_command
from tests.fakes.tiny_teacher import write_encoder

TEXTS = ["thank you so much!", "", "joy " * 300, "🎉", "anger and grief", "\0"]


def test_probabilities_match_transformers(tiny_encoder: Path) -> None:
    import transformers

    pipeline = transformers.pipeline(
        "text-classification", model=str(tiny_encoder), top_k=None, truncation=True, max_length=128
    )
    scores = Teacher(str(tiny_encoder), batch_size=2).probabilities(TEXTS)
    assert scores.shape == (len(TEXTS), 28)
    for row, prediction in zip(scores, pipeline([spell_out(text) for text in TEXTS]), strict=True):
        expected = {entry["label"]: entry["score"] for entry in prediction}
        np.testing.assert_allclose(row, [expected[label] for label in LABELS], atol=0.02)  # bfloat16


def test_labels_are_matched_by_name(tmp_path: Path, tiny_encoder: Path) -> None:
    reversed_labels = write_encoder(tmp_path, LABELS[::-1])
    first, second = (Teacher(str(folder)).probabilities(TEXTS) for folder in (tiny_encoder, reversed_labels))
    np.testing.assert_allclose(first, second[:, ::-1])
    assert (
        label_columns({0: " Joy ", **{n + 1: label for n, label in enumerate(LABELS) if label != "joy"}}, "x")[17] == 0
    )


def test_a_teacher_with_27_labels(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path, LABELS[:-1])
    with pytest.raises(DataError, match="has 27 labels and lacks neutral"):
        Teacher(str(folder))


@pytest.mark.parametrize("model", ["nowhere/there", "/not/a/folder"])
def test_an_unknown_teacher(model: str) -> None:
    with pytest.raises(DataError, match=f"teacher '{model}' cannot be loaded"):
        Teacher(model)


def test_a_cluster_address_without_a_cluster(tmp_path: Path) -> None:
    result = run_command("data_build", "relabel", tmp_path, "--ray-address", "127.0.0.1:9")
    assert (result.returncode, result.stderr) == (2, "error: --ray-address requires --engine ray\n")


def test_the_onnx_runtime(tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no model\.onnx or onnx/model\.onnx; use --runtime torch"):
        Teacher(str(tiny_encoder), runtime="onnx")
    import torch
    import transformers

    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "model"))
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    ones = torch.ones(2, 5, dtype=torch.long)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the exporter
        torch.onnx.export(
            network,
            tuple(ones for _ in names),
            folder / "model.onnx",
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=False,
        )
    scores = Teacher(str(folder), runtime="onnx").probabilities(TEXTS)
    np.testing.assert_allclose(scores, Teacher(str(tiny_encoder)).probabilities(TEXTS), atol=0.02)


@pytest.mark.slow
def test_metrics_of_the_shared_teacher() -> None:
    shared = Path(__file__).parents[4] / "shared"
    if not (shared / "teacher" / "minilm-goemotions").is_dir():
        pytest.skip("the shared teacher is not available")
    from evenmood.data.splits import load_split
    from evenmood.evaluation.metrics import score
    from evenmood.thresholds import tune_thresholds

    rows = load_split(str(shared / "data" / "goemotions"), "validation")
    scores = Teacher(str(shared / "teacher" / "minilm-goemotions")).probabilities(rows.texts)
    metrics = score(rows.labels, scores, tune_thresholds(rows.labels, scores), LABELS, 0)
    assert metrics["macro_f1"] == pytest.approx(0.551, abs=0.004)
