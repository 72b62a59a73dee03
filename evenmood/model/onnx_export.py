"""Load ONNX text classifiers that were exported with optimum or another tool."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from evenmood.errors import ModelError, UsageError
from evenmood.labels import label_problem
from evenmood.model import hub
from evenmood.model.loading import LoadedModel
from evenmood.model.model_folder import ModelInfo, check_thresholds
from evenmood.onnx.backend_errors import is_backend_error, one_line
from evenmood.onnx.network import Activation, Network, open_session
from evenmood.onnx.onnx_files import check_self_contained
from evenmood.text.encoder_tokenizer import EncoderTokenizer

CONFIG_FILE, TOKENIZER_FILE = "config.json", "tokenizer.json"
NETWORK_FILES = ("onnx/model.onnx", "model.onnx", "onnx/model_quantized.onnx", "model_quantized.onnx")
"""Paths used by optimum (https://huggingface.co/docs/optimum-onnx), in order of preference."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MAX_TOKENS = 512
"""Maximum length in tokens: the limit of most encoders."""
DEFAULT_THRESHOLD = 0.5


def find(
    model: str | Path,
    file_name: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> tuple[Path, str]:
    """Find an export, downloading it if it is on the Hub; returns its folder and the name of the network file.

    Raises:
        ModelError: The folder or repository does not exist, or a file is missing.
    """
    names = NETWORK_FILES if file_name is None else (file_name,)
    if Path(model).is_dir():
        folder = Path(model)
        missing = [name for name in (CONFIG_FILE, TOKENIZER_FILE) if not (folder / name).is_file()]
        network_file = next((name for name in names if (folder / name).is_file()), None)
        if missing or network_file is None:
            missing += [] if network_file else [" or ".join(names)]
            raise ModelError(f"{folder}: not an ONNX export, missing files: {', '.join(missing)}")
        return folder, network_file
    for name in names:  # one at a time: each may have hundreds of megabytes
        folder = hub.download_files(
            str(model),
            [CONFIG_FILE, TOKENIZER_FILE, name],
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            error_class=ModelError,
        )
        if (folder / name).is_file():
            return find(folder, name)
    raise ModelError(f"{model}: not an ONNX export, missing files: {' or '.join(names)}")


def load_export(
    folder: Path,
    file_name: str,
    labels: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | float | None = None,
    max_length: int | None = None,
) -> LoadedModel:
    """Load a text classifier exported with another tool.

    Args:
        folder: Folder with `config.json`, `tokenizer.json` and the network.
        file_name: Name of the network file.
        labels: Label of each output; by default, those in `id2label` of `config.json`.
        thresholds: Threshold of each label, or one for all labels; 0.5 by default.
        max_length: Maximum length in tokens; by default, that of tokenizer and configuration, at most 512.

    Raises:
        ModelError: A file is corrupt, has external weights, or is inconsistent with the others.
        UsageError: Labels, thresholds or length do not match the network.
    """
    config = _config(folder / CONFIG_FILE)
    tokenizer, declared = _tokenizer(folder / TOKENIZER_FILE)
    path = folder / file_name
    content = path.read_bytes()
    try:
        check_self_contained(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    session = open_session(content, path, limited=True)
    inputs = [entry.name for entry in session.get_inputs()]
    outputs = session.get_outputs()
    if "input_ids" not in inputs or any(name not in INPUTS for name in inputs) or len(outputs) != 1:
        raise ModelError(
            f"{path}: inputs {', '.join(inputs):.100} and {len(outputs)} outputs; expected inputs from "
            f"{', '.join(INPUTS)}, and one output, the logits of a text classifier"
        )
    names = _labels(config, labels, outputs[0].shape, folder)
    thresholds_by_label = dict.fromkeys(names, DEFAULT_THRESHOLD)
    if thresholds is not None:
        by_label = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(names, thresholds)
        thresholds_by_label |= check_thresholds(by_label, names, "thresholds", UsageError)
    size = _length(config, declared, max_length)
    pad_id = config.get("pad_token_id")
    activation: Activation = "softmax" if config.get("problem_type") == "single_label_classification" else "sigmoid"
    network = Network(
        session,
        tuple(inputs),
        outputs[0].name,
        np.int32 if session.get_inputs()[0].type == "tensor(int32)" else np.int64,
        pad_id if isinstance(pad_id, int) else 0,
        activation,
    )
    info = ModelInfo(names, thresholds_by_label, size, attention=False, trained_from={}, kind="onnx")
    return LoadedModel({}, info, EncoderTokenizer(tokenizer, size, network.pad_id), network)


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({one_line(error)})") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: expected an object, found {type(config).__name__}")
    return config


def _tokenizer(path: Path) -> tuple[Tokenizer, int | None]:
    """Load a tokenizer without truncation and padding, and return its original maximum length too."""
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        declared = tokenizer.truncation["max_length"] if tokenizer.truncation else None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("Does it work?")
    except BaseException as error:
        if not (is_backend_error(error) or isinstance(error, (OSError, UnicodeDecodeError))):
            raise
        raise ModelError(f"{path}: not a tokenizer ({one_line(error)}); download or export it again") from None
    return tokenizer, declared


def _labels(
    config: Mapping[str, Any], labels: Sequence[str] | None, shape: Sequence[Any], folder: Path
) -> tuple[str, ...]:
    if labels is not None:
        names, where = list(labels), "labels"
    else:
        by_id = config.get("id2label")
        if not isinstance(by_id, dict) or any(str(number) not in by_id for number in range(len(by_id))):
            raise ModelError(f"{folder / CONFIG_FILE}: no id2label with a label for each output; pass labels=")
        names, where = [by_id[str(number)] for number in range(len(by_id))], f"{folder / CONFIG_FILE}"
    if problem := label_problem(names):
        raise (ModelError if labels is None else UsageError)(f"{where}: {problem}")
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != len(names)):
        raise (ModelError if labels is None else UsageError)(
            f"{where}: {len(names)} labels do not match the network's output of shape {list(shape)}"
        )
    return tuple(names)


def _length(config: Mapping[str, Any], declared: int | None, max_length: int | None) -> int:
    positions = config.get("max_position_embeddings")
    # RoBERTa's positions start at the padding id plus one.
    offset = 2 if config.get("model_type") in ("roberta", "xlm-roberta", "camembert") else 0
    limit = positions - offset if isinstance(positions, int) and positions > offset else MAX_TOKENS
    if max_length is not None:
        if not 8 <= max_length <= limit:
            raise UsageError(f"max_length is {max_length}; expected 8 to {limit}")
        return max_length
    return max(8, min(declared or MAX_TOKENS, limit, MAX_TOKENS))
