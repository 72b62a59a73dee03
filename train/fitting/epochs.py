"""The training loop: epochs until the validation loss falls no more, and the network of the best one."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import keras
import numpy as np
from tokenizers import Tokenizer

from evenmood.data.splits import Split
from evenmood.labels import LABELS
from evenmood.text.normalization import POOL_SIZE, encode
from train.config import TrainConfig
from train.distillation.soft_targets import TrainingTexts
from train.fitting.batches import cut_to_longest, epoch_batches, token_counts
from train.fitting.checkpoint import Checkpoint
from train.network.backend import has_gpu
from train.network.distribution import Devices, data_parallel
from train.network.losses import WeightedCrossentropy, rarity_weights
from train.network.network import build_network
from train.perturb import misspell


def train_network(
    config: TrainConfig,
    vectors: np.ndarray,
    tokenizer: Tokenizer,
    learnt: TrainingTexts,
    validation: Sequence[Split],
    checkpoint: Checkpoint,
    say: Callable[[str], None],
    keep: Callable[[Path], None],
) -> keras.Model:
    """Run epochs until the validation loss has not fallen for `patience` of them; return the best epoch's network.

    Of several validation sets the mean of their losses counts.

    An epoch's order of rows, its dropout and its misspelt words depend on the seed and the epoch alone: a run that is
    interrupted and goes on gives what an undisturbed one gives. (Not so on torch, whose dropout draws from a generator
    of its own: there the resumed run is another run from the same weights.)
    """
    with precision(config.precision), data_parallel(config.distribute) as devices:
        if config.distribute:
            say(f"distribute: {devices.count} devices share each batch, on {devices.hosts} hosts")
        finished = len(checkpoint.history)
        devices.agree_on(finished)
        if finished:
            model = keras.saving.load_model(checkpoint.network(finished))
            say(f"going on after epoch {finished}")
        else:
            model = build_network(config, vectors, len(LABELS), learnt.targets.mean(axis=0))
            compile_network(model, config, learnt)
        trace_any_shape(model)
        ids = encode(tokenizer, learnt.texts)
        validation_ids = [encode(tokenizer, split.texts) for split in validation]
        for epoch in range(finished + 1, config.epochs + 1):
            if epoch > checkpoint.best_epoch + config.patience:
                break
            started = time.monotonic()
            random = np.random.default_rng([config.seed, epoch])
            seed_dropout(model, random)
            if config.typos:
                draw = Random(int(random.integers(2**31)))  # noqa: S311 - not for secrets
                ids = encode(tokenizer, [misspell(text, config.typos, draw) for text in learnt.texts])
            counts = token_counts(ids)
            batches = epoch_batches(counts, config.batch_size, random)
            loss = run_epoch(model, ids, counts, learnt.targets, batches, devices)
            losses = [
                loss_of(model, held, split.labels, devices)
                for held, split in zip(validation_ids, validation, strict=True)
            ]
            entry: dict[str, Any] = {
                "epoch": epoch,
                "loss": loss,
                "val_loss": sum(losses) / len(losses),
                "seconds": round(time.monotonic() - started, 1),
            }
            checkpoint.add_epoch(entry, model.save)
            keep(checkpoint.folder)
            best = " (best so far)" if checkpoint.best_epoch == epoch else ""
            say(
                f"epoch {epoch}/{config.epochs}: loss {entry['loss']:.4f}, "
                f"validation loss {entry['val_loss']:.4f}{best}, {entry['seconds']:.0f} s"
            )
        best_weights = keras.saving.load_model(checkpoint.network(checkpoint.best_epoch)).get_weights()
    # Saved in float32 whatever it was trained in, so that it loads and runs the same on any machine.
    model = build_network(config, vectors, len(LABELS))
    model.set_weights(best_weights)
    return model


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Compute in a Keras dtype policy; `auto` is mixed_float16 on a GPU, and float32 without one."""
    if policy == "auto":
        policy = "mixed_float16" if has_gpu() else "float32"
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def seed_dropout(model: keras.Model, random: np.random.Generator) -> None:
    """Draw the state of each dropout layer's generator, which Keras does not save."""
    for layer in model.layers:
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign(random.integers(2**31, size=2))


def run_epoch(
    model: keras.Model,
    ids: np.ndarray,
    counts: np.ndarray,
    targets: np.ndarray,
    batches: Iterable[np.ndarray],
    devices: Devices,
) -> float:
    """Train on each batch of row numbers; gives the mean loss of a row.

    Args:
        model: A compiled network.
        ids: Token numbers of shape (n, length), padded at their ends.
        counts: Tokens of each row.
        targets: Labels or probabilities of shape (n, 28).
        batches: Row numbers of each batch.
        devices: What shares a batch.
    """
    total, rows_seen = 0.0, 0
    for batch in batches:
        rows, shares = devices.share(batch)
        read = cut_to_longest(ids[rows], counts[batch])  # as long on every host
        total += float(model.train_on_batch(read, targets[rows], sample_weight=shares)) * len(batch)
        rows_seen += len(batch)
    return total / rows_seen


def loss_of(model: keras.Model, ids: np.ndarray, labels: np.ndarray, devices: Devices) -> float:
    """The mean loss of a row, without training on it."""
    held, weights = devices.share(np.arange(len(ids)))
    size = -(-1024 // devices.count) * devices.count // devices.hosts
    return float(model.evaluate(ids[held], labels[held], sample_weight=weights, batch_size=size, verbose=0))


def compile_network(model: keras.Model, config: TrainConfig, learnt: TrainingTexts) -> None:
    """Give the network its optimizer and its loss; Keras adds loss scaling under mixed_float16."""
    rate: Any = config.learning_rate
    if config.decay == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.epochs * -(-len(learnt) // config.batch_size))
    loss: str | keras.losses.Loss = "binary_crossentropy"
    if config.label_weights == "rarity":
        loss = WeightedCrossentropy(rarity_weights(learnt.frequencies))
    model.compile(keras.optimizers.Adam(rate, config.beta_1, config.beta_2, config.epsilon), loss)


def trace_any_shape(model: keras.Model) -> None:
    """Have TensorFlow trace the training step for any shape now, rather than when it has seen two.

    It would first trace a step for the shape that it meets, and its sums differ in the last bits from those of the step
    for any shape: a run that goes on would not give what an undisturbed one gives.
    """
    if keras.backend.backend() != "tensorflow":
        return
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for size in (2, 3):  # two shapes, each with more than one time step
        model.train_on_batch(
            np.ones((size, size * POOL_SIZE), np.int32), np.zeros((size, model.output_shape[-1]), np.float32)
        )
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
