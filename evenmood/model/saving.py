"""Save a loaded model as a folder, and push it to the Hub."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from evenmood.errors import ModelError, UsageError
from evenmood.model import hub, model_folder
from evenmood.model.loading import LoadedModel
from evenmood.system.paths import expanded

logger = logging.getLogger(__name__)
SAVING = Lock()
"""Held while a model is saved, maybe over itself: nobody else moves the folder that is copied."""


class Origin(NamedTuple):
    """Where on the Hub a model came from."""

    model: str
    commit: str
    cache_dir: str | None


def save(
    model: LoadedModel, source: Path, folder: str | Path, thresholds: Mapping[str, float], overwrite: bool
) -> Path:
    """See `EmotionClassifier.save_pretrained`; `source` is the folder that the model was loaded from."""
    if not str(folder).strip():
        raise UsageError("the name of the folder to save to is empty")
    target = expanded(folder, ModelError)
    with SAVING, model_folder.whole_folder(target, overwrite) as work:
        if not model_folder.copy_model(model.files, model.info, source, work, thresholds):
            logger.warning("%s holds another model by now: saved without Keras's files and card", source)
    return target


def push(
    model: LoadedModel,
    source: Path,
    thresholds: Mapping[str, float],
    repo_id: str,
    *,
    private: bool | None,
    revision: str | None,
    commit_message: str,
    create_pr: bool,
    token: str | bool | None,
) -> hub.Upload:
    """See `EmotionClassifier.push_to_hub`; `source` is a folder with all files of the model."""
    model_folder.check_files(source, (*model_folder.KERAS_FILES, model_folder.CARD_FILE))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if not model_folder.copy_model(model.files, model.info, source, work, thresholds):
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
