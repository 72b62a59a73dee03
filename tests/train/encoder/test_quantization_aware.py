"""Quantization-aware training: `train teacher --quantization-aware`."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install --group data")

import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig

from evenmood import DataError
from evenmood.data.splits import load_split
from train.distillation.encoder import EncoderRun, TeacherConfig
from train.distillation.teacher import train_teacher
from train.encoder.graph import encoder_graph
from train.encoder.quantize import quantize
from train.quantization.fake_quantization import FakeQuantization


def test_simulation_matches_the_quantized_graph(teacher: Path, small_data: Path) -> None:
    """Of the error of quantization, the simulation explains most."""
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    texts = load_split(str(small_data), "train").texts[:128]
    batches = [tokenizer(texts[start : start + 16], padding=True, return_tensors="pt") for start in range(0, 128, 16)]
    network = AutoModelForSequenceClassification.from_pretrained(teacher).eval()

    def predict(batch: Any) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(torch.sigmoid(network(**batch).logits))

    ids = [batch["input_ids"].numpy().astype(np.int32) for batch in batches]
    graph = encoder_graph(teacher, 64)
    outer = [node.name for node in graph.graph.node if node.name.endswith("_outer_product")]
    session = onnxruntime.InferenceSession(quantize(graph, ids, outer).SerializeToString())
    quantized = np.concatenate([session.run(None, {"input_ids": batch})[0] for batch in ids])
    float32 = np.concatenate([predict(batch) for batch in batches])
    FakeQuantization(network).calibrate([partial(predict, batch) for batch in batches])
    simulated = np.concatenate([predict(batch) for batch in batches])
    assert np.abs(quantized - float32).mean() > 1e-4
    assert np.abs(quantized - simulated).mean() < 0.5 * np.abs(quantized - float32).mean()


def test_all_weights_are_trained_and_stored_in_float32(
    teacher: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run resumes with bit-identical weights."""
    options = TeacherConfig(str(teacher), str(small_data), epochs=2, batch_size=16, weights="float32")
    config, epoch = replace(options, quantization_aware=True), EncoderRun.epoch
    train_teacher(config, tmp_path / "aware", print)
    train_teacher(options, tmp_path / "plain", print)
    before, aware, plain = (
        load_file(folder / "model.safetensors") for folder in (teacher, tmp_path / "aware", tmp_path / "plain")
    )
    assert set(aware) == set(before)
    for name in before:
        assert np.abs(aware[name] - before[name]).max() > 0, name
        assert np.abs(aware[name] - plain[name]).max() > 0, name
    record = json.loads((tmp_path / "aware" / "training.json").read_text(encoding="utf-8"))
    assert record["config"]["quantization_aware"] is True

    def interrupted_epoch(run: EncoderRun, number: int) -> dict[str, Any]:
        if number == 2:
            raise KeyboardInterrupt
        return epoch(run, number)

    with monkeypatch.context() as patch:
        patch.setattr(EncoderRun, "epoch", interrupted_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_teacher(config, tmp_path / "resumed", print)
    train_teacher(config, tmp_path / "resumed", print)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("aware", "resumed")]
    assert weights[0] == weights[1]


def test_other_architectures_are_rejected() -> None:
    config = RobertaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    with pytest.raises(DataError, match="quantization-aware training requires a bert encoder, not roberta"):
        FakeQuantization(AutoModelForSequenceClassification.from_config(config))
