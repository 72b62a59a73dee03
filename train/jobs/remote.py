"""Train in Hub jobs: upload the source, start a job, and keep checkpoints on the Hub."""

import gzip
import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from evenmood import EmotionClassifier
from evenmood.errors import HubError, UsageError
from evenmood.model import hub
from evenmood.model.hub_files import check_hub_file
from evenmood.model.model_folder import TRAINING_FOLDER, atomic_folder, check_target
from evenmood.system.paths import expand_home
from train.config import TrainConfig
from train.fitting.checkpoint import HISTORY_FILE, OPTIONS_FILE, Checkpoint
from train.jobs.job import ARCHIVE

ROOT = Path(__file__).parents[2]
SOURCE_REPO = "evenmood-source"
IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
"""The image of `hf jobs uv run`; TensorFlow installs the CUDA libraries, and the machine has the driver."""
MOUNT = "/source"
SOURCES = ("evenmood/**/*.py", "train/**/*.py", "train/**/*.jinja", "train/evaluation/**/*.json*")
ATTEMPTS = 3
"""Maximum number of attempts of a job; each attempt resumes the previous one."""


def archive(out: Path) -> Path:
    """Write a reproducible archive of the source required for training."""
    names = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in names:
            entry = tarfile.TarInfo(path.relative_to(ROOT).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(entry, file)
    out.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    return out


def flags_of(config: TrainConfig) -> list[str]:
    """Return the command-line options of a configuration that differ from the defaults."""
    flags = []
    for field in fields(config):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            for item in value if isinstance(value, tuple) else (value,):
                flags += [f"--{name}", str(item)]
    return flags


def start(
    config: TrainConfig,
    repo_id: str,
    log: Callable[[str], None],
    flavor: str,
    timeout: str,
    options: Sequence[str],
    restart: bool = False,
) -> str:
    """Upload the source to the user's account, start a Hub job that trains and pushes, and return its URL.

    Args:
        config: Configuration of the run; data and vectors must be on the Hub.
        repo_id: Model repository to push to.
        log: Called with progress messages.
        flavor: Hardware, as listed by `hf jobs hardware`.
        timeout: Maximum duration of the job, such as `3h`.
        options: Additional flags of `python -m train remote`.
        restart: Whether to discard an unfinished run first; further attempts of the job resume.

    Raises:
        UsageError: The configuration refers to a local file or folder.
        HubError: The user is not logged in, has no access, or is not allowed to start jobs.
    """
    from huggingface_hub import HfApi, Volume, get_token

    for name, value in (("--data", config.data), ("--extra", config.extra), ("--vectors", config.vectors)):
        candidates = (value, value.rpartition(":")[0], value.removeprefix("encoder:"))
        if any(path and expand_home(path).exists() for path in candidates):
            raise UsageError(f"{name} {value}: a remote job cannot read local files; pass a Hub id")
    token = get_token()
    if token is None:
        raise HubError("not logged in; set HF_TOKEN or run: hf auth login")
    for name, values in (("--corpus", config.corpus), ("--soft-targets", config.soft_targets)):
        for value in values:
            check_hub_file(name, value)
    unfinished = HubCheckpoint(repo_id, Path("evenmood-model"), log)
    if restart:
        unfinished.remove()
    with tempfile.TemporaryDirectory() as temporary:
        source_folder = Path(temporary)
        archive(source_folder / ARCHIVE)
        shutil.copyfile(Path(__file__).with_name("job.py"), source_folder / "job.py")
        source = hub.upload(source_folder, SOURCE_REPO, message="Upload source", repo_type="dataset", private=True)
    log(f"source: {source.url}, commit {source.commit[:8]}")
    arguments = ["--source", f"{source.repo_id}@{source.commit}", repo_id, *options, *flags_of(config)]
    with hub.convert_errors(f"a job on {flavor}", HubError):
        job = HfApi().run_job(
            image=IMAGE,
            command=["uv", "run", f"{MOUNT}/job.py", *arguments],
            secrets={"HF_TOKEN": token},
            flavor=flavor,
            timeout=timeout,
            attempts=ATTEMPTS,
            volumes=[Volume(type="dataset", source=source.repo_id, mount_path=MOUNT, revision=source.commit)],
        )
    return str(job.url)


class HubCheckpoint:
    """Checkpoint of an unfinished run in a private Hub repository."""

    def __init__(self, repo_id: str, out: Path, log: Callable[[str], None], save_minutes: float = 0.0) -> None:
        """Create the repository if needed, which also checks write access before training.

        Raises:
            HubError: Access is denied, the Hub cannot be reached, or the repository has other content.
        """
        from huggingface_hub import HfApi

        self.folder = out.with_name(out.name + ".partial")
        self.log, self.pause = log, save_minutes * 60
        self._last_upload = time.monotonic() - self.pause
        name = f"{repo_id}-unfinished"
        with hub.convert_errors(f"{name!r} on the Hub", HubError):
            api = HfApi()
            self.repo_id = hub.retry(lambda: api.create_repo(name, private=True, exist_ok=True)).repo_id
            files = set(hub.retry(lambda: api.list_repo_files(self.repo_id))) - {".gitattributes"}
        if files and OPTIONS_FILE not in files:
            raise HubError(
                f"{self.repo_id!r} on the Hub exists, but contains no checkpoint; rename or delete it, or use another "
                "repository name"
            )
        self.exists = bool(files)

    def fetch(self) -> None:
        """Download the checkpoint if it has more epochs than the local one."""
        if not self.exists:
            return
        remote = hub.download_files(self.repo_id, ["*"])
        if epochs(remote) > epochs(self.folder) or not (self.folder / OPTIONS_FILE).exists():
            with atomic_folder(self.folder, overwrite=True) as work_folder:
                shutil.copytree(
                    remote, work_folder, ignore=shutil.ignore_patterns(".gitattributes"), dirs_exist_ok=True
                )
            self.log(f"resuming after epoch {epochs(remote)}: checkpoint from {self.repo_id}")

    def save(self, folder: Path) -> None:
        """Upload the folder in one commit, unless the last upload is recent; a failure does not stop training."""
        if time.monotonic() - self._last_upload < self.pause:
            return
        try:
            hub.upload(folder, self.repo_id, message="Save unfinished run", delete_patterns=["*.keras"], private=True)
        except HubError as error:
            self.log(f"checkpoint not uploaded: {error}; training continues")
            return
        self._last_upload = time.monotonic()

    def remove(self) -> None:
        """Delete the repository."""
        from huggingface_hub import HfApi

        with hub.convert_errors(f"{self.repo_id!r} on the Hub", HubError):
            hub.retry(lambda: HfApi().delete_repo(self.repo_id, missing_ok=True))


def epochs(folder: Path) -> int:
    """Return the number of completed epochs of an unfinished run."""
    path = folder / HISTORY_FILE
    return len(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else 0


def train(
    config: TrainConfig,
    repo_id: str,
    out: Path,
    log: Callable[[str], None],
    *,
    test: bool = False,
    private: bool | None = None,
    save_minutes: float = 5.0,
    restart: bool = False,
    overwrite: bool = False,
    yes: bool = True,
) -> hub.Upload:
    """Train and push; an interrupted run resumes on any machine.

    Args:
        config: Configuration of the run.
        repo_id: Model repository to push to.
        out: Model folder.
        log: Called with progress messages.
        test: Whether to evaluate on the test split too.
        private: Whether a new model repository is private; the repository of the unfinished run always is.
        save_minutes: Minimum time between checkpoint uploads, in minutes.
        restart: Whether to discard an unfinished run instead of resuming it.
        overwrite: Whether to replace an existing folder.
        yes: Whether to start large downloads without confirmation.

    Raises:
        UsageError: `out` exists and `overwrite` is false, or a large download was not confirmed.
        HubError: Access is denied, or the Hub cannot be reached.
    """
    path = out / TRAINING_FOLDER / "config.json"
    is_trained = path.exists() and json.loads(path.read_text("utf-8")) == json.loads(json.dumps(asdict(config)))
    if not is_trained:
        check_target(out, overwrite)
    unfinished = HubCheckpoint(repo_id, out, log, save_minutes)
    if is_trained:
        log(f"{out}: already trained with these options")
    else:
        if not restart:
            unfinished.fetch()
        from train.vectors.sources import confirm_download

        confirm_download(config.vectors, yes or (not restart and Checkpoint.has_vectors(out)))
        from train.fitting.fit import fit

        fit(config, out, log, overwrite=overwrite, restart=restart, on_checkpoint=unfinished.save)
    if test:
        from train.evaluation.evaluate import evaluate

        evaluate(out, "test")
    upload = EmotionClassifier.from_pretrained(out).push_to_hub(repo_id, private=private)
    unfinished.remove()
    return upload
