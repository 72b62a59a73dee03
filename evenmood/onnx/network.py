"""An onnxruntime session: token ids in, probabilities out."""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np

# onnxruntime reports its use to its maker, from any process that lives some seconds, unless this is set before it is
# imported: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from evenmood.errors import ModelError
from evenmood.onnx.foreign_errors import one_line
from evenmood.text.normalization import PAD_ID

Activation = Literal["sigmoid", "softmax"]
MOST_MEMORY = 4 << 30
"""Bytes that networks of arbitrary operators may allocate, all of a process together."""
_LIMITING, _limited = Lock(), False


@dataclass(frozen=True)
class Network:
    """A session with its interface.

    Attributes:
        session: Takes token ids, gives probabilities or logits.
        inputs: Names of the inputs: `input_ids`, and with it `attention_mask` or `token_type_ids` if the graph asks.
        output: Name of the output.
        dtype: Type of the token ids.
        pad_id: Id of padding.
        activation: What turns the output into probabilities; None if it is probabilities already.
    """

    session: onnxruntime.InferenceSession
    inputs: tuple[str, ...] = ("input_ids",)
    output: str = "probabilities"
    dtype: type[np.signedinteger] = np.int32
    pad_id: int = PAD_ID
    activation: Activation | None = None

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape (n, labels), of token ids, int32 of shape (n, time)."""
        feeds = {"input_ids": ids.astype(self.dtype, copy=False)}
        if "attention_mask" in self.inputs:
            feeds["attention_mask"] = (ids != self.pad_id).astype(self.dtype)
        if "token_type_ids" in self.inputs:
            feeds["token_type_ids"] = np.zeros_like(feeds["input_ids"])
        (output,) = self.session.run([self.output], feeds)
        if self.activation is None:
            return output  # type: ignore[no-any-return]
        output = np.asarray(output, np.float32)
        if self.activation == "softmax":
            powers = np.exp(output - output.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
        return 1 / (1 + np.exp(-output))  # type: ignore[no-any-return]


def open_session(content: bytes, path: Path, *, limited: bool = False) -> onnxruntime.InferenceSession:
    """Make a session of one thread: `inference` gives each core batches of its own.

    Args:
        content: An ONNX model that has been checked.
        path: Its path, for errors.
        limited: Whether it may allocate `MOST_MEMORY` at the most: for graphs whose sizes are not known beforehand.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if limited:
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.log_severity_level = 4  # errors are raised; onnxruntime prints them too
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise ModelError(
            f"{path}: damaged or not an ONNX model ({one_line(error)}); download or export it again"
        ) from None


def _limit_memory() -> None:
    """Register the allocator of limited sessions, once a process."""
    global _limited
    with _LIMITING:
        if not _limited:
            kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
            info = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
            arena = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": 1})
            onnxruntime.create_and_register_allocator(info, arena)
            _limited = True
