"""Network: an onnxruntime session that converts token ids to probabilities."""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np

# Disable onnxruntime's telemetry, which has to be set before the import:
# https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from evenmood.errors import ModelError
from evenmood.onnx.backend_errors import one_line
from evenmood.text.normalization import PAD_ID

Activation = Literal["sigmoid", "softmax"]
MAX_MEMORY = 4 << 30
"""Maximum memory in bytes of all networks with arbitrary operators in a process."""
_LIMITING, _limited = Lock(), False


@dataclass(frozen=True)
class Network:
    """A session and its interface.

    Attributes:
        session: Session that converts token ids to probabilities or logits.
        inputs: Names of the inputs: `input_ids`, and `attention_mask` or `token_type_ids` if the graph requires them.
        output: Name of the output.
        dtype: Type of the token ids.
        pad_id: Padding id.
        activation: Activation to apply to logits; None if the output is probabilities.
    """

    session: onnxruntime.InferenceSession
    inputs: tuple[str, ...] = ("input_ids",)
    output: str = "probabilities"
    dtype: type[np.signedinteger] = np.int32
    pad_id: int = PAD_ID
    activation: Activation | None = None

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Predict probabilities, float32 of shape (n, labels), from token ids, int32 of shape (n, time)."""
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
    """Create a single-threaded session; `inference` runs batches in parallel.

    Args:
        content: A validated ONNX model.
        path: Path of the model, for error messages.
        limited: Whether to limit memory to `MAX_MEMORY`, for graphs of unknown size.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if limited:
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.log_severity_level = 4  # errors are raised; do not print them too
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise ModelError(
            f"{path}: corrupt or not an ONNX model ({one_line(error)}); download or export it again"
        ) from None


def _limit_memory() -> None:
    """Register the allocator of limited sessions, once per process."""
    global _limited
    with _LIMITING:
        if not _limited:
            kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
            info = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
            arena = onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY, "arena_extend_strategy": 1})
            onnxruntime.create_and_register_allocator(info, arena)
            _limited = True
