"""The classifier behind the interface of `transformers.pipeline("text-classification")`: changing over is one line."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from evenmood.classifier import STREAM_ROWS, EmotionClassifier
from evenmood.errors import UsageError
from evenmood.inputs import check_rows

Score = dict[str, Any]
"""`{"label": str, "score": float}`."""
CALL_OPTIONS = frozenset(
    {
        *("add_special_tokens", "batch_size", "clean_up_tokenization_spaces", "is_split_into_words", "max_length"),
        *("num_workers", "pad_to_multiple_of", "padding", "padding_side", "return_attention_mask", "return_tensors"),
        *("return_token_type_ids", "stride", "truncation", "verbose"),
    }
)
"""What callers of a transformers pipeline pass for its tokenizer and its batches: without effect here, where every text
is cut, padded and batched as the model needs."""
LOAD_OPTIONS = frozenset(
    {
        *("binary_output", "config", "device", "device_map", "dtype", "feature_extractor", "framework"),
        *("image_processor", "processor", "tokenizer", "torch_dtype", "trust_remote_code", "use_fast"),
        *("video_processor",),
    }
)
"""What they pass to load a model and to place it on a device: without effect here, where a model folder says it all."""
UNSET = ""
"""As in transformers: None as `top_k` means all labels."""


class _Form(NamedTuple):
    """Form of the scores of a text.

    Attributes:
        top_k: Labels, the most probable first; None for all.
        legacy: As transformers gave them without `top_k`: all in the model's order, or one that is no list.
    """

    top_k: int | None = None
    legacy: bool = False


DEFAULT_FORM = _Form(1, legacy=True)
"""As in transformers: the most probable label alone, not in a list of its own."""


class TextClassificationPipeline:
    """Callable that gives each text a score for every label, as transformers does; see `pipeline`."""

    task = "text-classification"

    def __init__(self, classifier: EmotionClassifier, top_k: Any = UNSET, **options: Any) -> None:
        """Wrap a loaded classifier; options as in a call."""
        self.classifier = classifier
        self._form = _form({"top_k": top_k, **options}, DEFAULT_FORM)

    @property
    def top_k(self) -> int | None:
        """Labels per text, if a call names no other number; None for all."""
        return self._form.top_k

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Score texts.

        Args:
            inputs: A text, a mapping with a `text`, a sequence of either, or a generator of either.
            options: `top_k`, `return_all_scores` and `function_to_apply` for this call, as in `pipeline`. What belongs
                to transformers' tokenizer (`truncation`, `padding`, `batch_size`) is taken and changes nothing.

        Returns:
            Without `top_k`, one `{"label": str, "score": float}` per text, its most probable label; with it, a list of
            them, highest score first. Scores are probabilities, each label's on its own. With `return_all_scores=True`
            all of them are in the model's order. As in transformers, a single text gives a list of one such answer,
            unless `top_k` is given in the call: then the answer itself. A generator gives a generator. A missing text
            (None, NaN, `pandas.NA`) has no scores.

        Raises:
            TypeError: Something is not a text, or an option is unknown.
            UsageError: `top_k` is below 1, or the scores are asked for in another form than probabilities.
        """
        in_call = "top_k" in options
        form = _form(options, self._form)
        if isinstance(inputs, (str, Mapping)):
            (scores,) = self._score([_text(inputs)], form)
            return [scores] if isinstance(inputs, str) and not in_call else scores
        if isinstance(inputs, (Generator, Iterator)):
            return self._stream(inputs, form)
        check_rows(inputs)
        if not isinstance(inputs, Sequence) and not hasattr(inputs, "__getitem__"):
            raise TypeError(f"expected a text or a list of texts, not {type(inputs).__name__}")
        return self._score([_text(entry) for entry in inputs], form)

    def _stream(self, inputs: Iterator[Any], form: _Form) -> Iterator[list[Score] | Score]:
        while chunk := list(islice(inputs, STREAM_ROWS)):
            yield from self._score([_text(entry) for entry in chunk], form)

    def _score(self, texts: list[Any], form: _Form) -> list[list[Score]] | list[Score]:
        probabilities = self.classifier.predict_proba(texts)
        columns = (-probabilities).argsort(axis=1, kind="stable")[:, : form.top_k]
        if form.legacy and form.top_k is None:
            columns.sort(axis=1)
        labels = self.classifier.labels
        rows = [
            [{"label": labels[column], "score": float(row[column])} for column in order] if row[0] == row[0] else []
            for row, order in zip(probabilities, columns.tolist(), strict=True)
        ]
        return [row[0] if row else {} for row in rows] if form.legacy and form.top_k == 1 else rows


def pipeline(
    task: str | None = "text-classification",
    model: str | Path | EmotionClassifier | None = None,
    *,
    top_k: Any = UNSET,
    revision: str | None = None,
    token: str | bool | None = None,
    **options: Any,
) -> TextClassificationPipeline:
    """Return what `transformers.pipeline("text-classification", model=…, top_k=None)` returns, without transformers.

    Args:
        task: `text-classification`, or `sentiment-analysis`, transformers' other name for it.
        model: None for the bundled default, a folder, a Hub id, or a loaded classifier.
        top_k: Labels per text, the most probable first; None for all 28. Left out: the most probable one of each text,
            not in a list of its own.
        revision: Branch, tag or commit of the Hub repository.
        token: Hub token; None takes the environment's or the login's, False sends none.
        options: Other arguments of transformers' pipeline. `return_all_scores`, where `top_k` is left out: True gives
            all labels in the model's order, False the most probable one of each text, not in a list.
            `function_to_apply` may be "sigmoid" alone. `cache_dir` and `local_files_only`, also within `model_kwargs`,
            and `use_auth_token`, an older name of `token`, go to `from_pretrained`. What concerns devices, tokenizers
            and batches (`device`, `tokenizer`, `truncation`, `batch_size`) is taken and changes nothing.

    Raises:
        TypeError: An unknown option.
        UsageError: Another task, a `top_k` below 1, or scores in another form than probabilities.
        ModelError: As in `EmotionClassifier.from_pretrained`.
    """
    if task not in ("text-classification", "sentiment-analysis", None):
        raise UsageError(f"task {task!r}: only text-classification is known")
    for name in LOAD_OPTIONS:
        options.pop(name, None)
    more = {**options, **(options.pop("model_kwargs", None) or {})}
    loading = {name: more[name] for name in ("cache_dir", "local_files_only") if name in more}
    for name in loading:
        options.pop(name, None)
    older = options.pop("use_auth_token", None)
    _form({"top_k": top_k, **options}, DEFAULT_FORM)  # before a model is downloaded
    if not isinstance(model, EmotionClassifier):
        model = EmotionClassifier.from_pretrained(
            model, revision=revision, token=older if token is None else token, **loading
        )
    elif revision is not None:
        raise UsageError(f"revision {revision!r:.100}: the model is loaded already")
    return TextClassificationPipeline(model, top_k, **options)


def _form(options: dict[str, Any], before: _Form) -> _Form:
    """Form of the scores by the options of a call; what they leave out is as before."""
    unknown = sorted(set(options) - CALL_OPTIONS - {"top_k", "return_all_scores", "function_to_apply"})
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}")
    function = options.get("function_to_apply")
    if function is not None and str(getattr(function, "value", function)).lower() != "sigmoid":
        raise UsageError("function_to_apply: probabilities of independent labels are given; sigmoid alone fits")
    top_k, all_scores = options.get("top_k", UNSET), options.get("return_all_scores")
    if not isinstance(top_k, str) or top_k != UNSET:
        if top_k is not None and (not isinstance(top_k, Integral) or isinstance(top_k, bool) or top_k < 1):
            raise UsageError(f"top_k is {top_k!r}; it must be a whole number from 1 on, or None for all labels")
        return _Form(None if top_k is None else int(top_k))
    if all_scores is None:
        return before
    return _Form(None if all_scores else 1, legacy=True)


def _text(entry: Any) -> Any:
    """The text of a mapping, or the entry itself; what is no text is the classifier's to refuse."""
    if isinstance(entry, Mapping):
        if entry.get("text_pair") is not None:
            raise TypeError("text pairs are not known to this model; join the two texts")
        if "text" not in entry:
            raise TypeError(f"the text of {dict(entry)!r:.60} is None; expected a mapping with a 'text'")
        return entry["text"]
    return entry
