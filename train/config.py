"""Configuration of a training run.

The defaults are the paper's (arXiv 2511.14073, method and experimental setup), except for the threshold method.
"""

from dataclasses import dataclass
from typing import Literal

from evenmood.data.splits import GOEMOTIONS
from evenmood.errors import UsageError
from evenmood.text.normalization import MAX_LENGTH
from evenmood.thresholds import Method

FASTTEXT = "facebook/fasttext-en-vectors"


@dataclass(frozen=True)
class TrainConfig:
    """Options of `python -m train fit`; every field is a flag, and all are saved with the model.

    Attributes:
        data: Hub id, folder of TSV or Parquet files, or build folder
        vectors: fastText file, Hub id, self (train), encoder:MODEL or random
        corpus: Text file for --vectors self, or hf://…; repeatable
        soft_targets: Parquet file written by label, or hf://…; repeatable
        label_share: Weight of the labels in a blended target, 0 to 1
        repeats: Repetitions of the training split per epoch
        extra: Additional labeled training data, as for --data
        extra_repeats: Repetitions of the additional data per epoch
        extra_label_share: Label weight for the additional data, 0 to 1
        vocabulary: Texts to build the vocabulary from: train, or all training texts
        max_length: Maximum text length in tokens (even)
        min_frequency: Minimum frequency of a word in the vocabulary
        max_words: Maximum number of words; 0 for no limit
        word_pieces: Approximate number of word pieces; 0 for none
        misspellings: Number of frequent words whose misspellings are recognized
        symbols: Treat !, ?, ellipsis and emoji as words
        typos: Share of words misspelled during training
        embedding_size: Size of the word vectors
        embedding_dropout: Dropout rate of embedding dimensions
        train_embedding: Update the word vectors during training
        filters: Number of convolution filters
        kernel_size: Width of the convolution in tokens
        lstm_units: LSTM units per direction
        pooling: Pooling over time steps
        dense_units: Units of the dense and attention layers
        dropout: Dropout rate of the dense layer
        prior_bias: Initialize the output bias with the label priors
        label_weights: Label weights in the loss: equal, or inverse square root of frequency
        learning_rate: Learning rate of Adam
        decay: Learning rate decay over all epochs
        beta_1: Adam's decay rate of the first moment
        beta_2: Adam's decay rate of the second moment
        epsilon: Adam's epsilon
        batch_size: Texts per batch
        epochs: Maximum number of epochs
        patience: Epochs without improvement before early stopping
        thresholds: Threshold tuning: shrunk (for rare labels) or grid
        calibrate: Calibrate probabilities on the validation split
        distribute: Data-parallel training on all devices (JAX backend)
        precision: Keras dtype policy; auto: mixed_float16 on a GPU, else float32
        embedding_bits: Bits per embedding weight in model.onnx: 32, 16 or 8
        seed: Random seed
    """

    data: str = GOEMOTIONS
    vectors: str = FASTTEXT
    corpus: tuple[str, ...] = ()
    soft_targets: tuple[str, ...] = ()
    label_share: float = 0.3
    repeats: int = 1
    extra: str = ""
    extra_repeats: int = 1
    extra_label_share: float = 0.3
    vocabulary: Literal["train", "all"] = "train"
    max_length: int = MAX_LENGTH
    min_frequency: int = 2
    max_words: int = 0
    word_pieces: int = 0
    misspellings: int = 0
    symbols: bool = False
    typos: float = 0.0
    embedding_size: int = 300
    embedding_dropout: float = 0.0
    train_embedding: bool = True
    filters: int = 64
    kernel_size: int = 5
    lstm_units: int = 128
    pooling: Literal["attention", "average"] = "attention"
    dense_units: int = 128
    dropout: float = 0.5
    prior_bias: bool = False
    label_weights: Literal["equal", "rarity"] = "equal"
    learning_rate: float = 1e-3
    decay: Literal["none", "cosine"] = "none"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    batch_size: int = 256
    epochs: int = 34
    patience: int = 5
    thresholds: Method = "shrunk"
    calibrate: bool = False
    distribute: bool = False
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    embedding_bits: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate all values before anything is downloaded or trained.

        Raises:
            UsageError: A value is invalid.
        """
        positive = (
            "min_frequency",
            "embedding_size",
            "filters",
            "kernel_size",
            "lstm_units",
            "dense_units",
            "repeats",
            "extra_repeats",
        )
        for name in (*positive, "batch_size", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected at least 1")
        if self.max_length < 2 or self.max_length % 2:
            raise UsageError(f"--max-length is {self.max_length}; expected an even number of at least 2")
        for name in ("dropout", "embedding_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; expected at least 0 and below 1"
                )
        for name in ("label_share", "extra_label_share", "typos"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected 0 to 1")
        for name in ("max_words", "word_pieces", "misspellings"):
            if getattr(self, name) < 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected at least 0")
        if self.vocabulary == "all" and not self.soft_targets:
            raise UsageError("--vocabulary all requires --soft-targets")
        if not self.learning_rate > 0:
            raise UsageError(f"--learning-rate is {self.learning_rate}; expected a number above 0")
        if self.embedding_bits not in (8, 16, 32):
            raise UsageError(f"--embedding-bits is {self.embedding_bits}; expected 8, 16 or 32")


PAPER = TrainConfig(thresholds="grid")
"""The paper's configuration; its threshold method overfits rare labels to the validation split."""
