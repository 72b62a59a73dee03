"""Fine-tuning of an encoder with a classification head: configuration, optimizer, epochs, and resumable state."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenmood.data.rows import text_hash
from evenmood.data.splits import Split
from evenmood.data.teacher import MAX_TOKENS, tokenize, torch_device
from evenmood.errors import DataError, UsageError
from evenmood.labels import LABELS
from evenmood.thresholds import tune_thresholds

GROUP_BATCHES = 50
"""Number of batches whose texts are sorted by length together; more reduce padding, fewer keep batches random."""
MAX_GRAD_NORM = 1.0
"""Maximum norm of the gradient, as in transformers' Trainer."""
PROGRESS_INTERVAL = 5.0
"""Interval between progress messages, in seconds."""


@dataclass(frozen=True)
class TeacherConfig:
    """Configuration of a teacher's training; the defaults are for an encoder of 22 million parameters.

    Attributes:
        base: Folder or Hub id of the encoder, with safetensors weights.
        data: Data set as in `load_split`.
        extra: Additional training data, as in `load_split`.
        extra_repeats: Number of times the additional data is repeated per epoch.
        fold: `K/N`: hold out part K (from 1) of N of the additional data, for cross-validation.
        soft_targets: Parquet files with probabilities of other teachers, written by `label`, for the training split and
            for further, unlabeled texts; the first one that contains a text has precedence.
        label_share: Weight of the labels in each blended target; the soft targets have the remaining weight.
        epochs: Number of epochs; the best one by validation macro-F1 is kept.
        batch_size: Texts per batch.
        learning_rate: Peak learning rate of the encoder; 5e-5 for 110 million parameters.
        head_factor: Learning rate of the classification head, which is trained from scratch, relative to the encoder's.
        warmup: Share of steps in which the learning rate increases; afterwards it decreases linearly to 0.
        weight_decay: Weight decay of AdamW.
        max_tokens: Maximum text length in word pieces.
        weights: Data type of the stored weights.
        seed: Random seed.
    """

    base: str
    data: str
    extra: str | None = None
    extra_repeats: int = 2
    fold: str | None = None
    soft_targets: tuple[str, ...] = ()
    label_share: float = 0.5
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 2e-4
    head_factor: float = 5.0
    warmup: float = 0.05
    weight_decay: float = 0.01
    max_tokens: int = MAX_TOKENS
    weights: Literal["float16", "float32"] = "float16"
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate all values.

        Raises:
            UsageError: A value is invalid.
        """
        for name in ("epochs", "extra_repeats", "batch_size", "learning_rate", "head_factor", "max_tokens"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected a number above 0")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"--warmup is {self.warmup}; expected at least 0 and below 1")
        if self.weight_decay < 0:
            raise UsageError(f"--weight-decay is {self.weight_decay}; expected at least 0")
        if not 0 <= self.label_share <= 1:
            raise UsageError(f"--label-share is {self.label_share}; expected 0 to 1")
        if self.fold and not self.extra:
            raise UsageError("--fold requires --extra")
        parse_fold(self.fold or "1/2")


def parse_fold(fold: str) -> tuple[int, int]:
    """Parse `K/N`: the part to hold out, counted from 1, and the number of parts.

    Raises:
        UsageError: The value is malformed.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", fold)
    if not match or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
        raise UsageError(f"--fold is {fold!r}; expected K/N, with K from 1 to N, and N at least 2")
    return int(match[1]), int(match[2])


def in_fold(text: str, fold: str) -> bool:
    """Return whether a text is in the held-out part of a fold, by its hash."""
    number, parts = parse_fold(fold)
    return int(text_hash(text), 16) % parts == number - 1


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars and reports of transformers in the block."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def save_encoder(network: Any, weights: str, folder: Path) -> None:
    """Write the network in the transformers format.

    Args:
        network: The network; it is moved to the CPU and converted.
        weights: `float16` or `float32`.
        folder: Existing folder.
    """
    import torch

    with quiet():
        network.to("cpu", getattr(torch, weights)).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors files are only readable by their owner


def load_encoder(base: str, labels: np.ndarray) -> tuple[Any, Any]:
    """Load an encoder with a classification head, and its tokenizer.

    An existing head for the 28 labels is kept. Any other head is replaced by a new one; its output bias is initialized
    with the log prior odds of the labels, so that the first epochs need not learn that most labels are rare.

    Args:
        base: Folder or Hub id.
        labels: Training labels, for the priors: shape (n, 28).

    Raises:
        DataError: The encoder does not exist, has no safetensors weights, or has no suitable head.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        names = AutoConfig.from_pretrained(base, trust_remote_code=False).id2label
        with quiet():  # transformers would warn about the new head
            network = AutoModelForSequenceClassification.from_pretrained(
                base,
                num_labels=len(LABELS),
                id2label=dict(enumerate(LABELS)),
                label2id={label: index for index, label in enumerate(LABELS)},
                problem_type="multi_label_classification",
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
            )
        tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise DataError(f"encoder {base!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    if [names.get(index) for index in range(len(names))] == list(LABELS):
        return network, tokenizer
    heads = [
        layer
        for layer in network.modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == len(LABELS) and layer.bias is not None
    ]
    if not heads:
        raise DataError(f"encoder {base!r}: its classification head has no output bias; use another encoder")
    prior = np.clip(labels.mean(axis=0), 1 / (2 * len(labels)), 1 - 1 / (2 * len(labels)))
    with torch.no_grad():
        heads[-1].bias.copy_(torch.from_numpy(np.log(prior / (1 - prior)).astype(np.float32)))
    return network, tokenizer


class EncoderRun:
    """A network in training, with its optimizer and tokenized texts."""

    def __init__(
        self,
        config: TeacherConfig,
        network: Any,
        tokenizer: Any,
        train: Split,
        validation: Mapping[str, Split],
        log: Callable[[str], None],
    ) -> None:
        """Set up training; metrics of all validation sets but the first are prefixed with the name of the set."""
        import torch

        self._config, self._tokenizer, self._log = config, tokenizer, log
        self._device, self._half = torch_device()
        self.network = network.to(self._device)
        body = {id(parameter) for parameter in network.base_model.parameters()}
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        rates = {True: config.learning_rate, False: config.learning_rate * config.head_factor}
        groups = [
            {"params": [p for p in parameters if (id(p) in body) is in_body], "peak_lr": rate, "lr": rate}
            for in_body, rate in rates.items()
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
        self._train, self._validation = train, validation
        self._pieces = {
            split: tokenize(tokenizer, rows.texts, config.max_tokens)
            for split, rows in (("train", train), *validation.items())
        }
        self._steps = math.ceil(len(train) / config.batch_size)

    def epoch(self, number: int) -> dict[str, Any]:
        """Train for one epoch and validate; the order of texts and dropout depend only on the seed and the epoch."""
        import torch
        from sklearn.metrics import f1_score
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        torch.manual_seed(self._config.seed * 1000 + number)
        self.network.train()
        started = last_message = time.monotonic()
        texts_seen, total_loss, size = 0, 0.0, len(self._train)
        for step, rows in enumerate(self._shuffle(np.random.default_rng([self._config.seed, number]))):
            factor = self._factor((number - 1) * self._steps + step)
            for group in self._optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            truth = torch.from_numpy(self._train.labels[rows]).to(self._device)
            loss = cross_entropy(self._logits("train", rows), truth)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRAD_NORM)
            self._optimizer.step()
            self._optimizer.zero_grad()
            texts_seen += len(rows)
            total_loss += float(loss.detach()) * len(rows)
            if (now := time.monotonic()) - last_message >= PROGRESS_INTERVAL:
                last_message, rate = now, texts_seen / (now - started)
                self._log(
                    f"epoch {number}: {texts_seen:,} of {size:,} texts, {rate:,.0f} per second, "
                    f"{(size - texts_seen) / rate:,.0f} s left, loss {total_loss / texts_seen:.4f}"
                )
        seconds = time.monotonic() - started
        entry: dict[str, Any] = {"epoch": number, "loss": total_loss / size}
        for index, (name, split) in enumerate(self._validation.items()):
            truth, probabilities = split.labels, self.predict_validation(name)
            clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
            predicted = probabilities >= tune_thresholds(truth, probabilities)
            prefix = f"{name}_" if index else ""
            entry |= {
                f"{prefix}val_loss": float(-(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped)).mean()),
                f"{prefix}val_macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
                f"{prefix}val_micro_f1": float(f1_score(truth, predicted, average="micro", zero_division=0)),
            }
        return {
            **entry,
            "seconds": round(time.monotonic() - started, 1),
            "texts_per_second": round(size / seconds, 1),
        }

    def predict_validation(self, name: str) -> np.ndarray:
        """Predict a validation set: float32 of shape (n, 28)."""
        import torch

        self.network.eval()
        probabilities = np.empty(self._validation[name].labels.shape, np.float32)
        order = np.argsort(self._lengths(name), kind="stable")
        with torch.inference_mode():
            for start in range(0, len(order), self._config.batch_size):
                rows = order[start : start + self._config.batch_size]
                probabilities[rows] = torch.sigmoid(self._logits(name, rows)).cpu().numpy()
        return probabilities

    def state(self) -> dict[str, Any]:
        """Return the weights and optimizer moments by name, to resume training later."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}

    def load_state(self, path: Path, *, weights_only: bool = False) -> None:
        """Load a saved `state` from a file."""
        from safetensors.torch import load_file

        tensors = load_file(path)
        self.network.load_state_dict({name[8:]: tensors[name] for name in tensors if name.startswith("network.")})
        if weights_only:
            return
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, moment = name.split(".")
                moments.setdefault(int(number), {})[moment] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})

    def _factor(self, step: int) -> float:
        """Return the learning rate at a step, counted from 0, relative to the peak."""
        steps = self._steps * self._config.epochs
        warmup = round(self._config.warmup * steps)
        return (step + 1) / warmup if step < warmup else (steps - step) / (steps - warmup)

    def _shuffle(self, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield batches of rows of similar length, in random order."""
        size, lengths = self._config.batch_size, self._lengths("train")
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), size * GROUP_BATCHES):
            group = order[start : start + size * GROUP_BATCHES]
            group = group[np.argsort(lengths[group], kind="stable")]
            batches += [group[first : first + size] for first in range(0, len(group), size)]
        return (batches[number] for number in random.permutation(len(batches)))

    def _lengths(self, split: str) -> np.ndarray:
        return np.array([len(ids) for ids in self._pieces[split]["input_ids"]])

    def _logits(self, split: str, rows: Sequence[int] | np.ndarray) -> Any:
        import torch

        batch = self._tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in self._pieces[split].items()}, return_tensors="pt"
        )
        with torch.autocast(self._device, torch.bfloat16, enabled=self._half):
            return self.network(**batch.to(self._device)).logits.float()
