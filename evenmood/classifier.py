"""The classifier: load a model folder, predict labels, explain them. Runs on onnxruntime alone."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import numpy as np

from evenmood.errors import ModelError, UsageError
from evenmood.inputs import checked_texts
from evenmood.model import hub, model_folder
from evenmood.model.inference import Read, attended_words, model_errors, read_texts
from evenmood.model.loading import default_folder, load_model, local_folder
from evenmood.model.model_folder import ModelInfo
from evenmood.prediction import Prediction, WordWeight, decided
from evenmood.system.paths import expanded
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.spans import words_read
from evenmood.text.windows import Span, combine, window_spans

logger = logging.getLogger(__name__)
SAVING = Lock()
"""Held while a model is saved, maybe over itself: nobody else moves the folder that is copied."""
STREAM_ROWS = 1024
"""How far `predict` reads ahead in a generator."""


class EmotionClassifier:
    """Multi-label emotion classifier: a text in, labels with probabilities out.

    Use `EmotionClassifier.from_pretrained()`; the constructor takes a model folder that is known to be whole.
    """

    def __init__(self, folder: Path) -> None:
        """Load the model of a folder that holds `model.onnx`, `tokenizer.json` and `emotions.json`.

        Raises:
            ModelError: A file is missing, damaged, or does not fit the others.
        """
        loaded = load_model(folder)
        self._folder = folder
        self._files = loaded.files
        self._origin: _Origin | None = None
        self._token: str | bool | None = None
        self._info = loaded.info
        self._thresholds = dict(self._info.thresholds)
        self._tokenizer = loaded.tokenizer
        self._batch_tokenizer = BatchTokenizer(self._tokenizer, self._info.max_length)
        self._session = loaded.session

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "EmotionClassifier":
        """Load a model.

        Args:
            model: None for the bundled default, a folder, or a Hub id (`namespace/name`). A folder goes first.
            revision: Branch, tag or commit of the Hub repository.
            token: Hub token; None takes the environment's or the login's, False sends none.
            cache_dir: Where downloads are kept; None for the Hub client's own place.
            local_files_only: Take what is in the cache and do not ask the Hub.

        Raises:
            ModelError: Nothing there, no access, or not an evenmood model; the message says which.
            UsageError: A revision of the default model or of a folder is asked for.
        """
        folder = local_folder(model, revision)
        if folder:
            return cls(folder)
        model = str(model)
        classifier = cls(hub.download(model, revision, token, cache_dir, local_files_only))
        commit = classifier.folder.name  # the Hub's cache names a snapshot's folder after its commit
        classifier._origin = _Origin(model, commit, None if cache_dir is None else str(cache_dir))
        classifier._token = token
        return classifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle, deep copy, another process: the model is loaded again; a token is never passed on."""
        folder = None if self._folder == default_folder() else self._folder
        return _rebuilt, (type(self), folder, dict(self._thresholds), self._origin)

    @property
    def info(self) -> ModelInfo:
        """What `emotions.json` says: labels, length, origin, measured figures."""
        return self._info

    @property
    def folder(self) -> Path:
        """The folder that the model was loaded from."""
        return self._folder

    def file_sizes(self) -> dict[str, int]:
        """Bytes of each file that predicting needs."""
        return {name: (self._folder / name).stat().st_size for name in model_folder.PREDICTING_FILES}

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each column of `predict_proba`."""
        return self._info.labels

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Probability from which on each label is given. Assign a mapping to change the labels that it names."""
        return MappingProxyType(self._thresholds)

    @thresholds.setter
    def thresholds(self, thresholds: Mapping[str, float]) -> None:
        self._thresholds |= model_folder.check_thresholds(thresholds, self.labels, "thresholds")

    @property
    def has_attention(self) -> bool:
        """Whether `explain` has something to show."""
        return self._info.attention

    def predict_proba(self, texts: str | Sequence[str | None]) -> np.ndarray:
        """Probability of every label.

        Args:
            texts: One string, or a sequence of n strings; n may be 0. None, NaN and `pandas.NA` are missing texts.

        Returns:
            float32 array of shape (n, 28), columns as in `labels`; for one string shape (28,). The row of a missing
            text is NaN.

        Raises:
            TypeError: Something is neither a string nor missing; the message gives its index.
        """
        if isinstance(texts, str):
            return self.read([texts]).probabilities.reshape(-1)
        return self.read(checked_texts(texts)).probabilities

    @overload
    def predict(  # type: ignore[overload-overlap]  # a string is a sequence of strings, to the type checker alone
        self, texts: str, thresholds: Mapping[str, float] | float | None = None
    ) -> Prediction: ...
    @overload
    def predict(
        self, texts: Sequence[str | None], thresholds: Mapping[str, float] | float | None = None
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, texts: Iterator[str | None], thresholds: Mapping[str, float] | float | None = None
    ) -> Iterator[Prediction]: ...

    def predict(
        self,
        texts: str | Sequence[str | None] | Iterator[str | None],
        thresholds: Mapping[str, float] | float | None = None,
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Give each text the labels whose probability reaches their threshold.

        Args:
            texts: One string gives one prediction, a sequence gives a list, and an iterator (a generator, an open
                file) is streamed: predictions come as it is read, some thousand texts at a time. A missing text in it
                (None, NaN, `pandas.NA`) gets an empty prediction, whose `missing` is true.
            thresholds: For this call only: one number for all labels, or a mapping that overrides the labels in it.

        Raises:
            TypeError: Something is neither a string nor missing; the message gives its index.
            ModelError: A threshold outside [0, 1] or for an unknown label.
        """
        cuts = self._cuts(thresholds)
        if isinstance(texts, str):
            return self._predictions([texts], cuts)[0]
        if isinstance(texts, Iterator):
            return self._stream(texts, cuts)
        return self._predictions(checked_texts(texts), cuts)

    def decide(
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
        cuts = self._cuts(thresholds)[columns]
        return decided(probabilities[:, columns], cuts, [self.labels[column] for column in columns])

    def explain(self, text: str) -> list[WordWeight]:
        """Share of the attention that fell on each word.

        Max pooling merges two neighbouring tokens into one time step before the attention sees them; a step's weight
        is shared evenly between its two tokens, and goes whole to the last one where it has no neighbour. A token is a
        word, or a piece of a word outside the vocabulary; a word has the weight of its pieces. The weights sum to 1.
        A text longer than the model reads at once is explained window by window, each with the same share. A text that
        cleans to nothing gives an empty list.

        Raises:
            ModelError: The model has no attention (it averages over time).
            TypeError: `text` is not a string.
        """
        if not self.has_attention:
            raise ModelError("this model has no attention: it averages over time, so no word outweighs another")
        if not isinstance(text, str):
            raise TypeError(f"explain takes one string, not {type(text).__name__}")
        with model_errors():
            spans = self._windows(text)
            parts = [(start, text[start:end]) for start, end in spans]
            limit = self._info.max_length
            read = [(start, attended_words(self._session, self._tokenizer, part, limit)) for start, part in parts]
        found: dict[int, WordWeight] = {}
        for start, words in read:
            for word in words:
                before = found.get(start + word.start)  # windows overlap
                weight = word.weight / len(spans) + (before.weight if before else 0)
                found[start + word.start] = replace(word, start=start + word.start, end=start + word.end, weight=weight)
        return list(found.values())

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
            raise UsageError(f"{label!r} is no label of this model; it has {', '.join(self.labels)}")
        with model_errors():
            spans = self._windows(text)
            parts = [text[slice(*span)] for span in spans]
            words_of = [words_read(self._tokenizer, part)[0] for part in parts]
        column = self.labels.index(label)
        whole = self.predict_proba(parts)[:, [column]]
        before_all = float(combine(whole)[0])
        found: dict[int, WordWeight] = {}
        for place, ((start, _), part) in enumerate(zip(spans, parts, strict=True)):
            without = [f"{part[: word.start]} {part[word.end :]}" for word in words_of[place]]
            for word, left in zip(words_of[place], self.predict_proba(without)[:, column], strict=True):
                changed = whole.copy()
                changed[place] = left
                before = found.get(start + word.start)  # windows overlap
                weight = before_all - float(combine(changed)[0]) + (before.weight if before else 0)
                found[start + word.start] = replace(word, start=start + word.start, end=start + word.end, weight=weight)
        return list(found.values())

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model folder, with the thresholds as they are now; it is whole or absent.

        Keras's files, card and training record are copied along, unless the folder holds another model by now.

        Raises:
            UsageError: The folder exists and is not empty, and `overwrite` is false.
        """
        if not str(folder).strip():
            raise UsageError("the name of the folder to save to is empty")
        target = expanded(folder, ModelError)
        with SAVING, model_folder.whole_folder(target, overwrite) as work:
            if not self._copy(self._folder, work):
                logger.warning("%s holds another model by now: saved without Keras's files and card", self._folder)
        return target

    def _copy(self, source: Path, target: Path) -> bool:
        return model_folder.copy_model(self._files, self._info, source, target, self._thresholds)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload evenmood model",
        create_pr: bool = False,
        token: str | bool | None = None,
    ) -> hub.Upload:
        """Upload the whole model folder, with the thresholds as they are now, in one commit; nothing else.

        A model that came from the Hub as three files has the others fetched from the same commit. A second push of the
        same model makes no commit. An older training record in the repository is replaced.

        Args:
            repo_id: `namespace/name`; created if there is none.
            private: Whether a new repository is private; None for the account's default.
            revision: Branch; created if there is none.
            commit_message: First line of the commit.
            create_pr: Open a pull request instead.
            token: None takes the environment's or the login's.

        Raises:
            ModelError: The folder lacks Keras's files or the card; the message says which.
            HubError: No access, no network, or the Hub refuses the card.
        """
        source = self._folder
        if self._origin:
            pushing = token if self._token is None else self._token
            source = hub.download(self._origin.model, self._origin.commit, pushing, self._origin.cache_dir, whole=True)
        model_folder.check_files(source, (*model_folder.KERAS_FILES, model_folder.CARD_FILE))
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            if not self._copy(source, work):
                raise ModelError(f"{source} has changed since the model was loaded; load it again")
            return hub.upload(
                work,
                repo_id,
                message=commit_message,
                replace=[f"{model_folder.TRAINING_FOLDER}/*"],
                private=private,
                revision=revision,
                create_pr=create_pr,
                token=token,
                prepare=lambda api, full_id: model_folder.name_in_card(work, full_id),
            )

    def __repr__(self) -> str:
        return f"EmotionClassifier({len(self.labels)} labels, {self._tokenizer.get_vocab_size()} words, {self._folder})"

    def _cuts(self, thresholds: Mapping[str, float] | float | None) -> np.ndarray:
        """Threshold per column, float32: probabilities are, and 0.3 as float64 would cut off a probability of 0.3."""
        if thresholds is None:
            chosen: Mapping[str, float] = self._thresholds
        elif isinstance(thresholds, Mapping):
            chosen = self._thresholds | model_folder.check_thresholds(thresholds, self.labels, "thresholds")
        else:
            chosen = model_folder.check_thresholds(dict.fromkeys(self.labels, thresholds), self.labels, "thresholds")
        return np.array([chosen[label] for label in self.labels], np.float32)

    def read(self, texts: Sequence[str | None]) -> Read:
        """Probabilities of n texts, the words that were read of each, and the windows that it took.

        A missing text, which is None here, has probabilities of NaN, and no words and windows.
        """
        given = [text for text in texts if text is not None]
        found = read_texts(self._session, self._batch_tokenizer, given, len(self.labels))
        if len(given) == len(texts):
            return found
        rows = [row for row, text in enumerate(texts) if text is not None]
        read = Read(np.full((len(texts), len(self.labels)), np.nan, np.float32), *np.zeros((2, len(texts)), np.int64))
        read.probabilities[rows], read.words[rows], read.windows[rows] = found.probabilities, found.words, found.windows
        return read

    def _predictions(self, texts: Sequence[str | None], cuts: np.ndarray) -> list[Prediction]:
        read = self.read(texts)
        return decided(read.probabilities, cuts, self.labels, read.words, read.windows)

    def _windows(self, text: str) -> list[Span]:
        """Where the windows of a text lie; one where it is not longer than the model reads at once."""
        encoder = self._batch_tokenizer
        if encoder.encode([text]).tokens[0] <= encoder.max_length:
            return [(0, len(text))]
        return window_spans(text, encoder.max_length, lambda parts: encoder.encode(parts).tokens)

    def _stream(self, texts: Iterator[str | None], cuts: np.ndarray) -> Iterator[Prediction]:
        first = 0
        while chunk := list(islice(texts, STREAM_ROWS)):
            yield from self._predictions(checked_texts(chunk, first), cuts)
            first += len(chunk)


class _Origin(NamedTuple):
    """Where on the Hub a model came from."""

    model: str
    commit: str
    cache_dir: str | None


def _rebuilt(
    kind: type[EmotionClassifier], folder: Path | None, thresholds: dict[str, float], origin: _Origin | None
) -> EmotionClassifier:
    """Load a classifier again; on a machine that lacks the folder, from the Hub where it came from there."""
    folder = folder or default_folder()
    if origin and not folder.is_dir():
        classifier = kind.from_pretrained(origin.model, revision=origin.commit)
    else:
        classifier = kind(folder)
        classifier._origin = origin
    classifier.thresholds = thresholds
    return classifier
