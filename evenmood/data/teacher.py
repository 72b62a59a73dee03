"""The teacher: any text-classification model with the 28 labels, asked for all its probabilities."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenmood.classifier import EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, ModelError
from evenmood.labels import LABELS
from evenmood.model.loading import local_folder
from evenmood.model.model_folder import INFO_FILE
from evenmood.onnx.foreign_errors import one_line
from evenmood.onnx.onnx_files import check_self_contained
from evenmood.text.symbols import spell_out

TEACHER = "SamLowe/roberta-base-go_emotions"
MAX_TOKENS = 128
"""Word pieces that a text is cut to: a tweet has 30 on average."""
Runtime = Literal["torch", "onnx"]


class Teacher:
    """A loaded model and its tokenizer."""

    def __init__(self, model: str, *, runtime: Runtime = "torch", batch_size: int = 64) -> None:
        """Load the model; no code of the repository is run, and nothing is unpickled.

        The graph of a teacher in ONNX may be any: it reads no other files, yet it may take any amount of memory and
        time. Name a model whose author you trust.

        Args:
            model: Folder or Hub id of a transformers sequence classifier; for `onnx` one that holds `model.onnx` or
                `onnx/model.onnx`. Or the folder of a model of our own, which runs on onnxruntime in any case.
            runtime: `torch` (on a GPU where there is one, in bfloat16 where the processor has it) or `onnx`.
            batch_size: Texts of similar length that go through the network at a time.

        Raises:
            DataError: No such model, or a label is missing; the message lists which.
        """
        self.model, self.batch_size = model, batch_size
        self._own: EmotionClassifier | None = None
        try:
            folder = local_folder(model, None)
        except ModelError as error:
            raise DataError(f"teacher {error}") from None
        if folder and (folder / INFO_FILE).is_file():
            self._own = EmotionClassifier.from_pretrained(folder)
            self._columns = label_columns(dict(enumerate(self._own.labels)), model)
            return
        model = str(folder or model)
        from transformers import AutoConfig, AutoTokenizer

        try:
            config = AutoConfig.from_pretrained(model, trust_remote_code=False)
            self._tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
            self._columns = label_columns(config.id2label, model)
            self._run = _torch_runner(model) if runtime == "torch" else _onnx_runner(model)
        except EvenmoodError:
            raise
        except (OSError, ValueError) as error:
            raise DataError(f"teacher {model!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from None

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each label for each text: float32, shape (n, 28), columns in GoEmotions' order."""
        found = np.empty((len(texts), len(LABELS)), np.float32)
        if not texts:
            return found
        if self._own:
            return self._own.predict_proba(texts)[:, self._columns]
        encoded = tokenize(self._tokenizer, texts, MAX_TOKENS)
        order = np.argsort([len(ids) for ids in encoded["input_ids"]], kind="stable")  # no time is spent on padding
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = self._tokenizer.pad(
                {name: [values[row] for row in rows] for name, values in encoded.items()}, return_tensors="np"
            )
            logits = self._run(dict(batch))
            found[rows] = 1 / (1 + np.exp(-logits[:, self._columns]))
        return found


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> Any:
    """Word pieces of texts, cut to a length; emoji that the vocabulary lacks are spelled out rather than unknown."""

    @functools.cache
    def known(symbol: str) -> bool:
        unknown = tokenizer.unk_token_id
        return unknown is None or unknown not in tokenizer.encode(symbol, add_special_tokens=False)

    return tokenizer([spell_out(text, known) for text in texts], truncation=True, max_length=max_tokens)


def label_columns(names: dict[int, str], model: str) -> list[int]:
    """Index of each GoEmotions label among a model's labels, matched by name.

    Raises:
        DataError: A label is missing.
    """
    by_name = {str(name).strip().lower(): int(column) for column, name in names.items()}
    absent = [label for label in LABELS if label not in by_name]
    if absent:
        raise DataError(f"teacher {model!r} has {len(by_name)} labels and lacks {', '.join(absent)}")
    return [by_name[label] for label in LABELS]


def torch_device() -> tuple[str, bool]:
    """What torch runs on here, `cuda` or `cpu`, and whether bfloat16 is fast on it."""
    import torch

    if torch.cuda.is_available():
        return "cuda", True
    return "cpu", bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _torch_runner(model: str) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification

    device, half = torch_device()
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    network = network.to(device, torch.bfloat16 if half else torch.float32).eval()

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        tensors = {name: torch.from_numpy(values).to(device) for name, values in batch.items()}
        with torch.inference_mode():
            logits: np.ndarray = network(**tensors).logits.float().cpu().numpy()
        return logits

    return run


def _onnx_runner(model: str) -> Any:
    import onnxruntime

    from evenmood.model import hub

    names = ("model.onnx", "onnx/model.onnx")
    folder = Path(model) if Path(model).is_dir() else hub.fetch(model, list(names))
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"teacher {model!r} holds no {' and no '.join(names)}; use --runtime torch")
    content = path.read_bytes()
    try:
        check_self_contained(content)
    except ModelError as error:
        raise DataError(f"teacher {model!r}: {path.name}: {error}") from None
    try:
        session = onnxruntime.InferenceSession(content, providers=onnxruntime.get_available_providers())
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise DataError(f"teacher {model!r}: {path.name}: damaged or not an ONNX model ({one_line(error)})") from None
    if len(session.get_outputs()) != 1:
        names_of = ", ".join(output.name for output in session.get_outputs())
        raise DataError(f"teacher {model!r}: {path.name} gives {names_of:.100}; expected the logits alone")
    wanted = {entry.name for entry in session.get_inputs()}

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        inputs = {name: values.astype(np.int64) for name, values in batch.items() if name in wanted}
        try:
            (logits,) = session.run(None, inputs)
        except Exception as error:
            raise DataError(f"teacher {model!r}: {path.name} fails ({one_line(error)})") from None
        return np.asarray(logits, np.float32)

    return run


def fingerprint(model: str) -> str:
    """What tells one teacher from another in a manifest: the hash of a folder's weights, or the Hub id."""
    from evenmood.data.build_folder import sha256

    folder = Path(model)
    if not folder.is_dir():
        return model
    files = [path for name in ("*.safetensors", "*.onnx", "onnx/*.onnx") for path in sorted(folder.glob(name))]
    return json.dumps({path.name: sha256(path)[:16] for path in files}) if files else model
