"""The teacher: a text-classification model with the 28 labels, used for its probabilities."""

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
from evenmood.onnx.backend_errors import one_line
from evenmood.onnx.onnx_files import check_self_contained
from evenmood.text.symbols import spell_out

TEACHER = "SamLowe/roberta-base-go_emotions"
MAX_TOKENS = 128
"""Maximum length of a text in word pieces; a tweet has 30 on average."""
Runtime = Literal["torch", "onnx"]


class Teacher:
    """A teacher model and its tokenizer."""

    def __init__(self, model: str, *, runtime: Runtime = "torch", batch_size: int = 64) -> None:
        """Load the model without running remote code and without unpickling.

        An ONNX graph cannot read other files, but its memory and time are not limited: use models of authors you
        trust.

        Args:
            model: Folder or Hub id of a transformers sequence classifier (with `model.onnx` or `onnx/model.onnx` for
                the runtime `onnx`), or an evenmood model folder, which always runs on onnxruntime.
            runtime: `torch` (on a GPU if available, in bfloat16 if the hardware supports it) or `onnx`.
            batch_size: Texts per batch; texts of similar length are batched together.

        Raises:
            DataError: The model cannot be loaded, or labels are missing; the message lists them.
        """
        self.model, self.batch_size = model, batch_size
        self._classifier: EmotionClassifier | None = None
        try:
            folder = local_folder(model, None)
        except ModelError as error:
            raise DataError(f"teacher {error}") from None
        if folder and (folder / INFO_FILE).is_file():
            self._classifier = EmotionClassifier.from_pretrained(folder)
            self._columns = label_columns(dict(enumerate(self._classifier.labels)), model)
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
        """Predict the probability of each label: float32 of shape (n, 28), columns in GoEmotions order."""
        result = np.empty((len(texts), len(LABELS)), np.float32)
        if not texts:
            return result
        if self._classifier:
            return self._classifier.predict_proba(texts)[:, self._columns]
        encoded = tokenize(self._tokenizer, texts, MAX_TOKENS)
        order = np.argsort([len(ids) for ids in encoded["input_ids"]], kind="stable")  # less padding per batch
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = self._tokenizer.pad(
                {name: [values[row] for row in rows] for name, values in encoded.items()}, return_tensors="np"
            )
            logits = self._run(dict(batch))
            result[rows] = 1 / (1 + np.exp(-logits[:, self._columns]))
        return result


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> Any:
    """Tokenize and truncate texts; emoji missing from the vocabulary are replaced with their names."""

    @functools.cache
    def is_in_vocabulary(symbol: str) -> bool:
        unknown_id = tokenizer.unk_token_id
        return unknown_id is None or unknown_id not in tokenizer.encode(symbol, add_special_tokens=False)

    return tokenizer([spell_out(text, is_in_vocabulary) for text in texts], truncation=True, max_length=max_tokens)


def label_columns(names: dict[int, str], model: str) -> list[int]:
    """Return the column of each GoEmotions label in a model's output, matched by name.

    Raises:
        DataError: The model lacks a label.
    """
    by_name = {str(name).strip().lower(): int(column) for column, name in names.items()}
    missing = [label for label in LABELS if label not in by_name]
    if missing:
        raise DataError(f"teacher {model!r} has {len(by_name)} labels and lacks {', '.join(missing)}")
    return [by_name[label] for label in LABELS]


def torch_device() -> tuple[str, bool]:
    """Return the device for torch, `cuda` or `cpu`, and whether it has native bfloat16."""
    import torch

    if torch.cuda.is_available():
        return "cuda", True
    return "cpu", bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _torch_runner(model: str) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification

    device, has_bfloat16 = torch_device()
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    network = network.to(device, torch.bfloat16 if has_bfloat16 else torch.float32).eval()

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
    folder = Path(model) if Path(model).is_dir() else hub.download_files(model, list(names))
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"teacher {model!r} has no {' or '.join(names)}; use --runtime torch")
    content = path.read_bytes()
    try:
        check_self_contained(content)
    except ModelError as error:
        raise DataError(f"teacher {model!r}: {path.name}: {error}") from None
    try:
        session = onnxruntime.InferenceSession(content, providers=onnxruntime.get_available_providers())
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise DataError(f"teacher {model!r}: {path.name}: corrupt or not an ONNX model ({one_line(error)})") from None
    if len(session.get_outputs()) != 1:
        outputs = ", ".join(output.name for output in session.get_outputs())
        raise DataError(f"teacher {model!r}: {path.name} has the outputs {outputs:.100}; expected only the logits")
    input_names = {entry.name for entry in session.get_inputs()}

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        inputs = {name: values.astype(np.int64) for name, values in batch.items() if name in input_names}
        try:
            (logits,) = session.run(None, inputs)
        except Exception as error:
            raise DataError(f"teacher {model!r}: {path.name} failed to run ({one_line(error)})") from None
        return np.asarray(logits, np.float32)

    return run


def fingerprint(model: str) -> str:
    """Identify a teacher in a manifest: hashes of the weight files of a folder, or the Hub id."""
    from evenmood.data.build_folder import sha256

    folder = Path(model)
    if not folder.is_dir():
        return model
    files = [path for name in ("*.safetensors", "*.onnx", "onnx/*.onnx") for path in sorted(folder.glob(name))]
    return json.dumps({path.name: sha256(path)[:16] for path in files}) if files else model
