"""Models that visitors can use: the default, local folders, trained models, and small models from the Hub."""

import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenmood import EmotionClassifier
from evenmood.errors import EvenmoodError, ModelError
from evenmood.model import hub
from evenmood.model.loading import bundled_folder
from evenmood.model.model_folder import INFO_FILE, PREDICTION_FILES, read_info

DEFAULT_NAME = "default"
"""Name of the default model in the API."""
FAST = "fast"
"""Name and title of the fast bundled model, which `from_pretrained` accepts."""
ACCURATE = "accurate"
"""Name and title of the accurate bundled model, which `from_pretrained` accepts."""
MAX_MODEL_BYTES = 50_000_000
"""Maximum size of a Hub model; the bundled models are 11 and 13 MB."""
MAX_CACHED_MODELS = 3
"""Maximum number of Hub models on disk and in memory; another one replaces the least recently used."""
DOWNLOAD_WAIT_SECONDS = 1
"""Maximum wait for another visitor's download, so that waiting requests do not block the queue."""
ARMS = {
    "balanced": "balanced, attention",
    "unbalanced": "unbalanced, attention",
    "unbalanced-average": "unbalanced, without attention",
}
"""Titles of the folders with the three experiment arms of the paper (arXiv 2511.14073)."""
HUB_ID = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Choice:
    """A model in the list: its name in the API, its title, and its folder if it is not the default model."""

    name: str
    title: str
    folder: Path | None = None


class Models:
    """Models by name, loaded on first use.

    Args:
        default: Folder or Hub id of the default model; None for the default model of evenmood.
        folders: Additional model folders.
        trained: Folder that is searched for models each time the list is shown, so that new models appear.
        downloads: Folder for Hub models; by default, the system's temporary folder.
    """

    def __init__(
        self,
        default: str | None = None,
        folders: Sequence[Path] = (),
        trained: Path | None = None,
        downloads: Path | None = None,
    ) -> None:
        self._default = default
        self.default = EmotionClassifier.from_pretrained(default)
        self.default_title = _display_name(default)
        self.default_id = default if default and not Path(default).is_dir() else None
        self._named = [Choice(f"./{path.resolve().name}", path.resolve().name, path) for path in folders]
        for choice in self._named:
            EmotionClassifier(choice.folder or Path())  # fail early
        self._trained, self._downloads = trained, downloads
        self._loaded: OrderedDict[str, tuple[Any, EmotionClassifier]] = OrderedDict()
        self._fetched: OrderedDict[str, tuple[EmotionClassifier, Path]] = OrderedDict()
        self._lock, self._fetching = threading.Lock(), threading.Lock()

    def bundled(self) -> list[Choice]:
        """Return the default model, and the other bundled models."""
        first = Choice(DEFAULT_NAME, self.default_title)
        others = [ACCURATE] if self._default is None else [FAST, ACCURATE]
        return [first, *(Choice(name, name, bundled_folder(name)) for name in others)]

    def choices(self) -> list[Choice]:
        """Return the current list of models: bundled models, additional folders, trained models."""
        choices = [*self.bundled(), *self._named]
        root = self._trained
        for info in sorted([*root.glob(f"*/{INFO_FILE}"), *root.glob(f"*/*/{INFO_FILE}")]) if root else []:
            folder = info.parent
            if _is_complete(folder):
                path = folder.relative_to(root or folder).as_posix()
                arm = ARMS.get(folder.name)
                choices.append(Choice(f"./{path}", f"{arm} (paper's arm, {path})" if arm else path, folder))
        return list({choice.name: choice for choice in reversed(choices)}.values())[::-1]

    def titles(self) -> list[tuple[str, str]]:
        """Return the title and name of each model, as choices of a dropdown."""
        return [(choice.title, choice.name) for choice in self.choices()]

    def title(self, name: str | None) -> str:
        """Return the title of a model on the page."""
        name = name or DEFAULT_NAME
        return next((choice.title for choice in self.choices() if choice.name == name), name)

    def second_choice(self) -> str:
        """Return the name of the model initially compared with the default: the next one in the list."""
        return self.choices()[1].name

    def for_python(self, name: str | None) -> str | None:
        """Return the argument of `from_pretrained` for a model; None for the default, unless it is a Hub model."""
        return self.default_id if (name or DEFAULT_NAME) == DEFAULT_NAME else str(name)

    def get(self, name: str | None) -> EmotionClassifier:
        """Load a model by its name in the list, or by its Hub id.

        Raises:
            ModelError: The model is unknown, is not an evenmood model, or is too large.
        """
        if name is not None and not isinstance(name, str):
            raise ModelError(f"the model must be a name, not {type(name).__name__}")
        name = (name or "").strip() or DEFAULT_NAME
        if name == DEFAULT_NAME or (name == FAST and self._default is None):
            return self.default
        folder = next((choice.folder for choice in self.choices() if choice.name == name and choice.folder), None)
        if folder:
            return self._from_folder(name, folder)
        if not HUB_ID.fullmatch(name) or ".." in name:
            raise ModelError(
                f"unknown model {name[:100]!r}; choose one from the list, or enter a Hub id (namespace/name)"
            )
        with self._lock:
            if name in self._fetched:
                self._fetched.move_to_end(name)
                return self._fetched[name][0]
        return self._from_hub(name)

    def _from_folder(self, name: str, folder: Path) -> EmotionClassifier:
        modified = (folder / INFO_FILE).stat().st_mtime_ns  # changes if the model is trained again
        with self._lock:
            cached = self._loaded.get(name)
        if cached and cached[0] == modified:
            return cached[1]
        classifier = _open_folder(folder, name)
        with self._lock:
            _cache(self._loaded, name, (modified, classifier), lambda _: None)
        return classifier

    def _from_hub(self, name: str) -> EmotionClassifier:
        """Download a model without a token: visitors must not read private models of the server's account."""
        if not self._fetching.acquire(timeout=DOWNLOAD_WAIT_SECONDS):
            raise ModelError("another model is being downloaded; try again in a minute")
        try:
            commit = _check_on_hub(name)
            if self._downloads:
                self._downloads.mkdir(parents=True, exist_ok=True)
            cache = Path(tempfile.mkdtemp(prefix="evenmood-hub-", dir=self._downloads))
            try:
                folder = hub.download_model(name, commit, token=False, cache_dir=cache)
                classifier = _open_folder(folder, name)
            except BaseException:
                shutil.rmtree(cache, ignore_errors=True)
                raise
            with self._lock:
                _cache(self._fetched, name, (classifier, cache), lambda old: shutil.rmtree(old[1], ignore_errors=True))
            return classifier
        finally:
            self._fetching.release()


def _cache(cached: OrderedDict[str, Any], name: str, value: Any, evict: Callable[[Any], Any]) -> None:
    cached[name] = value
    cached.move_to_end(name)
    while len(cached) > MAX_CACHED_MODELS:
        evict(cached.popitem(last=False)[1])


def _is_complete(folder: Path) -> bool:
    """Return whether a folder contains a complete model; incomplete and corrupt models are not listed."""
    try:
        read_info(folder)
    except EvenmoodError:
        return False
    return all((folder / name).is_file() for name in PREDICTION_FILES)


def _check_on_hub(name: str) -> str:
    """Check that a Hub model is public, an evenmood model and small; return its commit.

    Raises:
        ModelError: The model is private, too large, or not an evenmood model.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub.convert_errors(f"{name!r} on the Hub", ModelError):
        try:
            info: Any = HfApi(token=False).model_info(name, files_metadata=True, timeout=10)
        except RepositoryNotFoundError:  # or gated
            raise ModelError(f"no public model {name!r} on the Hub; check the name") from None
    sizes = {entry.rfilename: entry.size or 0 for entry in info.siblings or []}
    missing = [file for file in PREDICTION_FILES if file not in sizes]
    if missing:
        raise ModelError(
            f"{name!r} on the Hub is not an evenmood model; missing files: {', '.join(missing)}; choose another model"
        )
    size = sum(sizes[file] for file in PREDICTION_FILES)
    if size > MAX_MODEL_BYTES:
        raise ModelError(
            f"{name!r} on the Hub is {size / 1e6:.0f} MB; expected at most {MAX_MODEL_BYTES / 1e6:.0f} MB; "
            "choose a smaller model"
        )
    return str(info.sha)


def _open_folder(folder: Path, name: str) -> EmotionClassifier:
    """Open a folder; error messages do not contain its path on the server."""
    try:
        return EmotionClassifier(folder)
    except ModelError as error:
        raise ModelError(f"{name}: " + str(error).replace(f"{folder}/", "").replace(f"{folder}: ", "")) from None


def _display_name(model: str | None) -> str:
    """Return the title of the default model; for a folder its name, without the path on the server."""
    if not model:
        return FAST
    return Path(model).resolve().name if Path(model).is_dir() else model
