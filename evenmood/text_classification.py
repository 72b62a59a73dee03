"""The classifier behind the interface of `transformers.pipeline("text-classification")`: changing over is one line."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evenmood.classifier import STREAM_ROWS, EmotionClassifier
from evenmood.errors import UsageError
from evenmood.inputs import check_rows

Score = dict[str, Any]
"""`{"label": str, "score": float}`."""
TOKENIZER_OPTIONS = ("truncation", "padding", "max_length", "add_special_tokens", "batch_size", "num_workers")
"""What callers of a transformers pipeline often pass; here every text is cut, padded and batched as the model needs."""


class TextClassificationPipeline:
    """Callable that gives each text a score for every label, as transformers does; see `pipeline`."""

    task = "text-classification"

    def __init__(self, classifier: EmotionClassifier, top_k: int | None = None) -> None:
        """Wrap a loaded classifier; `top_k` as in `pipeline`."""
        self.classifier = classifier
        self.top_k = _checked(top_k)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Score texts.

        Args:
            inputs: A text, a mapping with a `text`, a sequence of either, or a generator of either.
            options: `top_k` for this call. What belongs to transformers' tokenizer (`truncation`, `padding`,
                `batch_size`) is taken and changes nothing. `function_to_apply` may be "sigmoid" alone.

        Returns:
            One list of `{"label": str, "score": float}` per text, highest score first, at most `top_k` long; scores
            are probabilities, each label's on its own. As in transformers, a single text gives a list of one such list,
            unless `top_k` is given in the call: then the list itself. A generator gives a generator.

        Raises:
            TypeError: Something is not a text, or an option is unknown.
            UsageError: `top_k` is below 1, or the scores are asked for in another form than probabilities.
        """
        top_k = _checked(options.pop("top_k")) if (in_call := "top_k" in options) else self.top_k
        if options.pop("function_to_apply", None) not in (None, "sigmoid"):
            raise UsageError("function_to_apply: probabilities of independent labels are given; sigmoid alone fits")
        unknown = [name for name in options if name not in TOKENIZER_OPTIONS]
        if unknown:
            raise TypeError(f"unknown option {unknown[0]!r}")
        if isinstance(inputs, (str, Mapping)):
            (scores,) = self._score([_text(inputs)], top_k)
            return [scores] if isinstance(inputs, str) and not in_call else scores
        if isinstance(inputs, (Generator, Iterator)):
            return self._stream(inputs, top_k)
        check_rows(inputs)
        if not isinstance(inputs, Sequence) and not hasattr(inputs, "__getitem__"):
            raise TypeError(f"expected a text or a list of texts, not {type(inputs).__name__}")
        return self._score([_text(entry) for entry in inputs], top_k)

    def _stream(self, inputs: Iterator[Any], top_k: int | None) -> Iterator[list[Score]]:
        while chunk := list(islice(inputs, STREAM_ROWS)):
            yield from self._score([_text(entry) for entry in chunk], top_k)

    def _score(self, texts: list[Any], top_k: int | None) -> list[list[Score]]:
        probabilities = self.classifier.predict_proba(texts)
        columns = (-probabilities).argsort(axis=1, kind="stable")[:, :top_k]
        labels = self.classifier.labels
        return [
            [{"label": labels[column], "score": float(row[column])} for column in order]
            for row, order in zip(probabilities, columns.tolist(), strict=True)
        ]


def pipeline(
    task: str = "text-classification",
    model: str | Path | EmotionClassifier | None = None,
    *,
    top_k: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> TextClassificationPipeline:
    """Return what `transformers.pipeline("text-classification", model=…, top_k=None)` returns, without transformers.

    Args:
        task: `text-classification`, or `sentiment-analysis`, transformers' other name for it.
        model: None for the bundled default, a folder, a Hub id, or a loaded classifier.
        top_k: Labels per text, the most probable first; None for all 28.
        revision: Branch, tag or commit of the Hub repository.
        token: Hub token; None takes the environment's or the login's, False sends none.

    Raises:
        UsageError: Another task, or a `top_k` below 1.
        ModelError: As in `EmotionClassifier.from_pretrained`.
    """
    if task not in ("text-classification", "sentiment-analysis"):
        raise UsageError(f"task {task!r}: only text-classification is known")
    if not isinstance(model, EmotionClassifier):
        model = EmotionClassifier.from_pretrained(model, revision=revision, token=token)
    return TextClassificationPipeline(model, top_k)


def _checked(top_k: Any) -> int | None:
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise UsageError(f"top_k is {top_k!r}; it must be a whole number from 1 on, or None for all labels")
    return top_k


def _text(entry: Any) -> Any:
    """The text of a mapping, or the entry itself; what is no text is the classifier's to refuse."""
    if isinstance(entry, Mapping):
        if entry.get("text_pair") is not None:
            raise TypeError("text pairs are not known to this model; join the two texts")
        return entry.get("text")
    return entry
