"""Build the ONNX graph of a BERT encoder with a classification head, from token ids to probabilities."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood.errors import DataError

OPSET, IR_VERSION = 21, 10
CONTRIBUTED = "com.microsoft"
"""Domain of onnxruntime's operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md"""
WORD_TABLE, POSITION_TABLE = "word_table", "position_table"
"""Names of the embedding tables."""
QUERY_SHAPE = "query_shape"
"""Name of the last layer's query shape: (texts, heads, 1, size of a head)."""


def encoder_graph(folder: Path, max_length: int) -> Any:
    """Build the graph of a fine-tuned encoder in float32.

    Query, key and value are computed by one matmul, and attention by one operator, except in the last layer. The head
    reads only the first token, so the last layer computes only that token's output, from the keys and values of all
    tokens. The mask is derived from the ids, whose padding is 0. All segment ids are 0, so their embedding is folded
    into the position embeddings.

    Args:
        folder: Folder with `config.json` and `model.safetensors` of a `BertForSequenceClassification`.
        max_length: Number of positions.

    Returns:
        An `onnx.ModelProto` with input `input_ids`, int32 of shape (texts, time), and output `probabilities`, float32
        of shape (texts, labels).

    Raises:
        DataError: The folder contains another kind of network, or has fewer positions.
    """
    import onnx
    from onnx import TensorProto, helper
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        architecture = f"{config.get('model_type')} with {config.get('hidden_act')}"
        raise DataError(f"{folder}: {architecture}; expected a bert encoder with gelu")
    if config["max_position_embeddings"] < max_length:
        raise DataError(f"{folder}: {config['max_position_embeddings']} positions; expected at least {max_length}")
    weights = {name: array.astype(np.float32) for name, array in load_file(folder / "model.safetensors").items()}
    build = _Builder(weights, float(config["layer_norm_eps"]))
    heads = config["num_attention_heads"]

    build.constant("zero", np.array(0, np.int32))
    build.node("Equal", ["input_ids", "zero"], "padding")
    build.node("Not", ["padding"], "no_padding")
    build.node("Cast", ["no_padding"], "mask", to=TensorProto.INT32)
    build.constant(WORD_TABLE, weights["bert.embeddings.word_embeddings.weight"])
    build.node("Gather", [WORD_TABLE, "input_ids"], "words")
    positions = weights["bert.embeddings.position_embeddings.weight"][:max_length]
    build.constant(POSITION_TABLE, positions + weights["bert.embeddings.token_type_embeddings.weight"][0])
    build.constant("begin", np.array([0], np.int64))
    build.node("Shape", ["input_ids"], "time", start=1, end=2)
    build.node("Slice", [POSITION_TABLE, "begin", "time", "begin"], "positions")
    build.node("Add", ["words", "positions"], "embedded")
    stream = build.norm("embedded", "bert.embeddings.LayerNorm", "embedding_norm")
    for number in range(config["num_hidden_layers"]):
        layer, name = f"bert.encoder.layer.{number}", f"layer{number}"
        parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        if number < config["num_hidden_layers"] - 1:
            attended = build.attention(stream, parts, heads, name)
        else:
            build.constant("first", np.array(0, np.int64))
            build.node("Gather", [stream, "first"], "first_token", axis=1)
            attended = build.first_token_attention("first_token", stream, parts, heads, name)
            stream = "first_token"
        output = build.dense(attended, f"{layer}.attention.output.dense", f"{name}_output")
        build.node("Add", [output, stream], f"{name}_residual1")
        stream = build.norm(f"{name}_residual1", f"{layer}.attention.output.LayerNorm", f"{name}_norm1")
        inner = build.dense(stream, f"{layer}.intermediate.dense", f"{name}_inner")
        build.node("Gelu", [inner], f"{name}_gelu")
        outer = build.dense(f"{name}_gelu", f"{layer}.output.dense", f"{name}_outer")
        build.node("Add", [outer, stream], f"{name}_residual2")
        stream = build.norm(f"{name}_residual2", f"{layer}.output.LayerNorm", f"{name}_norm2")
    build.node("Tanh", [build.dense(stream, "bert.pooler.dense", "pooler")], "pooled")
    build.node("Sigmoid", [build.dense("pooled", "classifier", "logits")], "probabilities")

    labels = len(weights["classifier.bias"])
    graph = helper.make_graph(
        build.nodes,
        "encoder",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["texts", "time"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", labels])],
        build.tensors,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="evenmood")
    onnx.checker.check_model(model)
    return model


class _Builder:
    """Nodes and weights of a graph, in order."""

    def __init__(self, weights: dict[str, np.ndarray], epsilon: float) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._weights, self._epsilon = weights, epsilon

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))

    def attention(self, stream: str, parts: Sequence[str], heads: int, name: str) -> str:
        product = self.product(stream, parts, f"{name}_qkv")
        split = [f"{name}_q", f"{name}_k", f"{name}_v"]
        self.node("Split", [product], *split, axis=-1, num_outputs=3)
        bias = self.constant(f"{name}_qkv_b", np.concatenate([self._weights[f"{part}.bias"] for part in parts]))
        inputs = [*split, bias, "mask"]
        self.node("MultiHeadAttention", inputs, f"{name}_attended", domain=CONTRIBUTED, num_heads=heads)
        return f"{name}_attended"

    def first_token_attention(self, first: str, stream: str, parts: Sequence[str], heads: int, name: str) -> str:
        """Compute the attention of the first token, of shape (texts, size), to all tokens.

        With fewer queries than keys, `MultiHeadAttention` masks the wrong tokens in onnxruntime 1.20. The bias of the
        keys is omitted: it adds the same number to all scores of a query, which softmax ignores.
        """
        from onnx import TensorProto

        query, key, value = parts
        size = len(self._weights[f"{query}.bias"])
        self.dense(first, query, f"{name}_q")
        self.constant("score_scale", np.array((size / heads) ** -0.5, np.float32))
        self.node("Mul", [f"{name}_q", "score_scale"], f"{name}_q_scaled")
        self.constant(QUERY_SHAPE, np.array([0, heads, 1, size // heads], np.int64))
        self.node("Reshape", [f"{name}_q_scaled", QUERY_SHAPE], f"{name}_q_by_head")

        product = self.product(stream, (key, value), f"{name}_kv")
        self.node("Split", [product], f"{name}_k", f"{name}_v", axis=-1, num_outputs=2)
        self.constant("key_shape", np.array([0, -1, heads, size // heads], np.int64))
        for part, axes in (("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
            self.node("Reshape", [f"{name}_{part}", "key_shape"], f"{name}_{part}_split")
            self.node("Transpose", [f"{name}_{part}_split"], f"{name}_{part}_by_head", perm=axes)

        self.node("Cast", ["padding"], "padding_float", to=TensorProto.FLOAT)
        self.constant("mask_value", np.array(-10_000, np.float32))
        self.node("Mul", ["padding_float", "mask_value"], "mask_scores")
        self.constant("head_and_query", np.array([1, 2], np.int64))
        self.node("Unsqueeze", ["mask_scores", "head_and_query"], "attention_bias")

        self.node("MatMul", [f"{name}_q_by_head", f"{name}_k_by_head"], f"{name}_scores")
        self.node("Add", [f"{name}_scores", "attention_bias"], f"{name}_masked_scores")
        self.node("Softmax", [f"{name}_masked_scores"], f"{name}_attention_weights", axis=-1)
        self.node("MatMul", [f"{name}_attention_weights", f"{name}_v_by_head"], f"{name}_attended_by_head")
        self.constant("output_shape", np.array([0, size], np.int64))
        self.node("Reshape", [f"{name}_attended_by_head", "output_shape"], f"{name}_attended_values")
        self.constant(f"{name}_v_b", self._weights[f"{value}.bias"])
        self.node("Add", [f"{name}_attended_values", f"{name}_v_b"], f"{name}_attended")
        return f"{name}_attended"

    def product(self, hidden: str, sources: Sequence[str], name: str) -> str:
        """Multiply by the kernels of dense layers, side by side, without their biases."""
        kernels = [self._weights[f"{source}.weight"] for source in sources]
        self.constant(f"{name}_w", np.concatenate(kernels).T)
        self.node("MatMul", [hidden, f"{name}_w"], f"{name}_product")
        return f"{name}_product"

    def dense(self, hidden: str, source: str, name: str) -> str:
        product = self.product(hidden, (source,), name)
        self.constant(f"{name}_b", self._weights[f"{source}.bias"])
        self.node("Add", [product, f"{name}_b"], name)
        return name

    def norm(self, hidden: str, source: str, name: str) -> str:
        self.constant(f"{name}_gamma", self._weights[f"{source}.weight"])
        self.constant(f"{name}_beta", self._weights[f"{source}.bias"])
        inputs = [hidden, f"{name}_gamma", f"{name}_beta"]
        self.node("LayerNormalization", inputs, name, axis=-1, epsilon=self._epsilon)
        return name
