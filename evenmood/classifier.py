"""The classifier: predict and explain emotion labels. Requires only onnxruntime."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from evenmood.errors import ModelError, UsageError
from evenmood.explanation import attention_weights, leave_one_out, shares
from evenmood.inputs import check_rows, check_texts, multi_hot
from evenmood.model.pretrained import PretrainedModel
from evenmood.onnx.inference import Read, infer_rows
from evenmood.prediction import Prediction, WordWeight, apply_thresholds
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.thresholds import Method, Metric, TunedThresholds, tune_and_score

STREAM_ROWS = 1024
"""Number of texts that `predict_stream` reads ahead."""


class EmotionClassifier(PretrainedModel):
    """Multi-label emotion classifier: predicts the labels of texts, with probabilities.

    Create it with `EmotionClassifier.from_pretrained()`.
    """

    @property
    def id2label(self) -> dict[int, str]:
        """Label of each column of `predict_proba`, as in a transformers configuration."""
        return dict(enumerate(self.labels))

    @property
    def label2id(self) -> dict[str, int]:
        """Column of each label in `predict_proba`."""
        return {label: column for column, label in enumerate(self.labels)}

    @property
    def has_attention(self) -> bool:
        """Whether the network has attention weights; without them, `explain` works only for encoders."""
        return self._info.attention

    def predict_proba(self, texts: str | Iterable[str | None], *, show_progress_bar: bool = False) -> np.ndarray:
        """Predict the probability of every label.

        Args:
            texts: One string, or a sequence of n strings; n may be 0. None, NaN and `pandas.NA` are missing texts.
            show_progress_bar: Whether to show a progress bar on standard error.

        Returns:
            float32 array of shape (n, 28), columns as in `labels`; for one string shape (28,). The row of a missing
            text is NaN.

        Raises:
            TypeError: An item is neither a string nor missing; the message gives its index.
        """
        if isinstance(texts, str):
            return self.read([texts]).probabilities.reshape(-1)
        return self.read(check_texts(texts), show_progress_bar).probabilities

    @overload
    def predict(  # type: ignore[overload-overlap]  # to the type checker, a string is a sequence of strings
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
        """Predict the labels of each text: those whose probability reaches their threshold.

        Args:
            texts: One string, or a sequence of strings. A missing text (None, NaN, `pandas.NA`) gets an empty
                prediction, whose `missing` is true. For iterators, use `predict_stream`.
            thresholds: Thresholds for this call only: one number for all labels, or a mapping for some of them.
            show_progress_bar: Whether to show a progress bar on standard error.

        Returns:
            One prediction for a string, a list of predictions for a sequence.

        Raises:
            TypeError: An item is neither a string nor missing; the message gives its index.
            UsageError: A threshold is outside [0, 1], or its label is unknown.
        """
        array = self._threshold_array(thresholds)
        if isinstance(texts, str):
            return self._predictions([texts], array)[0]
        return self._predictions(check_texts(texts), array, show_progress_bar)

    def predict_stream(
        self, texts: Iterable[str | None], thresholds: Mapping[str, float] | float | None = None
    ) -> Iterator[Prediction]:
        """Yield a prediction for each text of an iterable, such as a generator, an open file or a data set column.

        About a thousand texts are read ahead at a time.

        Args:
            texts: Strings; missing texts are as in `predict`.
            thresholds: As in `predict`.

        Raises:
            TypeError: An item is neither a string nor missing; the message gives its index.
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
        """Add predictions to a table as columns.

        The columns are those of `evenmood predict`: `emotions` (a list of labels), `emotion_probabilities`,
        `emotion_fallback` and, with `proba`, one per label, such as `emotion_joy`. They are missing in rows without a
        text.

        Args:
            data: A pandas or polars frame or series, an Arrow table, or a list of texts, which becomes a pandas frame.
            column: Column with the texts.
            labels: Labels to predict; by default, all.
            proba: Whether to add a column with the probability of each label.
            show_progress_bar: Whether to show a progress bar on standard error.

        Returns:
            A new frame of the same type and with the same index; the new columns come last.

        Raises:
            UsageError: The column does not exist, a new column already exists, or a label is unknown.
            TypeError: `data` has an unsupported type, or an item in the column is neither a string nor missing.
        """
        from evenmood.tables.frames import with_emotions

        selected_labels = list(self.labels if labels is None else dict.fromkeys(labels))
        self._check_labels(selected_labels, "labels")
        return with_emotions(self, data, column, selected_labels, proba, show_progress_bar)

    def apply_thresholds(
        self,
        probabilities: np.ndarray,
        thresholds: Mapping[str, float] | float | None = None,
        only: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Convert probabilities, shape (n, 28), to predictions, as `predict` does.

        Args:
            probabilities: Result of `predict_proba`; a row of NaN becomes an empty prediction.
            thresholds: As in `predict`.
            only: Labels to predict; by default, all.

        Raises:
            UsageError: A threshold is outside [0, 1], or a label is unknown.
        """
        selected_labels = list(self.labels if only is None else only)
        self._check_labels(selected_labels, "only")
        columns = [self.labels.index(label) for label in selected_labels]
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
        """Find the best thresholds for labeled texts, without changing those of the classifier.

        To use the result, assign it: `classifier.thresholds = classifier.tune_thresholds(texts, labels)`. Do not
        evaluate the model on the same texts afterwards.

        Args:
            texts: n texts.
            labels: Label names of each text, or an array of 0 and 1 of shape (n, 28), columns as in `labels`.
            metric: `f1`, `f0.5` (favors precision) or `f2` (favors recall).
            method: `shrunk` regularizes the thresholds of labels with few texts; `grid` takes the best one per label.

        Returns:
            The threshold of every label, and the scores on these texts. A label without texts keeps its threshold and
            is listed in `unchanged`.

        Raises:
            UsageError: There are no texts, the labels do not match the texts, or a label, the metric or the method is
                unknown.
            TypeError: A text is not a string.
        """
        if isinstance(texts, str):
            raise TypeError("texts is one string; expected a list of strings")
        rows = check_texts(texts)
        if missing := [index for index, text in enumerate(rows) if text is None]:
            raise TypeError(f"text {missing[0]} is missing; expected a string; remove it and its labels")
        truth = multi_hot(labels, self.labels, len(rows))
        return tune_and_score(truth, self.read(rows).probabilities, self._thresholds, metric, method)

    def explain(self, text: str) -> list[WordWeight]:
        """Compute the weight of each word in a prediction; weights sum to 1.

        For a network with attention, such as the fast model, the weight is the word's share of the attention, over all
        labels together. Max pooling merges two neighboring tokens into one time step before the attention; the weight
        of a step is divided evenly between its tokens. A token is a word or a word piece; the weight of a word is the
        sum over its pieces.

        For an encoder, such as the accurate model, the weight is the word's share of the absolute change in the
        probabilities of the predicted labels when the word is removed. This takes one prediction per word.

        A text longer than the model's maximum length is explained window by window. The result for a text without
        words is empty.

        Raises:
            ModelError: The network has no attention (average pooling).
            TypeError: `text` is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is of type {type(text).__name__}; expected one string")
        if isinstance(self._tokenizer, EncoderTokenizer):
            columns = [self.labels.index(label) for label in self.predict(text).labels]
            return shares(
                leave_one_out(
                    self.predict_proba, self._tokenizer, text, columns, lambda decrease: float(np.abs(decrease).sum())
                )
            )
        if not self.has_attention:
            raise ModelError("this model has no attention weights to explain a prediction; use leave_one_out instead")
        return attention_weights(self._loaded.network, self._tokenizer, text)

    def leave_one_out(self, text: str, label: str) -> list[WordWeight]:
        """Compute how much each word contributes to the probability of a label.

        The weight of a word is the probability of the whole text minus that of the text without the word: positive if
        the word supports the label. In a text longer than the model's maximum length, the word is removed from the
        windows that contain it. The result for a text without words is empty.

        Raises:
            TypeError: `text` is not a string.
            UsageError: The model has no such label.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is of type {type(text).__name__}; expected one string")
        if label not in self.labels:
            raise UsageError(f"unknown label {label!r}; expected one of: {', '.join(self.labels)}")
        columns = [self.labels.index(label)]
        return leave_one_out(self.predict_proba, self._tokenizer, text, columns, lambda decrease: float(decrease[0]))

    def __repr__(self) -> str:
        size = self._tokenizer.tokenizer.get_vocab_size()
        return f"EmotionClassifier({len(self.labels)} labels, {size} vocabulary entries, {self._folder})"

    def _check_labels(self, labels: Sequence[str], argument: str) -> None:
        if unknown := [label for label in labels if label not in self.labels]:
            raise UsageError(f"{argument}: unknown label {unknown[0]!r}; expected one of: {', '.join(self.labels)}")

    def _threshold_array(self, thresholds: Mapping[str, float] | float | None) -> np.ndarray:
        """Return the threshold of each column in float32: a float64 0.3 would exclude a float32 0.3."""
        if thresholds is None:
            by_label: Mapping[str, float] = self._thresholds
        elif isinstance(thresholds, Mapping):
            by_label = self._thresholds | self._check_thresholds(thresholds)
        else:
            by_label = self._check_thresholds(dict.fromkeys(self.labels, thresholds))
        return np.array([by_label[label] for label in self.labels], np.float32)

    def read(self, texts: Sequence[str | None], show_progress_bar: bool = False) -> Read:
        """Predict the probabilities of n texts, and count words and windows; a missing text has NaN and zeros."""
        return infer_rows(self._loaded.network, self._tokenizer, texts, len(self.labels), show_progress_bar)

    def _predictions(
        self, texts: Sequence[str | None], thresholds: np.ndarray, show_progress_bar: bool = False
    ) -> list[Prediction]:
        output = self.read(texts, show_progress_bar)
        return apply_thresholds(output.probabilities, thresholds, self.labels, output.words, output.windows)

    def _stream(self, texts: Iterator[str | None], thresholds: np.ndarray) -> Iterator[Prediction]:
        first = 0
        while chunk := list(islice(texts, STREAM_ROWS)):
            yield from self._predictions(check_texts(chunk, first), thresholds)
            first += len(chunk)
