"""Training loop with early stopping on the validation loss."""

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
from train.fitting.batches import epoch_batches, token_counts, trim_padding
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
    train_set: TrainingTexts,
    validation: Sequence[Split],
    checkpoint: Checkpoint,
    log: Callable[[str], None],
    on_checkpoint: Callable[[Path], None],
) -> keras.Model:
    """Train until the validation loss has not decreased for `patience` epochs.

    The order of rows, dropout and typos of an epoch depend only on the seed and the epoch, so that a resumed run has
    the same result as an uninterrupted one (except with torch, whose dropout has its own random state).

    Args:
        config: Configuration of the run.
        vectors: Word vectors: float32 of shape (vocabulary, embedding_size).
        tokenizer: Tokenizer of the vocabulary.
        train_set: Training texts and targets.
        validation: Validation sets; early stopping uses the mean of their losses.
        checkpoint: Checkpoint to resume from and save to.
        log: Called with progress messages.
        on_checkpoint: Called with the checkpoint folder after each epoch.

    Returns:
        The network of the best epoch, in float32.
    """
    with precision(config.precision), data_parallel(config.distribute) as devices:
        if config.distribute:
            log(f"distribute: devices: {devices.count}, hosts: {devices.hosts}")
        completed_epochs = len(checkpoint.history)
        devices.check_same_epoch(completed_epochs)
        if completed_epochs:
            model = keras.saving.load_model(checkpoint.network(completed_epochs))
            log(f"resuming after epoch {completed_epochs}")
        else:
            model = build_network(config, vectors, len(LABELS), train_set.targets.mean(axis=0))
            compile_network(model, config, train_set)
        trace_any_shape(model)
        ids = encode(tokenizer, train_set.texts)
        validation_ids = [encode(tokenizer, split.texts) for split in validation]
        for epoch in range(completed_epochs + 1, config.epochs + 1):
            if epoch > checkpoint.best_epoch + config.patience:
                break
            started = time.monotonic()
            random = np.random.default_rng([config.seed, epoch])
            seed_dropout(model, random)
            if config.typos:
                typo_random = Random(int(random.integers(2**31)))  # noqa: S311 - not for secrets
                ids = encode(tokenizer, [misspell(text, config.typos, typo_random) for text in train_set.texts])
            counts = token_counts(ids)
            batches = epoch_batches(counts, config.batch_size, random)
            loss = run_epoch(model, ids, counts, train_set.targets, batches, devices)
            losses = [
                evaluate_loss(model, split_ids, split.labels, devices)
                for split_ids, split in zip(validation_ids, validation, strict=True)
            ]
            entry: dict[str, Any] = {
                "epoch": epoch,
                "loss": loss,
                "val_loss": sum(losses) / len(losses),
                "seconds": round(time.monotonic() - started, 1),
            }
            checkpoint.add_epoch(entry, model.save)
            on_checkpoint(checkpoint.folder)
            best = " (best so far)" if checkpoint.best_epoch == epoch else ""
            log(
                f"epoch {epoch}/{config.epochs}: loss {entry['loss']:.4f}, "
                f"validation loss {entry['val_loss']:.4f}{best}, {entry['seconds']:.0f} s"
            )
        best_weights = keras.saving.load_model(checkpoint.network(checkpoint.best_epoch)).get_weights()
    # Convert to float32 whatever the training precision, to load and run the same on any machine.
    model = build_network(config, vectors, len(LABELS))
    model.set_weights(best_weights)
    return model


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Set the Keras dtype policy in the block; `auto` is mixed_float16 on a GPU, else float32."""
    if policy == "auto":
        policy = "mixed_float16" if has_gpu() else "float32"
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def seed_dropout(model: keras.Model, random: np.random.Generator) -> None:
    """Seed each dropout layer, whose random state Keras does not save."""
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
    """Train on batches and return the mean loss per row.

    Args:
        model: A compiled network.
        ids: Token ids of shape (n, length), padded on the right.
        counts: Number of tokens of each row: shape (n,).
        targets: Labels or probabilities of shape (n, 28).
        batches: Row indices of each batch.
        devices: Devices that share a batch.
    """
    total, rows_seen = 0.0, 0
    for batch in batches:
        rows, weights = devices.share(batch)
        batch_ids = trim_padding(ids[rows], counts[batch])  # the same length on every host
        total += float(model.train_on_batch(batch_ids, targets[rows], sample_weight=weights)) * len(batch)
        rows_seen += len(batch)
    return total / rows_seen


def evaluate_loss(model: keras.Model, ids: np.ndarray, labels: np.ndarray, devices: Devices) -> float:
    """Compute the mean loss per row without training."""
    rows, weights = devices.share(np.arange(len(ids)))
    size = -(-1024 // devices.count) * devices.count // devices.hosts
    return float(model.evaluate(ids[rows], labels[rows], sample_weight=weights, batch_size=size, verbose=0))


def compile_network(model: keras.Model, config: TrainConfig, train_set: TrainingTexts) -> None:
    """Compile the network with optimizer and loss; Keras adds loss scaling under mixed_float16."""
    rate: Any = config.learning_rate
    if config.decay == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.epochs * -(-len(train_set) // config.batch_size))
    loss: str | keras.losses.Loss = "binary_crossentropy"
    if config.label_weights == "rarity":
        loss = WeightedCrossentropy(rarity_weights(train_set.frequencies))
    model.compile(keras.optimizers.Adam(rate, config.beta_1, config.beta_2, config.epsilon), loss)


def trace_any_shape(model: keras.Model) -> None:
    """Make TensorFlow trace the training step for dynamic shapes before training.

    Otherwise it first traces a step for the shape of the first batch, whose sums differ in the last bits from those of
    the dynamic step: a resumed run would not reproduce an uninterrupted one.
    """
    if keras.backend.backend() != "tensorflow":
        return
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for size in (2, 3):  # two different shapes, each with more than one time step
        model.train_on_batch(
            np.ones((size, size * POOL_SIZE), np.int32), np.zeros((size, model.output_shape[-1]), np.float32)
        )
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
