"""`train teacher`: training a small encoder, resuming an interrupted run, using the result as a teacher."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenmood import LABELS, DataError, UsageError
from evenmood.data.splits import load_split
from evenmood.data.teacher import Teacher
from evenmood.text.normalization import clean
from tests.fakes.tiny_teacher import write_encoder
from train.distillation import encoder
from train.distillation.encoder import EncoderRun, TeacherConfig, load_encoder
from train.distillation.teacher import Checkpoint, train_teacher


@pytest.fixture(scope="module")
def config(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    """A small BERT without a head, and options that fit the synthetic data in seconds."""
    import transformers

    rows = load_split(str(small_data), "train")
    words = sorted({word for text in rows.texts for word in clean(text).split()})
    base = write_encoder(tmp_path_factory.mktemp("base"), ["0", "1"], words, size=32, spread=0.1)
    transformers.AutoModel.from_pretrained(base).save_pretrained(base)
    return TeacherConfig(str(base), str(small_data), epochs=6, batch_size=16, learning_rate=4e-3, head_factor=3)


@pytest.fixture(scope="module")
def trained_teacher(config: TeacherConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "teacher"
    train_teacher(config, out, print)
    return out


def test_trained_encoder_is_a_teacher(trained_teacher: Path, config: TeacherConfig) -> None:
    record = json.loads((trained_teacher / "training.json").read_text(encoding="utf-8"))
    macro = [entry["val_macro_f1"] for entry in record["history"]]
    assert macro[-1] > max(0.4, 2 * macro[0])
    assert record["best_epoch"] == 1 + int(np.argmax(macro))
    assert record["config"]["learning_rate"] == config.learning_rate
    rows = load_split(config.data, "validation")
    probabilities = Teacher(str(trained_teacher)).probabilities(rows.texts)
    assert record["validation"]["macro_f1"]["value"] == pytest.approx(max(macro), abs=0.05)  # float16 weights
    columns = [LABELS.index(label) for label in ("joy", "grief")]
    assert probabilities[rows.labels[:, columns[0]] > 0, columns[0]].mean() > probabilities[:, columns[1]].mean()
    assert not {path.name for path in trained_teacher.iterdir()} & {"optimizer.pt", "pytorch_model.bin"}
    assert (trained_teacher / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_interrupted_training_resumes_with_equal_results(
    tmp_path: Path, trained_teacher: Path, config: TeacherConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run interrupted in the third epoch ends with the same history and bit-identical weights."""
    out, epoch, messages = tmp_path / "teacher", EncoderRun.epoch, list[str]()

    def interrupted_epoch(run: EncoderRun, number: int) -> dict[str, Any]:
        if number == 3:
            raise KeyboardInterrupt
        return epoch(run, number)

    with monkeypatch.context() as patch:
        patch.setattr(EncoderRun, "epoch", interrupted_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_teacher(config, out, print)
    partial = tmp_path / "teacher.partial"
    assert [path.name for path in tmp_path.iterdir()] == [partial.name]
    assert sorted(path.suffix for path in partial.iterdir()) == [
        ".json",
        ".json",
        *[".safetensors"] * len(checkpoints(partial)),
    ]
    (partial / "part.safetensors").write_bytes(b"half")  # left behind by a process killed while writing
    with pytest.raises(UsageError, match=r"an unfinished run has different options: learning_rate, seed; .*--restart"):
        train_teacher(replace(config, learning_rate=1e-3, seed=1), out, print)
    train_teacher(config, out, messages.append)
    assert "resuming after epoch 2" in messages
    assert not [line for line in messages if line.startswith(("epoch 1", "epoch 2"))]
    assert (out / "model.safetensors").read_bytes() == (trained_teacher / "model.safetensors").read_bytes()
    assert read_history(out) == read_history(trained_teacher)
    assert not partial.exists()


def checkpoints(partial: Path) -> list[Path]:
    return list(partial.glob("*.safetensors"))


def read_history(folder: Path) -> list[dict[str, Any]]:
    entries = json.loads((folder / "training.json").read_text(encoding="utf-8"))["history"]
    return [{name: entry[name] for name in ("epoch", "loss", "val_loss", "val_macro_f1")} for entry in entries]


def test_last_and_best_checkpoints_are_kept(tmp_path: Path, config: TeacherConfig) -> None:
    import torch

    rows = load_split(config.data, "train")
    checkpoint = Checkpoint(tmp_path / "out", config, rows, restart=False)
    for epoch, macro in enumerate([0.1, 0.3, 0.2, 0.25], 1):
        checkpoint.add({"epoch": epoch, "val_macro_f1": macro}, {"network.a": torch.zeros(1)})
    assert checkpoint.best == 2
    assert {path.name for path in checkpoints(checkpoint.folder)} == {"epoch-002.safetensors", "epoch-004.safetensors"}


def test_bias_starts_at_the_prior_and_the_head_has_a_higher_learning_rate(config: TeacherConfig) -> None:
    rows = load_split(config.data, "train")
    network, tokenizer = load_encoder(config.base, rows.labels)
    run = EncoderRun(config, network, tokenizer, rows, {"validation": rows}, print)
    prior = rows.labels.mean(axis=0)
    np.testing.assert_allclose(network.classifier.bias.detach(), np.log(prior / (1 - prior)), rtol=1e-5)
    assert np.abs(run.predict_validation("validation").mean(axis=0) - prior).mean() < 0.05
    body, head = run._optimizer.param_groups
    assert head["peak_lr"] == 3 * body["peak_lr"]
    assert {id(parameter) for parameter in head["params"]} == {
        id(network.classifier.weight),
        id(network.classifier.bias),
    }
    total = len(body["params"]) + len(head["params"])
    assert total == len(list(network.parameters()))


def test_learning_rate_warms_up_and_decays(config: TeacherConfig) -> None:
    rows = load_split(config.data, "train")
    run = EncoderRun(
        replace(config, warmup=0.1), *load_encoder(config.base, rows.labels), rows, {"validation": rows}, print
    )
    factors = [run._factor(step) for step in range(6 * 25)]
    assert factors[14] == 1
    assert factors[:15] == sorted(factors[:15])
    assert factors[15:] == sorted(factors[15:], reverse=True)
    assert 0 < factors[0] < 0.1
    assert 0 < factors[-1] < 0.01


def test_batches_group_similar_lengths_and_contain_every_row_once(
    config: TeacherConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "GROUP_BATCHES", 5)
    rows = load_split(config.data, "train")
    run = EncoderRun(config, *load_encoder(config.base, rows.labels), rows, {"validation": rows}, print)
    batches = list(run._shuffle(np.random.default_rng(0)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(rows)))
    lengths = run._lengths("train")
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 0.5 * np.ptp(lengths)
    assert [batch.tolist() for batch in batches] != [batch.tolist() for batch in run._shuffle(np.random.default_rng(1))]


@pytest.mark.parametrize("base", ["nowhere/there", "/not/a/folder"])
def test_missing_encoder_is_rejected(base: str, config: TeacherConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"encoder '{base}' cannot be loaded"):
        train_teacher(replace(config, base=base), tmp_path / "out", print)
    assert not (tmp_path / "out").exists()


def test_pickled_weights_are_rejected(config: TeacherConfig, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = Path(shutil.copytree(config.base, tmp_path / "base"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"cannot be loaded: .*safetensors"):
        load_encoder(str(folder), np.ones((1, len(LABELS)), np.float32))


@pytest.mark.parametrize(
    "option",
    [{"epochs": 0}, {"learning_rate": float("nan")}, {"warmup": 1.0}, {"weight_decay": -1.0}],
)
def test_invalid_options_are_rejected(config: TeacherConfig, option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(option)).replace('_', '-')}"):
        replace(config, **option)
