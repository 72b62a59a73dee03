"""Validate an encoder before running it: allowed operators, no subgraphs, known tokenizer components."""

import json

from tokenizers import Tokenizer

from evenmood.errors import ModelError
from evenmood.onnx.protobuf import BYTES, Message, fields, unsupported_model_error
from evenmood.onnx.tokenizer_check import check_word_length, steps
from evenmood.text.normalization import UNKNOWN

MAX_BYTES = 64 << 20
"""Maximum size of `model.onnx` in bytes: several times that of the largest supported encoder."""
OPERATORS = (
    "Add",
    "Cast",
    "Concat",
    "DequantizeLinear",
    "Div",
    "Equal",
    "Erf",
    "Gather",
    "Gelu",
    "Gemm",
    "Identity",
    "LayerNormalization",
    "MatMul",
    "MatMulInteger",
    "Mul",
    "Not",
    "Pow",
    "QuantizeLinear",
    "ReduceMean",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
    "com.microsoft.GatherBlockQuantized",
    "com.microsoft.MatMulNBits",
    "com.microsoft.MultiHeadAttention",
)
"""Allowed operators: those of transformers and of `python -m train encoder`; none of them loops or calls a subgraph."""
NORMALIZERS = ("BertNormalizer", "Replace")
SPLITTERS = ("BertPreTokenizer", "Split")
_GRAPH_FIELD, _NODE_FIELD = 7, 1
_FUNCTIONS, _SUBGRAPHS = 25, (6, 11)


def check_operators(content: bytes) -> None:
    """Reject a graph with operators other than `OPERATORS`, with functions or with subgraphs.

    Raises:
        ModelError: The graph has any of these, or the file is too large.
    """
    if len(content) > MAX_BYTES:
        raise ModelError(f"the file is {len(content) / 1e6:.0f} MB; expected at most {MAX_BYTES / 1e6:.0f} MB")
    for field, kind, begin, end in fields(content, 0, len(content)):
        if field == _FUNCTIONS:
            raise unsupported_model_error("it has functions")
        if field == _GRAPH_FIELD and kind == BYTES:
            _check_nodes(content, begin, end)


def _check_nodes(content: bytes, begin: int, end: int) -> None:
    for field, kind, start, stop in fields(content, begin, end):
        if field != _NODE_FIELD or kind != BYTES:
            continue
        node = Message(content, start, stop, "an operator", dict.fromkeys((1, 2, 3, 4, 5, 6, 7), BYTES))
        domain = node.text(7)
        name = f"{domain}.{node.text(4)}" if domain not in ("", "ai.onnx") else node.text(4)
        if name not in OPERATORS:
            raise unsupported_model_error(f"unexpected operator {name!a:.60}")
        for span in node.spans(5):
            if any(inner in _SUBGRAPHS for inner, _, _, _ in fields(content, *span)):
                raise unsupported_model_error(f"operator {name} has a subgraph")


def check_encoder_tokenizer(tokenizer: Tokenizer) -> None:
    """Reject tokenizer components other than BERT's.

    Raises:
        ModelError: The tokenizer has another component.
    """
    model = type(tokenizer.model).__name__
    if model != "WordPiece":
        raise ModelError(f"unexpected model {model}; expected WordPiece")
    if tokenizer.model.unk_token != UNKNOWN:
        raise ModelError(f"the unknown token is {tokenizer.model.unk_token!a:.40}; expected {UNKNOWN}")
    check_word_length(tokenizer)
    if tokenizer.get_added_tokens_decoder():
        raise ModelError("unexpected added tokens")
    for step in steps(tokenizer.normalizer):
        if step["type"] not in NORMALIZERS:
            raise ModelError(f"unexpected normalizer {step['type']}")
        if step["type"] == "Replace" and step["content"]:
            raise ModelError("a normalizer step can lengthen texts; expected none")
    for step in steps(tokenizer.pre_tokenizer):
        if step["type"] not in SPLITTERS:
            raise ModelError(f"unexpected pre-tokenizer {step['type']}")
    ending = tokenizer.post_processor
    if ending is None or json.loads(ending.__getstate__())["type"] != "TemplateProcessing":
        raise ModelError("unexpected post-processor; expected TemplateProcessing")
    if len(tokenizer.encode("a").ids) > 8:
        raise ModelError("the post-processor lengthens texts")
