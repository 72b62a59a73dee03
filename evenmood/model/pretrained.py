"""Load, copy, save and push a model, and change its thresholds."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from evenmood.errors import ModelError, UsageError
from evenmood.model import hub, model_folder, onnx_export
from evenmood.model.loading import BUNDLED, LoadedModel, bundled_folder, load_model, local_folder
from evenmood.model.model_folder import ModelInfo
from evenmood.system.paths import expanded

logger = logging.getLogger(__name__)
SAVING = Lock()
"""Held while a model is saved, maybe over itself: nobody else moves the folder that is copied."""


class Origin(NamedTuple):
    """Where on the Hub a model came from."""

    model: str
    commit: str
    cache_dir: str | None


class PretrainedModel:
    """A model folder that has been loaded; `EmotionClassifier` predicts with it."""

    def __init__(self, folder: str | Path) -> None:
        """Load the model of a folder that holds `model.onnx`, `tokenizer.json` and `emotions.json`.

        Raises:
            ModelError: There is no such folder, or a file is missing, damaged, or does not fit the others.
        """
        folder = expanded(folder, ModelError)
        if not folder.is_dir():
            raise ModelError(f"no folder {str(folder)!r:.100}; for a Hub id, use EmotionClassifier.from_pretrained")
        self._take(load_model(folder), folder)

    def _take(self, loaded: LoadedModel, folder: Path, file_name: str | None = None) -> None:
        self._folder = folder
        self._file_name = file_name  # of another program's export
        self._loaded = loaded
        self._origin: Origin | None = None
        self._token: str | bool | None = None
        self._info = loaded.info
        self._thresholds = dict(self._info.thresholds)
        self._encoder = loaded.tokenizer

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load a model.

        Args:
            model: `fast`, the bundled default, which None means too; `accurate`, the other bundled model; a folder; or
                a Hub id (`namespace/name`). A bundled name goes before a folder, and that before a Hub id.
            revision: Branch, tag or commit of the Hub repository.
            token: Hub token; None takes the environment's or the login's, False sends none.
            cache_dir: Where downloads are kept; None for the Hub client's own place.
            local_files_only: Take what is in the cache and do not ask the Hub.

        Raises:
            ModelError: Nothing there, no access, or not an evenmood model; the message says which.
            UsageError: A revision of a bundled model or of a folder is asked for.
        """
        folder = local_folder(model, revision)
        if folder:
            return cls(folder)
        model = str(model)
        classifier = cls(hub.download(model, revision, token, cache_dir, local_files_only))
        commit = classifier.folder.name  # the Hub's cache names a snapshot's folder after its commit
        classifier._origin = Origin(model, commit, None if cache_dir is None else str(cache_dir))
        classifier._token = token
        return classifier

    @classmethod
    def from_onnx(
        cls,
        model: str | Path,
        *,
        labels: Sequence[str] | None = None,
        thresholds: Mapping[str, float] | float | None = None,
        max_length: int | None = None,
        file_name: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load another program's text classifier, in the layout that optimum writes.

        That is `onnx/model.onnx`, `tokenizer.json` and `config.json` with `id2label`, for instance
        `SamLowe/roberta-base-go_emotions-onnx`. Its outputs go through a sigmoid, or through a softmax where
        `config.json` says `single_label_classification`. Nothing is unpickled and no code of the repository is run; the
        network may allocate 4 GiB. Such a model predicts, explains by leaving words out and has its thresholds tuned;
        it cannot be saved or pushed.

        Args:
            model: Folder or Hub id.
            labels: Label of each output; those of `id2label` if left out.
            thresholds: Threshold of each label, or one for all; 0.5 for labels left out.
            max_length: Tokens read at once; longer texts are read in windows. Up to 512 as the model says if left out.
            file_name: Network to load, such as `onnx/model_quantized.onnx`; the first that is there if left out.
            revision: Branch, tag or commit of the Hub repository.
            token: Hub token; None takes the environment's or the login's, False sends none.
            cache_dir: Where downloads are kept; None for the Hub client's own place.
            local_files_only: Take what is in the cache and do not ask the Hub.

        Raises:
            ModelError: Nothing there, no access, or no such export; the message says which.
            UsageError: Labels, thresholds or length do not fit the network.
        """
        local = expanded(model, ModelError)
        place = local if local.is_dir() else model
        folder, name = onnx_export.find(place, file_name, revision, token, cache_dir, local_files_only)
        classifier = cls.__new__(cls)
        classifier._take(onnx_export.load_export(folder, name, labels, thresholds, max_length), folder, name)
        return classifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle, deep copy, another process: the model is loaded again; a token is never passed on."""
        if self._file_name is not None:
            arguments = (self._folder, self._file_name, self.labels, dict(self._thresholds), self._info.max_length)
            return _reopened, (type(self), *arguments)
        bundled = next((name for name in BUNDLED if self._folder == bundled_folder(name)), None)
        return _rebuilt, (type(self), bundled or self._folder, dict(self._thresholds), self._origin)

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
        names = model_folder.PREDICTING_FILES
        if self._file_name is not None:
            names = (self._file_name, onnx_export.TOKENIZER_FILE, onnx_export.CONFIG_FILE)
        return {name: (self._folder / name).stat().st_size for name in names}

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each column of `predict_proba`."""
        return self._info.labels

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Threshold of each label. Assign a mapping to replace all; `set_thresholds` changes some."""
        return MappingProxyType(self._thresholds)

    @thresholds.setter
    def thresholds(self, thresholds: Mapping[str, float]) -> None:
        checked = self._checked(thresholds)
        absent = [label for label in self.labels if label not in checked]
        if absent:
            raise UsageError(
                f"thresholds: none for {', '.join(absent):.200}; set_thresholds changes some labels and keeps the rest"
            )
        self._thresholds = {label: checked[label] for label in self.labels}

    def set_thresholds(self, **thresholds: float) -> None:
        """Change the thresholds of some labels: `set_thresholds(joy=0.3)`.

        Raises:
            UsageError: An unknown label, or a threshold that is not a number from 0 to 1.
        """
        self._thresholds |= self._checked(thresholds)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model folder, with the thresholds as they are now; it is whole or absent.

        Keras's files, card and training record are copied along, unless the folder holds another model by now.

        Raises:
            UsageError: The folder exists and is not empty, and `overwrite` is false.
            ModelError: The model is another program's export.
        """
        self._check_own("saved")
        if not str(folder).strip():
            raise UsageError("the name of the folder to save to is empty")
        target = expanded(folder, ModelError)
        with SAVING, model_folder.whole_folder(target, overwrite) as work:
            if not self._copy(self._folder, work):
                logger.warning("%s holds another model by now: saved without Keras's files and card", self._folder)
        return target

    def _copy(self, source: Path, target: Path) -> bool:
        return model_folder.copy_model(self._loaded.files, self._info, source, target, self._thresholds)

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
            ModelError: The folder lacks the card, or Keras's files if Keras trained it; the message says which.
            HubError: No access, no network, or the Hub refuses the card.
        """
        self._check_own("pushed")
        source = self._folder
        if self._origin:
            pushing = token if self._token is None else self._token
            source = hub.download(self._origin.model, self._origin.commit, pushing, self._origin.cache_dir, whole=True)
        keras_files = model_folder.KERAS_FILES if self.info.kind == "bilstm" else ()
        model_folder.check_files(source, (*keras_files, model_folder.CARD_FILE))
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

    def _check_own(self, done: str) -> None:
        if self._file_name is not None:
            raise ModelError(
                f"{self._folder}: another program's export cannot be {done} as an evenmood model; keep its folder, and "
                "pass thresholds= to from_onnx"
            )

    def _checked(self, thresholds: Mapping[str, float]) -> dict[str, float]:
        return model_folder.check_thresholds(thresholds, self.labels, "thresholds", UsageError)


def _rebuilt(
    kind: type[PretrainedModel], place: Path | str, thresholds: dict[str, float], origin: Origin | None
) -> PretrainedModel:
    """Load a classifier again; on a machine that lacks the folder, from the Hub where it came from there."""
    folder = bundled_folder(place) if isinstance(place, str) else place
    if origin and not folder.is_dir():
        classifier = kind.from_pretrained(origin.model, revision=origin.commit)
    else:
        classifier = kind(folder)
        classifier._origin = origin
    classifier.thresholds = thresholds
    return classifier


def _reopened(
    kind: type[PretrainedModel], folder: Path, file_name: str, labels: tuple[str, ...], thresholds: Any, length: int
) -> PretrainedModel:
    """Load another program's export again."""
    return kind.from_onnx(folder, file_name=file_name, labels=labels, thresholds=thresholds, max_length=length)
