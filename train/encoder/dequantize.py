"""Write an accurate model as a transformers encoder, to continue its training with `python -m train teacher`."""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from evenmood import EmotionClassifier
from evenmood.errors import DataError
from evenmood.model.model_folder import ONNX_FILE, TOKENIZER_FILE, atomic_folder, check_target
from train.distillation.encoder import save_encoder
from train.encoder.graph import POSITION_TABLE, QUERY_SHAPE, WORD_TABLE
from train.encoder.quantize import restore, unpack_halves
from train.encoder.vocabulary import save_tokenizer

LAYER_PARTS = {
    "output": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Names of a layer's parts in the ONNX graph and in transformers; query, key and value are one matmul in the graph."""


def dequantize(model: str, out: Path, *, overwrite: bool = False) -> None:
    """Write the network and the tokenizer of an accurate model as a `BertForSequenceClassification` in float32.

    The weights have the rounding errors of quantization; the calibration of the output layer is included. The key bias
    of the last layer is zero: it does not affect attention.

    Args:
        model: `accurate`, a folder written by `python -m train encoder`, or a Hub id.
        out: Encoder folder.
        overwrite: Whether to replace an existing folder.

    Raises:
        UsageError: `out` exists.
        ModelError: The model cannot be loaded.
        DataError: The model is not an encoder.
    """
    import onnx
    import torch
    from onnx import numpy_helper
    from transformers import BertConfig, BertForSequenceClassification

    check_target(out, overwrite)
    classifier = EmotionClassifier.from_pretrained(model)
    if classifier.info.kind != "encoder":
        raise DataError(f"{model} is a {classifier.info.kind} model; expected accurate, or a model from: train encoder")
    with tempfile.TemporaryDirectory() as temporary:
        folder = classifier.save_pretrained(Path(temporary) / "model")
        graph = onnx.load(folder / ONNX_FILE).graph
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    if QUERY_SHAPE not in tensors:
        raise DataError(f"{model} is from an older version of evenmood; export it again with: python -m train encoder")
    layers = sum(re.fullmatch(r"layer\d+_output_b", name) is not None for name in tensors)
    weights = _weights(tensors, layers)
    positions, hidden = weights["bert.embeddings.position_embeddings.weight"].shape
    config = BertConfig(
        vocab_size=len(weights["bert.embeddings.word_embeddings.weight"]),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=int(numpy_helper.to_array(tensors[QUERY_SHAPE])[1]),
        intermediate_size=len(weights["bert.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=positions,
        type_vocab_size=1,
        layer_norm_eps=_epsilon(graph),
        id2label=dict(enumerate(classifier.labels)),
        label2id={label: number for number, label in enumerate(classifier.labels)},
        problem_type="multi_label_classification",
    )
    network = BertForSequenceClassification(config)
    network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    with atomic_folder(out, overwrite) as work_folder:
        save_encoder(network, "float32", work_folder)
        save_tokenizer(tokenizer, work_folder)


def _weights(tensors: dict[str, Any], layers: int) -> dict[str, np.ndarray]:
    """Return the network's weights by their names in transformers."""
    from onnx import numpy_helper

    def array(name: str) -> np.ndarray:
        return np.asarray(numpy_helper.to_array(tensors[name]), np.float32)

    weights = {
        "bert.embeddings.word_embeddings.weight": _word_vectors(tensors),
        "bert.embeddings.position_embeddings.weight": _matrix(tensors, POSITION_TABLE).T,
    }
    # The graph's positions include the only segment embedding.
    weights["bert.embeddings.token_type_embeddings.weight"] = np.zeros(
        (1, weights["bert.embeddings.position_embeddings.weight"].shape[1]), np.float32
    )
    parts = {"embedding_norm": "bert.embeddings.LayerNorm", "pooler": "bert.pooler.dense", "logits": "classifier"}
    for number in range(layers):
        layer = f"bert.encoder.layer.{number}"
        parts |= {f"layer{number}_{part}": f"{layer}.{name}" for part, name in LAYER_PARTS.items()}
        if number < layers - 1:
            kernels = np.split(_matrix(tensors, f"layer{number}_qkv_w"), 3)
            biases = np.split(array(f"layer{number}_qkv_b"), 3)
        else:
            kernels = [
                _matrix(tensors, f"layer{number}_q_w"),
                *np.split(_matrix(tensors, f"layer{number}_kv_w"), 2),
            ]
            query, value = array(f"layer{number}_q_b"), array(f"layer{number}_v_b")
            biases = [query, np.zeros_like(query), value]
        for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
            weights |= {
                f"{layer}.attention.self.{part}.weight": kernel,
                f"{layer}.attention.self.{part}.bias": bias,
            }
    for part, name in parts.items():
        is_norm = f"{part}_gamma" in tensors
        weights[f"{name}.weight"] = array(f"{part}_gamma") if is_norm else _matrix(tensors, f"{part}_w")
        weights[f"{name}.bias"] = array(f"{part}_beta" if is_norm else f"{part}_b")
    return weights


def _matrix(tensors: dict[str, Any], name: str) -> np.ndarray:
    """Return a matrix, dequantized and transposed: float32 of shape (outputs, inputs) for a matmul, as in PyTorch."""
    from onnx import numpy_helper

    if name in tensors:
        return np.asarray(numpy_helper.to_array(tensors[name]).T)
    codes, scales = (numpy_helper.to_array(tensors[f"{name}_{part}"]) for part in ("codes", "scales"))
    if codes.dtype == np.uint8:
        codes = unpack_halves(codes)
    return np.asarray((codes * scales).reshape(len(codes), -1))


def _word_vectors(tensors: dict[str, Any]) -> np.ndarray:
    """Dequantize the token table: float32 of shape (tokens, size)."""
    from onnx import numpy_helper

    codes, scales = (numpy_helper.to_array(tensors[name]) for name in (WORD_TABLE, f"{WORD_TABLE}_scales"))
    return restore(np.asarray(codes, np.float32), scales)


def _epsilon(graph: Any) -> Any:
    """Return the attribute `epsilon` of the first layer normalization."""
    from onnx import helper

    node = next(node for node in graph.node if node.op_type == "LayerNormalization")
    return next(helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == "epsilon")
