"""Every choice of a training run.

The defaults are the paper's (arXiv 2511.14073, method and experimental setup), but for the rule of thresholds.
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
    """Options of `python -m train fit`; every field is a flag, and all are saved beside the result.

    Attributes:
        data: Hub data set (`id[:configuration]`), folder of TSV or Parquet files, or build (or `BUILD:unbalanced`).
        vectors: fastText `.bin` or `.vec` file, Hub id, `self` (train on the text), `encoder:MODEL` or `random`.
        corpus: Further text files, one text a line, for `self`; here, or on the Hub (`hf://datasets/ID/PATH`).
        soft_targets: Parquet files of `text` and a teacher's `probabilities`, as `label` writes them; or `hf://…`.
        label_share: Share of a text's own labels in its target where a teacher's probabilities are the rest.
        repeats: Times that each text of the training split is read in an epoch.
        extra: Further labelled training texts, a data set as `data`; those near a held-out text are left out.
        extra_repeats: Times that each of these is read in an epoch.
        extra_label_share: As `label_share`, for these.
        vocabulary: Where words come from: the training split, or the texts of `soft_targets` too.
        max_length: Tokens a text is cut to; an even number.
        min_frequency: Words seen less often in the text are not in the vocabulary.
        max_words: Most frequent words that are in the vocabulary; 0 for all that are frequent enough.
        word_pieces: Word pieces, about, that words outside the vocabulary are read as; 0 for the unknown word.
        misspellings: Most frequent words whose misspellings are read as the word; 0 for none.
        symbols: Whether exclamation and question marks, ellipses and emoji are words, and emoticons emoji.
        typos: Share of the words that are misspelt in training, anew in each epoch.
        embedding_size: Size of a word vector.
        embedding_dropout: Share of the embedding's dimensions dropped in training, the same for all words of a text.
        train_embedding: Whether training changes the word vectors.
        filters: Filters of the convolution.
        kernel_size: Words that a filter spans.
        lstm_units: Units of the LSTM in each direction.
        pooling: How time steps become one vector: learnt attention, or their average.
        dense_units: Units of the dense layer, and of the attention's hidden layer.
        dropout: Share of the dense layer's outputs dropped in training.
        prior_bias: Start the output bias at the labels' log prior odds, so that training need not learn rarity first.
        label_weights: What a label weighs in the loss: all the same, or the square root of its rarity in `data`.
        learning_rate: Adam's step size.
        decay: How the step size falls over all `epochs`: not at all, or along a half cosine to nothing.
        beta_1: Adam's decay of the first moment.
        beta_2: Adam's decay of the second moment.
        epsilon: Adam's constant in the denominator.
        batch_size: Texts a step.
        epochs: Passes over the training split at the most.
        patience: Epochs without a lower validation loss after which training stops.
        thresholds: How they are tuned on validation: `shrunk` for the sake of rare labels, or the paper's `grid`.
        calibrate: Scale each label's logits on validation, so that probabilities mean what they say.
        distribute: Share each batch among all devices, of several hosts too; on Keras's JAX backend.
        precision: `auto` is mixed float16 on a GPU and float32 on a CPU.
        embedding_bits: Bits per weight of model.onnx's embedding and folded convolution: 32, 16 or 8. Keras's stay 32.
        seed: Seed of everything random.
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
        """Refuse values that cannot work, before anything is downloaded or trained."""
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
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1")
        if self.max_length < 2 or self.max_length % 2:
            raise UsageError(f"--max-length is {self.max_length}; it must be an even number from 2 on")
        for name in ("dropout", "embedding_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be from 0 to below 1")
        for name in ("label_share", "extra_label_share", "typos"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be from 0 to 1")
        for name in ("max_words", "word_pieces", "misspellings"):
            if getattr(self, name) < 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 0")
        if self.vocabulary == "all" and not self.soft_targets:
            raise UsageError("--vocabulary all takes words from the texts of --soft-targets, and there are none")
        if not self.learning_rate > 0:
            raise UsageError(f"--learning-rate is {self.learning_rate}; it must be above 0")
        if self.embedding_bits not in (8, 16, 32):
            raise UsageError(f"--embedding-bits is {self.embedding_bits}; it must be 8, 16 or 32")


PAPER = TrainConfig(thresholds="grid")
"""The paper's configuration: its rule gives rare labels thresholds that suit the validation split by chance."""
