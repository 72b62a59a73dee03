"""Drop-in replacement for `transformers.pipeline("text-classification")`."""

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
"""Call options of a transformers pipeline for tokenizer and batches: accepted and ignored."""
LOAD_OPTIONS = frozenset(
    {
        *("binary_output", "config", "device", "device_map", "dtype", "feature_extractor", "framework"),
        *("image_processor", "processor", "tokenizer", "torch_dtype", "trust_remote_code", "use_fast"),
        *("video_processor",),
    }
)
"""Options of a transformers pipeline for loading a model and choosing a device: accepted and ignored."""
UNSET = ""
"""Default of `top_k`, as in transformers, where None means all labels."""


class _OutputFormat(NamedTuple):
    """Format of the result for one text.

    Attributes:
        top_k: Number of labels, most probable first; None means all.
        legacy: Whether the format is that of transformers without `top_k`: all labels in the model's order, or one
            label that is not in a list.
    """

    top_k: int | None = None
    legacy: bool = False


DEFAULT_OUTPUT = _OutputFormat(1, legacy=True)
"""As in transformers: only the most probable label, not in a list."""


class TextClassificationPipeline:
    """Callable that scores texts in the format of transformers; see `pipeline`."""

    task = "text-classification"

    def __init__(self, classifier: EmotionClassifier, top_k: Any = UNSET, **options: Any) -> None:
        """Wrap a loaded classifier; options are the defaults of later calls."""
        self.classifier = classifier
        self._output_format = _output_format({"top_k": top_k, **options}, DEFAULT_OUTPUT)

    @property
    def top_k(self) -> int | None:
        """Default number of labels per text; None means all."""
        return self._output_format.top_k

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Score texts.

        Args:
            inputs: A text, a mapping with the key `text`, or a sequence or generator of either.
            options: `top_k`, `return_all_scores` and `function_to_apply` for this call, as in `pipeline`. Options of
                transformers' tokenizer (`truncation`, `padding`, `batch_size`) are accepted and ignored.

        Returns:
            Without `top_k`, one `{"label": str, "score": float}` per text, for its most probable label; with it, a list
            of them, highest score first; with `return_all_scores=True`, a list of all in the model's order. Scores are
            independent probabilities. As in transformers, the result for a single text is in a list of length 1 unless
            the call sets `top_k`. The result for a generator is a generator. A missing text (None, NaN, `pandas.NA`)
            has no scores.

        Raises:
            TypeError: An item is not a text, or an option is unknown.
            UsageError: `top_k` is below 1, or `function_to_apply` is not `sigmoid`.
        """
        in_call = "top_k" in options
        output_format = _output_format(options, self._output_format)
        if isinstance(inputs, (str, Mapping)):
            (scores,) = self._score([_text(inputs)], output_format)
            return [scores] if isinstance(inputs, str) and not in_call else scores
        if isinstance(inputs, (Generator, Iterator)):
            return self._stream(inputs, output_format)
        check_rows(inputs)
        if not isinstance(inputs, Sequence) and not hasattr(inputs, "__getitem__"):
            raise TypeError(f"expected a text or a list of texts, not {type(inputs).__name__}")
        return self._score([_text(entry) for entry in inputs], output_format)

    def _stream(self, inputs: Iterator[Any], output_format: _OutputFormat) -> Iterator[list[Score] | Score]:
        while chunk := list(islice(inputs, STREAM_ROWS)):
            yield from self._score([_text(entry) for entry in chunk], output_format)

    def _score(self, texts: list[Any], output_format: _OutputFormat) -> list[list[Score]] | list[Score]:
        probabilities = self.classifier.predict_proba(texts)
        columns = (-probabilities).argsort(axis=1, kind="stable")[:, : output_format.top_k]
        if output_format.legacy and output_format.top_k is None:
            columns.sort(axis=1)
        labels = self.classifier.labels
        rows = [
            [{"label": labels[column], "score": float(row[column])} for column in order] if row[0] == row[0] else []
            for row, order in zip(probabilities, columns.tolist(), strict=True)
        ]
        return [row[0] if row else {} for row in rows] if output_format.legacy and output_format.top_k == 1 else rows


def pipeline(
    task: str | None = "text-classification",
    model: str | Path | EmotionClassifier | None = None,
    *,
    top_k: Any = UNSET,
    revision: str | None = None,
    token: str | bool | None = None,
    **options: Any,
) -> TextClassificationPipeline:
    """Create a drop-in replacement for `transformers.pipeline("text-classification")`, without transformers.

    Args:
        task: `text-classification`, or its alias `sentiment-analysis`.
        model: A folder, a Hub id, or a loaded classifier; None for the default model.
        top_k: Number of labels per text, most probable first; None means all. By default, only the most
            probable label, not in a list.
        revision: Branch, tag or commit of the Hub repository.
        token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`. False sends no token.
        options: Other arguments of transformers' pipeline. `return_all_scores` without `top_k`: True for all labels in
            the model's order, False for only the most probable one, not in a list. `function_to_apply` must be
            `sigmoid`. `cache_dir` and `local_files_only`, also within `model_kwargs`, and `use_auth_token`, an older
            name of `token`, are passed to `from_pretrained`. Options for devices, tokenizers and batches (`device`,
            `tokenizer`, `truncation`, `batch_size`) are accepted and ignored.

    Raises:
        TypeError: An option is unknown.
        UsageError: The task is not supported, `top_k` is below 1, or `function_to_apply` is not `sigmoid`.
        ModelError: As in `EmotionClassifier.from_pretrained`.
    """
    if task not in ("text-classification", "sentiment-analysis", None):
        raise UsageError(f"unsupported task {task!r}; expected 'text-classification'")
    for name in LOAD_OPTIONS:
        options.pop(name, None)
    all_options = {**options, **(options.pop("model_kwargs", None) or {})}
    loading = {name: all_options[name] for name in ("cache_dir", "local_files_only") if name in all_options}
    for name in loading:
        options.pop(name, None)
    auth_token = options.pop("use_auth_token", None)
    _output_format({"top_k": top_k, **options}, DEFAULT_OUTPUT)  # validate before downloading a model
    if not isinstance(model, EmotionClassifier):
        model = EmotionClassifier.from_pretrained(
            model, revision=revision, token=auth_token if token is None else token, **loading
        )
    elif revision is not None:
        raise UsageError(f"revision {revision!r:.100} requires a Hub id as model, not a loaded classifier")
    return TextClassificationPipeline(model, top_k, **options)


def _output_format(options: dict[str, Any], default: _OutputFormat) -> _OutputFormat:
    """Return the result format for the options of a call."""
    unknown = sorted(set(options) - CALL_OPTIONS - {"top_k", "return_all_scores", "function_to_apply"})
    if unknown:
        raise TypeError(
            f"unknown option {unknown[0]!r}; expected top_k, return_all_scores, function_to_apply or an option of "
            "transformers' tokenizer"
        )
    function = options.get("function_to_apply")
    if function is not None and str(getattr(function, "value", function)).lower() != "sigmoid":
        raise UsageError(f"function_to_apply is {function!r:.40}; expected 'sigmoid': labels are independent")
    top_k, all_scores = options.get("top_k", UNSET), options.get("return_all_scores")
    if not isinstance(top_k, str) or top_k != UNSET:
        if top_k is not None and (not isinstance(top_k, Integral) or isinstance(top_k, bool) or top_k < 1):
            raise UsageError(f"top_k is {top_k!r}; expected an integer of at least 1, or None for all labels")
        return _OutputFormat(None if top_k is None else int(top_k))
    if all_scores is None:
        return default
    return _OutputFormat(None if all_scores else 1, legacy=True)


def _text(entry: Any) -> Any:
    """Return the text of a mapping, or the entry itself, which the classifier validates."""
    if isinstance(entry, Mapping):
        if entry.get("text_pair") is not None:
            raise TypeError("text pairs are not supported; join the two texts")
        if "text" not in entry:
            raise TypeError(f"no key 'text' in {dict(entry)!r:.60}; expected a string or a mapping with 'text'")
        return entry["text"]
    return entry
