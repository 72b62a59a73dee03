"""The classifier: load a model folder, predict labels, explain them. Runs on onnxruntime alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from evenmood.errors import ModelError, UsageError
from evenmood.explanation import attention_weights, leave_one_out, shares
from evenmood.inputs import check_rows, checked_texts, multi_hot
from evenmood.model.pretrained import PretrainedModel
from evenmood.onnx.inference import Read, read_rows
from evenmood.prediction import Prediction, WordWeight, apply_thresholds
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.thresholds import Method, Metric, TunedThresholds, tuned

STREAM_ROWS = 1024
"""Number of texts that `predict_stream` reads ahead."""


class EmotionClassifier(PretrainedModel):
    """Multi-label emotion classifier: a text in, labels with probabilities out.

    Use `EmotionClassifier.from_pretrained()`; the constructor takes a model folder that is known to be whole.
    """

    @property
    def id2label(self) -> dict[int, str]:
        """Label of each column of `predict_proba`, as transformers' configurations have it."""
        return dict(enumerate(self.labels))

    @property
    def label2id(self) -> dict[str, int]:
        """Column of each label in `predict_proba`."""
        return {label: column for column, label in enumerate(self.labels)}

    @property
    def has_attention(self) -> bool:
        """Whether the network has attention, which `explain` then shows."""
        return self._info.attention

    def predict_proba(self, texts: str | Iterable[str | None], *, show_progress_bar: bool = False) -> np.ndarray:
        """Probability of every label.

        Args:
            texts: One string, or a sequence of n strings; n may be 0. None, NaN and `pandas.NA` are missing texts.
            show_progress_bar: Whether to show how many texts are done, on standard error.

        Returns:
            float32 array of shape (n, 28), columns as in `labels`; for one string shape (28,). The row of a missing
            text is NaN.

        Raises:
            TypeError: Something is neither a string nor missing; the message gives its index.
        """
        if isinstance(texts, str):
            return self.read([texts]).probabilities.reshape(-1)
        return self.read(checked_texts(texts), show_progress_bar).probabilities

    @overload
    def predict(  # type: ignore[overload-overlap]  # a string is a sequence of strings, to the type checker alone
        self, texts: str, thresholds: Mapping[str, float] | float | None = None, *, show_progress_bar: bool = False
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        texts: Iterable[str | None],
        thresholds: Mapping[str, float] | float | None = None,
        *,
        show_progress_bar: bool = False,
    ) -> list[Prediction]: ...

    def predict(
        self,
        texts: str | Iterable[str | None],
        thresholds: Mapping[str, float] | float | None = None,
        *,
        show_progress_bar: bool = False,
    ) -> Prediction | list[Prediction]:
        """Give each text the labels whose probability reaches their threshold.

        Args:
            texts: One string gives one prediction, a sequence gives a list. A missing text in it (None, NaN,
                `pandas.NA`) gets an empty prediction, whose `missing` is true. `predict_stream` takes iterators.
            thresholds: For this call only: one number for all labels, or a mapping that overrides the labels in it.
            show_progress_bar: Whether to show how many texts are done, on standard error.

        Raises:
            TypeError: Something is neither a string nor missing; the message gives its index.
            UsageError: A threshold outside [0, 1] or for an unknown label.
        """
        array = self._threshold_array(thresholds)
        if isinstance(texts, str):
            return self._predictions([texts], array)[0]
        return self._predictions(checked_texts(texts), array, show_progress_bar)

    def predict_stream(
        self, texts: Iterable[str | None], thresholds: Mapping[str, float] | float | None = None
    ) -> Iterator[Prediction]:
        """Yield a prediction for each text of an iterable: a generator, an open file, a column of a data set.

        Some thousand texts are read ahead at a time.

        Args:
            texts: Strings; a missing text is as in `predict`.
            thresholds: As in `predict`.

        Raises:
            TypeError: Something is neither a string nor missing; the message gives its index.
            UsageError: As in `predict`.
        """
        if isinstance(texts, str):
            raise TypeError("predict_stream takes an iterable of strings, not one string; use predict")
        check_rows(texts)
        return self._stream(iter(texts), self._threshold_array(thresholds))

    def predict_frame(
        self,
        data: Any,
        column: str = "text",
        *,
        labels: Sequence[str] | None = None,
        proba: bool = False,
        show_progress_bar: bool = False,
    ) -> Any:
        """Add the predictions to a table as columns.

        The columns are those of `evenmood predict`: `emotions` (a list of labels), `emotion_probabilities`,
        `emotion_fallback`, and with `proba` one for each label (`emotion_joy`). Rows without a text have missing
        values in them.

        Args:
            data: A pandas or polars frame or series, an Arrow table, or a list of texts, which gives a pandas frame.
            column: Column of the texts.
            labels: Labels to choose from; all of them if left out.
            proba: Whether to add a column with the probability of each label.
            show_progress_bar: Whether to show how many texts are done, on standard error.

        Returns:
            A new frame of the same kind, with the same index and columns before the new ones.

        Raises:
            UsageError: There is no such column, one of the new columns exists already, or a label is unknown.
            TypeError: `data` is of another kind, or something in the column is neither a string nor missing.
        """
        from evenmood.tables.frames import with_emotions

        chosen = list(self.labels if labels is None else dict.fromkeys(labels))
        if unknown := [label for label in chosen if label not in self.labels]:
            raise UsageError(f"labels: unknown label {unknown[0]!r}; the labels are {', '.join(self.labels)}")
        return with_emotions(self, data, column, chosen, proba, show_progress_bar)

    def apply_thresholds(
        self,
        probabilities: np.ndarray,
        thresholds: Mapping[str, float] | float | None = None,
        only: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Turn probabilities, shape (n, 28), into predictions, as `predict` does.

        Args:
            probabilities: As `predict_proba` gives them; a row of NaN gives an empty prediction.
            thresholds: As in `predict`.
            only: Labels to choose from; all of them if left out.
        """
        columns = [self.labels.index(label) for label in (self.labels if only is None else only)]
        array = self._threshold_array(thresholds)[columns]
        return apply_thresholds(probabilities[:, columns], array, [self.labels[column] for column in columns])

    def tune_thresholds(
        self,
        texts: Sequence[str],
        labels: Sequence[str | Sequence[str]] | np.ndarray,
        *,
        metric: Metric = "f1",
        method: Method = "shrunk",
    ) -> TunedThresholds:
        """Find the thresholds that are best for labeled texts of one's own; the classifier's stay as they are.

        Assign the result to use it: `classifier.thresholds = classifier.tune_thresholds(texts, labels)`. The texts
        must not be those that the model is evaluated on afterwards.

        Args:
            texts: n texts.
            labels: For each text its labels' names, or an array of 0 and 1 of shape (n, 28), columns as in `labels`.
            metric: `f1`, or `f0.5` and `f2`, which count precision or recall twice as much as the other.
            method: `shrunk` regularizes the thresholds of labels with few texts; `grid` takes the best of each.

        Returns:
            Threshold of every label, with the scores that they reach on these texts. A label that no text has keeps
            its threshold, and is in `unchanged`.

        Raises:
            UsageError: No text, as many labels as texts are not given, or a label is unknown.
            TypeError: A text is not a string.
        """
        if isinstance(texts, str):
            raise TypeError("tune_thresholds takes a list of texts, not one string")
        rows = checked_texts(texts)
        if missing := [index for index, text in enumerate(rows) if text is None]:
            raise TypeError(f"text {missing[0]} is missing; leave it out")
        truth = multi_hot(labels, self.labels, len(rows))
        return tuned(truth, self.read(rows).probabilities, self._thresholds, metric, method)

    def explain(self, text: str) -> list[WordWeight]:
        """Share of each word in the answer; the weights sum to 1.

        A network with attention, such as the fast model, gives the share of the attention that fell on the word: what
        it looked at, for all labels together. Max pooling merges two neighboring tokens into one time step before the
        attention sees them; a step's weight is shared evenly between its two tokens, and goes whole to the last one
        where it has no neighbor. A token is a word, or a piece of a word outside the vocabulary; a word has the weight
        of its pieces.

        An encoder, such as the accurate model, is asked again without each word: the weight is the word's share of
        the change in the probabilities of the predicted labels, up or down. It takes one prediction a word.

        A text longer than the model reads at once is explained window by window. A text without words gives an empty
        list.

        Raises:
            ModelError: A fast model without attention (it averages over time).
            TypeError: `text` is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"explain takes one string, not {type(text).__name__}")
        if isinstance(self._encoder, EncoderTokenizer):
            columns = [self.labels.index(label) for label in self.predict(text).labels]
            return shares(
                leave_one_out(self.predict_proba, self._encoder, text, columns, lambda fall: float(np.abs(fall).sum()))
            )
        if not self.has_attention:
            raise ModelError("this model has no attention: it averages over time, so no word outweighs another")
        return attention_weights(self._loaded.network, self._encoder, text)

    def leave_one_out(self, text: str, label: str) -> list[WordWeight]:
        """How far a label's probability falls when a word is left out, for each word that the network reads.

        The weight of a word is the probability of the whole text minus that of the text without the word: positive
        where the word speaks for the label, negative where it speaks against it. In a text longer than the model reads
        at once a word is left out of the windows that it is in. A text that cleans to nothing gives an empty list.

        Raises:
            TypeError: `text` is not a string.
            UsageError: The model has no such label.
        """
        if not isinstance(text, str):
            raise TypeError(f"leave_one_out takes one string, not {type(text).__name__}")
        if label not in self.labels:
            raise UsageError(f"unknown label {label!r}; the labels are {', '.join(self.labels)}")
        columns = [self.labels.index(label)]
        return leave_one_out(self.predict_proba, self._encoder, text, columns, lambda fall: float(fall[0]))

    def __repr__(self) -> str:
        tokens = self._encoder.tokenizer.get_vocab_size()
        unit = "words" if self._info.kind == "bilstm" else "tokens"
        return f"EmotionClassifier({len(self.labels)} labels, {tokens} {unit}, {self._folder})"

    def _threshold_array(self, thresholds: Mapping[str, float] | float | None) -> np.ndarray:
        """Threshold per column, float32: probabilities are, and 0.3 as float64 would cut off a probability of 0.3."""
        if thresholds is None:
            chosen: Mapping[str, float] = self._thresholds
        elif isinstance(thresholds, Mapping):
            chosen = self._thresholds | self._checked(thresholds)
        else:
            chosen = self._checked(dict.fromkeys(self.labels, thresholds))
        return np.array([chosen[label] for label in self.labels], np.float32)

    def read(self, texts: Sequence[str | None], show_progress_bar: bool = False) -> Read:
        """Probabilities of n texts, the words that were read of each, and the windows that it took.

        A missing text, which is None here, has probabilities of NaN, and no words and windows.
        """
        return read_rows(self._loaded.network, self._encoder, texts, len(self.labels), show_progress_bar)

    def _predictions(
        self, texts: Sequence[str | None], thresholds: np.ndarray, show_progress_bar: bool = False
    ) -> list[Prediction]:
        read = self.read(texts, show_progress_bar)
        return apply_thresholds(read.probabilities, thresholds, self.labels, read.words, read.windows)

    def _stream(self, texts: Iterator[str | None], thresholds: np.ndarray) -> Iterator[Prediction]:
        first = 0
        while chunk := list(islice(texts, STREAM_ROWS)):
            yield from self._predictions(checked_texts(chunk, first), thresholds)
            first += len(chunk)
