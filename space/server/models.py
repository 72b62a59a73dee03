"""The models that a visitor can ask: the default, folders that the runner named or trained, small ones of the Hub."""

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
from evenmood.model.model_folder import INFO_FILE, PREDICTING_FILES, read_info

BUNDLED = "default"
"""What programs call the model that the page starts with."""
FAST, ACCURATE = "fast", "accurate"
"""Names of the bundled models, as `from_pretrained` takes them; they are their titles too."""
LARGEST_BYTES = 50_000_000
"""Of a model that a visitor names; ours have 6 to 14 MB."""
KEPT = 3
"""Models of the Hub that are kept on disk and in memory: whoever comes fourth drives out the one not used longest."""
PATIENCE = 1
"""Seconds that a visitor waits while somebody else's model is being fetched: those with a sentence want the place."""
ARMS = {
    "balanced": "balanced, attention",
    "unbalanced": "unbalanced, attention",
    "unbalanced-average": "unbalanced, without attention",
}
"""Folders of the paper's three arms, wherever among the trained models they lie."""
HUB_ID = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Choice:
    """A model in the list: what it is called, and how it is opened."""

    name: str
    title: str
    folder: Path | None = None


class Models:
    """The models by name; each is loaded when it is first asked for.

    Args:
        default: Folder or Hub id of the model that the page starts with; the bundled one if left out.
        folders: Model folders of the person who runs the page.
        trained: Folder in which models are looked for each time the list is shown: what has just been trained is there.
        downloads: Folder for models of the Hub; the system's temporary folder if left out.
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
        self.default_title = _shown(default)
        self.default_id = default if default and not Path(default).is_dir() else None
        self._named = [Choice(f"./{path.resolve().name}", path.resolve().name, path) for path in folders]
        for choice in self._named:
            EmotionClassifier(choice.folder or Path())  # a wrong folder is told now, not to a visitor
        self._trained, self._downloads = trained, downloads
        self._loaded: OrderedDict[str, tuple[Any, EmotionClassifier]] = OrderedDict()
        self._fetched: OrderedDict[str, tuple[EmotionClassifier, Path]] = OrderedDict()
        self._lock, self._fetching = threading.Lock(), threading.Lock()

    def bundled(self) -> list[Choice]:
        """The model that the page starts with, and the bundled ones beside it."""
        first = Choice(BUNDLED, self.default_title)
        others = [ACCURATE] if self._default is None else [FAST, ACCURATE]
        return [first, *(Choice(name, name, bundled_folder(name)) for name in others)]

    def choices(self) -> list[Choice]:
        """The list as it is now: the bundled models, the runner's folders and what has been trained."""
        found = [*self.bundled(), *self._named]
        root = self._trained
        for info in sorted([*root.glob(f"*/{INFO_FILE}"), *root.glob(f"*/*/{INFO_FILE}")]) if root else []:
            folder = info.parent
            if _readable(folder):
                place = folder.relative_to(root or folder).as_posix()
                arm = ARMS.get(folder.name)
                found.append(Choice(f"./{place}", f"{arm} (paper's arm, {place})" if arm else place, folder))
        return list({choice.name: choice for choice in reversed(found)}.values())[::-1]

    def titles(self) -> list[tuple[str, str]]:
        """Choices of a dropdown: title and name."""
        return [(choice.title, choice.name) for choice in self.choices()]

    def title(self, name: str | None) -> str:
        """How a model is called on the page."""
        name = name or BUNDLED
        return next((choice.title for choice in self.choices() if choice.name == name), name)

    def compared_with(self) -> str:
        """Name of the model that the default is compared with at first: the next one in the list."""
        return self.choices()[1].name

    def for_python(self, name: str | None) -> str | None:
        """What `from_pretrained` takes for a model; None for the bundled one, the folder's name for a folder."""
        return self.default_id if (name or BUNDLED) == BUNDLED else str(name)

    def get(self, name: str | None) -> EmotionClassifier:
        """The model of a name in the list, or of a Hub id.

        Raises:
            ModelError: No such model, no evenmood model, or too large; the message says which.
        """
        if name is not None and not isinstance(name, str):
            raise ModelError(f"the model must be a name, not {type(name).__name__}")
        name = (name or "").strip() or BUNDLED
        if name == BUNDLED or (name == FAST and self._default is None):
            return self.default
        folder = next((choice.folder for choice in self.choices() if choice.name == name and choice.folder), None)
        if folder:
            return self._from_folder(name, folder)
        if not HUB_ID.fullmatch(name) or ".." in name:
            raise ModelError(f"no model {name[:100]!r}: choose one of the list, or give a Hub id (namespace/name)")
        with self._lock:
            if name in self._fetched:
                self._fetched.move_to_end(name)
                return self._fetched[name][0]
        return self._from_hub(name)

    def _from_folder(self, name: str, folder: Path) -> EmotionClassifier:
        stamp = (folder / INFO_FILE).stat().st_mtime_ns  # trained anew under the same name
        with self._lock:
            held = self._loaded.get(name)
        if held and held[0] == stamp:
            return held[1]
        classifier = _open_folder(folder, name)
        with self._lock:
            _keep(self._loaded, name, (stamp, classifier), lambda _: None)
        return classifier

    def _from_hub(self, name: str) -> EmotionClassifier:
        """Fetch a model without any token: a visitor must not read what the runner may."""
        if not self._fetching.acquire(timeout=PATIENCE):
            raise ModelError("another model is being fetched; try again in a minute")
        try:
            commit = _check_on_hub(name)
            if self._downloads:
                self._downloads.mkdir(parents=True, exist_ok=True)
            cache = Path(tempfile.mkdtemp(prefix="evenmood-hub-", dir=self._downloads))
            try:
                folder = hub.download(name, commit, token=False, cache_dir=cache)
                classifier = _open_folder(folder, name)
            except BaseException:
                shutil.rmtree(cache, ignore_errors=True)
                raise
            with self._lock:
                _keep(self._fetched, name, (classifier, cache), lambda old: shutil.rmtree(old[1], ignore_errors=True))
            return classifier
        finally:
            self._fetching.release()


def _keep(kept: OrderedDict[str, Any], name: str, value: Any, forget: Callable[[Any], Any]) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > KEPT:
        forget(kept.popitem(last=False)[1])


def _readable(folder: Path) -> bool:
    """Whether a folder holds a model that is finished; one that is being trained, or is damaged, is not listed."""
    try:
        read_info(folder)
    except EvenmoodError:
        return False
    return all((folder / name).is_file() for name in PREDICTING_FILES)


def _check_on_hub(name: str) -> str:
    """The commit of a public model that holds our three files and is small; `ModelError` says what it is not."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub.explained(f"{name!r} on the Hub", ModelError):
        try:
            about: Any = HfApi(token=False).model_info(name, files_metadata=True, timeout=10)
        except RepositoryNotFoundError:  # a gated one too
            raise ModelError(f"no public model {name!r} on the Hub: check the name") from None
    sizes = {entry.rfilename: entry.size or 0 for entry in about.siblings or []}
    absent = [file for file in PREDICTING_FILES if file not in sizes]
    if absent:
        raise ModelError(f"{name!r} on the Hub is not an evenmood model: {' and '.join(absent)} missing")
    size = sum(sizes[file] for file in PREDICTING_FILES)
    if size > LARGEST_BYTES:
        raise ModelError(
            f"{name!r} on the Hub has {size / 1e6:.0f} MB; at most {LARGEST_BYTES / 1e6:.0f} MB are fetched"
        )
    return str(about.sha)


def _open_folder(folder: Path, name: str) -> EmotionClassifier:
    """Open a folder; errors say what is wrong with the model, and not where on this machine it lies."""
    try:
        return EmotionClassifier(folder)
    except ModelError as error:
        raise ModelError(f"{name}: " + str(error).replace(f"{folder}/", "").replace(f"{folder}: ", "")) from None


def _shown(model: str | None) -> str:
    """The default model as visitors see it: of a folder its name alone, not where it lies."""
    if not model:
        return FAST
    return Path(model).resolve().name if Path(model).is_dir() else model
