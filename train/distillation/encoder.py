"""An encoder with a classification head, in training: its optimizer, its steps, and what a later run goes on with."""

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

POOL_BATCHES = 50
"""Batches whose texts are sorted by length together: enough that little is padding, few enough to stay random."""
LARGEST_GRADIENT = 1.0
"""Norm that a step's gradient is cut to: what transformers' own trainer does."""
PAUSE = 5.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class TeacherConfig:
    """Choices of a teacher's training; the defaults suit an encoder of 22 million parameters.

    Attributes:
        base: Folder or Hub id of the encoder, with safetensors weights.
        data: Data set as in `load_split`.
        extra: Further training texts, as in `load_split`: a folder with `train.parquet`, say.
        extra_repeats: Times that each of these is read in an epoch.
        fold: `K/N`: leave out part K (from 1) of N of the extra texts, so that the teacher can be asked about them.
        soft_targets: Parquet file of another teacher's probabilities for the training split, as `label` writes it.
        label_share: Weight of the labels in each blended target; the soft targets get the rest.
        epochs: Passes over the training split; the best one by validation macro-F1 is kept.
        batch_size: Texts a step.
        learning_rate: Highest step size of the encoder; 5e-5 for one of 110 million parameters.
        head_factor: How many times that the classification head's is, which starts from nothing.
        warmup: Share of the steps in which the rate rises; it falls to nothing in a straight line afterwards.
        weight_decay: AdamW's.
        max_tokens: Word pieces that a text is cut to.
        weights: Number format that the weights are stored in.
        seed: Seed of everything random.
    """

    base: str
    data: str
    extra: str | None = None
    extra_repeats: int = 2
    fold: str | None = None
    soft_targets: str | None = None
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
        """Refuse values that cannot work."""
        for name in ("epochs", "extra_repeats", "batch_size", "learning_rate", "head_factor", "max_tokens"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warmup < 1 or self.weight_decay < 0:
            raise UsageError("--warmup must be from 0 to below 1, and --weight-decay at least 0")
        if not 0 <= self.label_share <= 1:
            raise UsageError(f"--label-share is {self.label_share}; it must be from 0 to 1")
        if self.fold and not self.extra:
            raise UsageError("--fold requires --extra")
        parse_fold(self.fold or "1/2")


def parse_fold(fold: str) -> tuple[int, int]:
    """Read `K/N`: the part to leave out, counted from 1, and the number of parts."""
    match = re.fullmatch(r"(\d+)/(\d+)", fold)
    if not match or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
        raise UsageError(f"--fold is {fold!r}; expected K/N, with K from 1 to N, and N at least 2")
    return int(match[1]), int(match[2])


def in_fold(text: str, fold: str) -> bool:
    """Whether a text belongs to the part that a fold leaves out: decided by its hash, not by its place."""
    number, parts = parse_fold(fold)
    return int(text_hash(text), 16) % parts == number - 1


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing bars and reports."""
    from transformers.utils import logging

    loud, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(loud)
        if bars:
            logging.enable_progress_bar()


def load_encoder(base: str, labels: np.ndarray) -> tuple[Any, Any]:
    """An encoder with a classification head, and its tokenizer.

    A head for the 28 labels is kept: training continues. Any other is replaced by a new one whose output bias is the
    labels' log prior odds; without it the first epochs go into learning that labels are rare.

    Raises:
        DataError: No such encoder, no safetensors weights, or no head of this kind for it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    try:
        names = AutoConfig.from_pretrained(base, trust_remote_code=False).id2label
        with quiet():  # that the head is new is no news
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
        raise DataError(f"encoder {base!r}: transformers' classifier for it has no output bias")
    prior = np.clip(labels.mean(axis=0), 1 / (2 * len(labels)), 1 - 1 / (2 * len(labels)))
    with torch.no_grad():
        heads[-1].bias.copy_(torch.from_numpy(np.log(prior / (1 - prior)).astype(np.float32)))
    return network, tokenizer


class EncoderRun:
    """A network in training: its optimizer, its texts as word pieces, and the steps it has done."""

    def __init__(
        self,
        config: TeacherConfig,
        network: Any,
        tokenizer: Any,
        train: Split,
        validation: Mapping[str, Split],
        log: Callable[[str], None],
    ) -> None:
        """Take what is trained, on what, and the validation sets: the first one's figures have no prefix."""
        import torch

        self._config, self._tokenizer, self._log = config, tokenizer, log
        self._device, self._half = torch_device()
        self.network = network.to(self._device)
        body = {id(parameter) for parameter in network.base_model.parameters()}
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        rates = {True: config.learning_rate, False: config.learning_rate * config.head_factor}
        groups = [
            {"params": [one for one in parameters if (id(one) in body) is of_body], "highest": rate, "lr": rate}
            for of_body, rate in rates.items()
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self._train, self._validation = train, validation
        self._pieces = {
            split: tokenize(tokenizer, rows.texts, config.max_tokens)
            for split, rows in (("train", train), *validation.items())
        }
        self._steps = math.ceil(len(train) / config.batch_size)

    def epoch(self, number: int) -> dict[str, Any]:
        """Train for one epoch and measure on validation; order and dropout depend on seed and epoch alone."""
        import torch
        from sklearn.metrics import f1_score
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        torch.manual_seed(self._config.seed * 1000 + number)
        self.network.train()
        began = said = time.monotonic()
        done, total_loss, size = 0, 0.0, len(self._train)
        for step, rows in enumerate(self._shuffled(np.random.default_rng([self._config.seed, number]))):
            factor = self._factor((number - 1) * self._steps + step)
            for group in self._optimizer.param_groups:
                group["lr"] = group["highest"] * factor
            truth = torch.from_numpy(self._train.labels[rows]).to(self._device)
            loss = cross_entropy(self._logits("train", rows), truth)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self._optimizer.step()
            self._optimizer.zero_grad()
            done += len(rows)
            total_loss += float(loss.detach()) * len(rows)
            if (now := time.monotonic()) - said >= PAUSE:
                said, rate = now, done / (now - began)
                self._log(
                    f"epoch {number}: {done:,} of {size:,} texts, {rate:,.0f} a second, {(size - done) / rate:,.0f} s "
                    f"left, loss {total_loss / done:.4f}"
                )
        seconds = time.monotonic() - began
        entry: dict[str, Any] = {"epoch": number, "loss": total_loss / size}
        for place, (name, split) in enumerate(self._validation.items()):
            truth, probabilities = split.labels, self.validate(name)
            sure = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
            predicted = probabilities >= tune_thresholds(truth, probabilities)
            prefix = f"{name}_" if place else ""
            entry |= {
                f"{prefix}val_loss": float(-(truth * np.log(sure) + (1 - truth) * np.log(1 - sure)).mean()),
                f"{prefix}val_macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
                f"{prefix}val_micro_f1": float(f1_score(truth, predicted, average="micro", zero_division=0)),
            }
        return {
            **entry,
            "seconds": round(time.monotonic() - began, 1),
            "texts_per_second": round(size / seconds, 1),
        }

    def validate(self, name: str) -> np.ndarray:
        """Probabilities of a validation set's texts: float32, shape (n, 28)."""
        import torch

        self.network.eval()
        found = np.empty(self._validation[name].labels.shape, np.float32)
        order = np.argsort(self._lengths(name), kind="stable")
        with torch.inference_mode():
            for start in range(0, len(order), self._config.batch_size):
                rows = order[start : start + self._config.batch_size]
                found[rows] = torch.sigmoid(self._logits(name, rows)).cpu().numpy()
        return found

    def state(self) -> dict[str, Any]:
        """Weights and the optimizer's moments, by name: what a later run needs to go on."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}

    def load_state(self, path: Path, *, weights_only: bool = False) -> None:
        """Take up what `state` gave, from a file."""
        from safetensors.torch import load_file

        held = load_file(path)
        self.network.load_state_dict({name[8:]: held[name] for name in held if name.startswith("network.")})
        if weights_only:
            return
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in held.items():
            if name.startswith("optimizer."):
                _, number, moment = name.split(".")
                moments.setdefault(int(number), {})[moment] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})

    def _factor(self, step: int) -> float:
        """Share of the highest rate at a step, counted from 0."""
        steps = self._steps * self._config.epochs
        rising = round(self._config.warmup * steps)
        return (step + 1) / rising if step < rising else (steps - step) / (steps - rising)

    def _shuffled(self, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of rows of like length, in random order."""
        size, lengths = self._config.batch_size, self._lengths("train")
        order = random.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), size * POOL_BATCHES):
            pool = order[start : start + size * POOL_BATCHES]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
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
