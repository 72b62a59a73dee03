"""Export a fine-tuned encoder as a model folder: quantized graph, tokenizer, thresholds, metrics, card."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from tokenizers import Tokenizer

from evenmood import LABELS, EmotionClassifier, __version__
from evenmood.data.splits import load_split
from evenmood.data.teacher import MAX_TOKENS
from evenmood.errors import DataError
from evenmood.evaluation.calibration import fit_platt, scale_head
from evenmood.model.model_folder import (
    INFO_FILE,
    ONNX_FILE,
    TOKENIZER_FILE,
    TRAINING_FOLDER,
    ModelInfo,
    atomic_folder,
    check_target,
    write_info,
    write_text,
)
from evenmood.onnx.vocabulary import SIZE_KEY
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.text.normalization import MAX_WORD_CHARS
from evenmood.thresholds import tune_thresholds
from train.distillation.teacher import read_record
from train.encoder.graph import encoder_graph
from train.encoder.quantize import quantize
from train.encoder.vocabulary import SPECIAL, wordpiece
from train.evaluation.evaluate import OFFICIAL_THRESHOLDS, evaluate
from train.evaluation.everyday import score_everyday
from train.evaluation.validation import ValidationRows
from train.network.onnx_metadata import add_vocabulary_digest
from train.release.card import QUANTIZATION_FILE, TERMS_FILE, write_card

Log = Callable[[str], None]
BATCH_TEXTS = 16


def export(teacher: Path, out: Path, log: Log, *, terms: Path | None = None, overwrite: bool = False) -> dict[str, Any]:
    """Write the model folder, with thresholds tuned on validation texts.

    Args:
        teacher: Folder written by `python -m train teacher`.
        out: Model folder.
        log: Called with progress messages.
        terms: Markdown file for the license section of the card.
        overwrite: Whether to replace an existing folder.

    Returns:
        Macro-F1 before and after quantization on both validation sets, the largest difference of a probability, and
        file sizes in bytes.

    Raises:
        UsageError: `out` exists.
        DataError: The teacher folder is invalid, or its data cannot be read.
    """
    check_target(out, overwrite)
    record = read_record(teacher)
    trained = record["config"]
    validation = load_split(trained["data"], "validation")
    rows = ValidationRows.of(validation, everyday=bool(trained["extra"]))
    with atomic_folder(out, overwrite) as work_folder:
        (work_folder / TRAINING_FOLDER).mkdir()
        tokenizer = _tokenizer(teacher)
        tokenizer.save(str(work_folder / TOKENIZER_FILE))
        reader = EncoderTokenizer(tokenizer, MAX_TOKENS)
        model = encoder_graph(teacher, MAX_TOKENS)
        full = _probabilities(model, reader, rows.texts)
        labels, probabilities = rows.repeated(full)
        _calibrate_head(model, labels, probabilities)
        full = _probabilities(model, reader, rows.texts)
        log("quantizing")
        quantize(model)
        entry = model.metadata_props.add()
        entry.key, entry.value = SIZE_KEY, str(tokenizer.get_vocab_size())
        (work_folder / ONNX_FILE).write_bytes(model.SerializeToString(deterministic=True))
        add_vocabulary_digest(work_folder)
        training_options = trained | {"word_pieces": tokenizer.get_vocab_size(), "evenmood": __version__}
        info = ModelInfo(tuple(LABELS), dict.fromkeys(LABELS, 0.5), MAX_TOKENS, False, training_options, kind="encoder")
        write_info(work_folder, info)
        quantized = EmotionClassifier(work_folder).predict_proba(rows.texts)
        thresholds = tune_thresholds(rows.labels, rows.mask(quantized), "shrunk", repeats=rows.repeats)
        official = tune_thresholds(validation.labels, quantized[: len(validation)], "shrunk")
        write_info(work_folder, replace(info, thresholds=_by_label(thresholds)))
        write_text(
            work_folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS, json.dumps(_by_label(official), indent=1) + "\n"
        )
        write_text(work_folder / TRAINING_FOLDER / "config.json", json.dumps(training_options, indent=1) + "\n")
        comparison = {
            "largest_difference": float(np.abs(quantized - full).max()),
            "validation": _compare_macro_f1(rows, full, quantized, slice(0, len(validation))),
            "bytes": {name: (work_folder / name).stat().st_size for name in (ONNX_FILE, TOKENIZER_FILE, INFO_FILE)},
        }
        if len(rows.texts) > len(validation):
            comparison["everyday"] = _compare_macro_f1(rows, full, quantized, slice(len(validation), None))
        write_text(work_folder / TRAINING_FOLDER / QUANTIZATION_FILE, json.dumps(comparison, indent=1) + "\n")
        if terms:
            shutil.copyfile(terms, work_folder / TRAINING_FOLDER / TERMS_FILE)
        evaluate(work_folder, "validation")
        if trained["extra"]:
            score_everyday(work_folder, "validation")
            write_card(work_folder)
    return comparison


def _tokenizer(teacher: Path) -> Tokenizer:
    """Load the teacher's tokenizer without transformers' additions, for words of at most 60 characters."""
    try:
        state = json.loads((teacher / TOKENIZER_FILE).read_text(encoding="utf-8"))
        tokens = sorted(state["model"]["vocab"], key=state["model"]["vocab"].__getitem__)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{teacher}: no WordPiece tokenizer ({error})") from None
    if tuple(tokens[: len(SPECIAL)]) != SPECIAL:
        raise DataError(f"{teacher}: the vocabulary is not pruned; prune the encoder first with: python -m train prune")
    state["model"]["max_input_chars_per_word"] = MAX_WORD_CHARS
    return wordpiece(state, tokens)


def _probabilities(model: Any, reader: EncoderTokenizer, texts: Sequence[str]) -> np.ndarray:
    """Predict with a float32 graph; texts are truncated."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    order = np.argsort([len(text) for text in texts], kind="stable")
    probabilities = np.empty((len(texts), len(LABELS)), np.float32)
    for start in range(0, len(order), BATCH_TEXTS):
        rows = order[start : start + BATCH_TEXTS]
        ids = reader.encode([texts[row] for row in rows]).ids
        (probabilities[rows],) = session.run(None, {"input_ids": ids})
    return probabilities


def _calibrate_head(model: Any, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Fold Platt scaling into the output layer before quantization."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    kernel, bias = (numpy_helper.to_array(tensors[name]) for name in ("logits_w", "logits_b"))
    scaled = scale_head(kernel, bias, *fit_platt(labels, probabilities))
    for name, value in zip(("logits_w", "logits_b"), scaled, strict=True):
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))


def _compare_macro_f1(rows: ValidationRows, full: np.ndarray, small: np.ndarray, part: slice) -> dict[str, float]:
    """Compute macro-F1 in float32 and quantized, each with thresholds tuned by the method `grid`."""
    macro_f1 = {}
    for name, values in (("macro_f1_float32", full), ("macro_f1_int8", small)):
        labels, probabilities = rows.labels[part], rows.mask(values)[part]
        predicted = probabilities >= tune_thresholds(labels, probabilities)
        macro_f1[name] = float(f1_score(labels, predicted, average="macro", zero_division=0))
    return macro_f1


def _by_label(thresholds: np.ndarray) -> dict[str, float]:
    return dict(zip(LABELS, thresholds.astype(float).round(2).tolist(), strict=True))
