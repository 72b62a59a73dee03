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
from evenmood.system.paths import expand_home

logger = logging.getLogger(__name__)
_SAVE_LOCK = Lock()
"""Lock for saving: a model may be saved to its own folder, which must not move while it is copied."""


class Origin(NamedTuple):
    """The Hub repository and commit of a model."""

    model: str
    commit: str
    cache_dir: str | None


class PretrainedModel:
    """Base class of `EmotionClassifier`: loading, saving, sharing, and thresholds."""

    def __init__(self, folder: str | Path) -> None:
        """Load a folder with `model.onnx`, `tokenizer.json` and `emotions.json`.

        Raises:
            ModelError: The folder does not exist, or a file is missing, corrupt, or inconsistent with the others.
        """
        folder = expand_home(folder, ModelError)
        if not folder.is_dir():
            raise ModelError(f"no folder {str(folder)!r:.100}; for a Hub id, use EmotionClassifier.from_pretrained")
        self._set_model(load_model(folder), folder)

    def _set_model(self, model: LoadedModel, folder: Path, file_name: str | None = None) -> None:
        self._folder = folder
        self._file_name = file_name  # network file of a model loaded with `from_onnx`
        self._loaded = model
        self._origin: Origin | None = None
        self._token: str | bool | None = None
        self._info = model.info
        self._thresholds = dict(self._info.thresholds)
        self._tokenizer = model.tokenizer

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
            model: `fast` or None for the bundled default; `accurate` for the other bundled model; a folder; or a Hub id
                (`namespace/name`). Bundled names take precedence over folders, and folders over Hub ids.
            revision: Branch, tag or commit of the Hub repository.
            token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`. False sends no token.
            cache_dir: Cache folder; by default, that of huggingface_hub.
            local_files_only: Whether to use only cached files.

        Raises:
            ModelError: The model does not exist, is not accessible, or is not an evenmood model.
            UsageError: `revision` is given for a bundled model or a folder.
        """
        folder = local_folder(model, revision)
        if folder:
            return cls(folder)
        model = str(model)
        if "/" not in model:
            raise ModelError(f"unknown model {model!r:.100}; expected {', '.join(BUNDLED)}, a folder or a Hub id")
        classifier = cls(hub.download_model(model, revision, token, cache_dir, local_files_only))
        commit = classifier.folder.name  # the Hub cache names a snapshot folder after its commit
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
        """Load a text classifier exported with another tool, in the layout of optimum.

        The layout is `onnx/model.onnx`, `tokenizer.json` and `config.json` with `id2label`, as in
        `SamLowe/roberta-base-go_emotions-onnx`. The activation is sigmoid, or softmax if `config.json` has the problem
        type `single_label_classification`. No remote code is run and nothing is unpickled; all such networks in a
        process, including encoders, may together allocate at most 4 GiB. Such a model supports prediction,
        leave-one-out explanations and threshold tuning; it cannot be saved or pushed.

        Args:
            model: Folder or Hub id.
            labels: Label of each output; by default, those in `id2label`.
            thresholds: Threshold of each label, or one for all labels; 0.5 by default.
            max_length: Maximum length in tokens; longer texts are split into windows. By default, the model's own, at
                most 512.
            file_name: Network file, such as `onnx/model_quantized.onnx`; by default, the first one that exists.
            revision: Branch, tag or commit of the Hub repository.
            token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`. False sends no token.
            cache_dir: Cache folder; by default, that of huggingface_hub.
            local_files_only: Whether to use only cached files.

        Raises:
            ModelError: The model does not exist, is not accessible, or is not such an export.
            UsageError: Labels, thresholds or length do not match the network.
        """
        local = expand_home(model, ModelError)
        source = local if local.is_dir() else model
        folder, name = onnx_export.find(source, file_name, revision, token, cache_dir, local_files_only)
        classifier = cls.__new__(cls)
        classifier._set_model(onnx_export.load_export(folder, name, labels, thresholds, max_length), folder, name)
        return classifier

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling and deep copies by loading the model again; a token is never included."""
        if self._file_name is not None:
            arguments = (self._folder, self._file_name, self.labels, dict(self._thresholds), self._info.max_length)
            return _reopen, (type(self), *arguments)
        bundled = next((name for name in BUNDLED if self._folder == bundled_folder(name)), None)
        return _rebuild, (type(self), bundled or self._folder, dict(self._thresholds), self._origin)

    @property
    def info(self) -> ModelInfo:
        """Parsed `emotions.json`: labels, length, origin, metrics."""
        return self._info

    @property
    def folder(self) -> Path:
        """Folder from which the model was loaded."""
        return self._folder

    def file_sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file required for prediction."""
        names = model_folder.PREDICTION_FILES
        if self._file_name is not None:
            names = (self._file_name, onnx_export.TOKENIZER_FILE, onnx_export.CONFIG_FILE)
        return {name: (self._folder / name).stat().st_size for name in names}

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each column of `predict_proba`."""
        return self._info.labels

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Decision threshold of each label; assign a mapping to replace all, use `set_thresholds` to change some."""
        return MappingProxyType(self._thresholds)

    @thresholds.setter
    def thresholds(self, thresholds: Mapping[str, float]) -> None:
        checked = self._check_thresholds(thresholds)
        missing = [label for label in self.labels if label not in checked]
        if missing:
            raise UsageError(
                f"thresholds: missing {', '.join(missing):.200}; expected all labels; "
                "to change only some, use set_thresholds"
            )
        self._thresholds = {label: checked[label] for label in self.labels}

    def set_thresholds(self, **thresholds: float) -> None:
        """Change the thresholds of some labels: `set_thresholds(joy=0.3)`.

        Raises:
            UsageError: A label is unknown, or a threshold is not a number from 0 to 1.
        """
        self._thresholds |= self._check_thresholds(thresholds)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Save the model folder atomically, with the current thresholds.

        Keras files, card and training record are copied if the original folder still contains the same network.

        Args:
            folder: Folder to write.
            overwrite: Whether to replace an existing folder.

        Returns:
            The folder.

        Raises:
            UsageError: The folder exists and is not empty, and `overwrite` is false.
            ModelError: The model was loaded with `from_onnx`.
        """
        self._check_native("saved")
        if not str(folder).strip():
            raise UsageError("the folder name is empty; expected a folder to save to")
        target = expand_home(folder, ModelError)
        with _SAVE_LOCK, model_folder.atomic_folder(target, overwrite) as work_folder:
            if not self._copy(self._folder, work_folder):
                logger.warning("%s now contains another model: saved without Keras files and card", self._folder)
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
        """Upload the model folder in one commit, with the current thresholds.

        If the model was loaded from the Hub, files not needed for prediction are downloaded from the same commit first.
        Pushing an unchanged model makes no commit. An earlier training record in the repository is replaced.

        Args:
            repo_id: `namespace/name`; created if it does not exist.
            private: Whether a new repository is private; by default, as set in the account.
            revision: Branch; created if it does not exist.
            commit_message: Commit message.
            create_pr: Whether to open a pull request instead of committing to the branch.
            token: Hub token; by default, HF_TOKEN or the token saved by `hf auth login`.

        Returns:
            Repository, URL and commit of the upload.

        Raises:
            ModelError: The model was loaded with `from_onnx`, or the folder lacks the card, or the Keras files of a
                model that Keras trained.
            HubError: Access is denied, the Hub cannot be reached, or it rejects the card.
        """
        self._check_native("pushed")
        source = self._folder
        if self._origin:
            download_token = token if self._token is None else self._token
            source = hub.download_model(
                self._origin.model, self._origin.commit, download_token, self._origin.cache_dir, all_files=True
            )
        keras_files = model_folder.KERAS_FILES if self.info.kind == "bilstm" else ()
        model_folder.check_files(source, (*keras_files, model_folder.CARD_FILE))
        with tempfile.TemporaryDirectory() as temporary:
            work_folder = Path(temporary)
            if not self._copy(source, work_folder):
                raise ModelError(f"{source} has changed since the model was loaded; load the model again")
            return hub.upload(
                work_folder,
                repo_id,
                message=commit_message,
                delete_patterns=[f"{model_folder.TRAINING_FOLDER}/*"],
                private=private,
                revision=revision,
                create_pr=create_pr,
                token=token,
                prepare=lambda api, full_id: model_folder.set_card_repo_id(work_folder, full_id),
            )

    def _check_native(self, action: str) -> None:
        if self._file_name is not None:
            raise ModelError(
                f"{self._folder}: a model loaded with from_onnx cannot be {action}; keep its folder, "
                "and pass thresholds= to from_onnx"
            )

    def _check_thresholds(self, thresholds: Mapping[str, float]) -> dict[str, float]:
        return model_folder.check_thresholds(thresholds, self.labels, "thresholds", UsageError)


def _rebuild(
    kind: type[PretrainedModel], model: Path | str, thresholds: dict[str, float], origin: Origin | None
) -> PretrainedModel:
    """Load a classifier again, from the Hub if its folder does not exist on this machine."""
    folder = bundled_folder(model) if isinstance(model, str) else model
    if origin and not folder.is_dir():
        classifier = kind.from_pretrained(origin.model, revision=origin.commit)
    else:
        classifier = kind(folder)
        classifier._origin = origin
    classifier.thresholds = thresholds
    return classifier


def _reopen(
    kind: type[PretrainedModel], folder: Path, file_name: str, labels: tuple[str, ...], thresholds: Any, length: int
) -> PretrainedModel:
    """Load a model with `from_onnx` again."""
    return kind.from_onnx(folder, file_name=file_name, labels=labels, thresholds=thresholds, max_length=length)
