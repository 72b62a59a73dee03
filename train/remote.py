"""Training on a rented machine: its source, its start, and a run that is kept on the Hub until it is finished."""

import gzip
import io
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from evenmood import EmotionClassifier, hub
from evenmood.errors import HubError, UsageError
from train.config import TrainConfig
from train.job import ARCHIVE

ROOT = Path(__file__).parent.parent
SOURCE_REPO = "evenmood-source"
IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
"""What `hf jobs uv run` takes too; the GPU's libraries come with TensorFlow, its driver with the machine."""
MOUNT = "/source"
ATTEMPTS = 3
"""A job that dies is started again, and goes on."""


def archive(out: Path) -> Path:
    """Write the source that training needs; the same source gives the same bytes."""
    names = sorted([*ROOT.glob("evenmood/*.py"), *ROOT.glob("train/*.py"), *ROOT.glob("train/*.jinja")])
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
    """The flags that make a configuration out of the defaults."""
    flags = []
    for field in fields(config):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            flags += [f"--{name}", str(value)]
    return flags


def start(
    config: TrainConfig, repo_id: str, say: Callable[[str], None], flavor: str, timeout: str, options: Sequence[str]
) -> str:
    """Upload the source to the user's account, start a Hub job that trains and pushes, and return the job's address.

    Args:
        config: All choices of the run; data and vectors must be where the job sees them.
        repo_id: Model repository that the job pushes to.
        say: Receives progress, a line at a time.
        flavor: Hardware, as `hf jobs hardware` lists it.
        timeout: After which the job is stopped: `3h`.
        options: Further flags of `python -m train remote`.

    Raises:
        UsageError: A local file or folder is part of the configuration.
        HubError: Nobody is logged in, no access, or the account may not start jobs.
    """
    from huggingface_hub import HfApi, Volume, get_token

    for name, value in (("--data", config.data), ("--vectors", config.vectors), ("--corpus", "".join(config.corpus))):
        if value and Path(value).exists():
            raise UsageError(f"{name} {value}: a rented machine does not see this machine's files; give a Hub id")
    token = get_token()
    if token is None:
        raise HubError("nobody is logged in; set HF_TOKEN, or log in with: hf auth login")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        archive(work / ARCHIVE)
        shutil.copyfile(Path(__file__).with_name("job.py"), work / "job.py")
        source = hub.upload(work, SOURCE_REPO, message="Upload source", repo_type="dataset", private=True)
    say(f"source: {source.url}, commit {source.commit[:8]}")
    arguments = ["--source", f"{source.repo_id}@{source.commit}", repo_id, *options, *flags_of(config)]
    with hub.explained(f"a job on {flavor}", HubError):
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


class Unfinished:
    """An unfinished run's folder, kept in a private repository beside the model's."""

    def __init__(self, repo_id: str, out: Path, say: Callable[[str], None], save_minutes: float) -> None:
        """Nothing is read or written yet."""
        self.repo_id = f"{repo_id}-unfinished"
        self.folder = out.with_name(out.name + ".partial")
        self.say, self.pause = say, save_minutes * 60
        self.saved = time.monotonic() - self.pause

    def fetch(self) -> None:
        """Take up what another machine left, where this one has nothing."""
        from huggingface_hub import HfApi

        with hub.explained(f"{self.repo_id!r} on the Hub", HubError):
            there = hub.retrying(lambda: HfApi().repo_exists(self.repo_id))
        if there and not self.folder.exists():
            found = hub.fetch(self.repo_id, ["*"])
            shutil.copytree(found, self.folder, ignore=shutil.ignore_patterns(".gitattributes"))
            self.say(f"an unfinished run was found at {self.repo_id}")

    def save(self, folder: Path) -> None:
        """Upload the folder in one commit, unless that was done a moment ago; training goes on if it fails."""
        if time.monotonic() - self.saved < self.pause:
            return
        try:
            hub.upload(folder, self.repo_id, message="Save unfinished run", replace=["*.keras"], private=True)
        except HubError as error:
            self.say(f"the unfinished run could not be saved: {error}")
            return
        self.saved = time.monotonic()

    def remove(self) -> None:
        """Delete the repository: the model is where it belongs."""
        from huggingface_hub import HfApi

        with hub.explained(f"{self.repo_id!r} on the Hub", HubError):
            hub.retrying(lambda: HfApi().delete_repo(self.repo_id, missing_ok=True))


def train(
    config: TrainConfig,
    repo_id: str,
    out: Path,
    say: Callable[[str], None],
    *,
    test: bool = False,
    private: bool | None = None,
    save_minutes: float = 5.0,
    restart: bool = False,
) -> hub.Upload:
    """Train and push; run again anywhere, it goes on where it stopped.

    Args:
        config: All choices of the run.
        repo_id: Model repository to push to.
        out: Model folder to write.
        say: Receives progress, a line at a time.
        test: Read the test split too, for the report.
        private: Whether a new model repository is private; the unfinished run's always is.
        save_minutes: Shortest time between two uploads of the unfinished run.
        restart: Forget an unfinished run instead of going on with it.

    Raises:
        HubError: No access or no network at the start or at the push.
    """
    from train.evaluate import evaluate
    from train.fit import fit

    unfinished = Unfinished(repo_id, out, say, save_minutes)
    if restart:
        unfinished.remove()
    else:
        unfinished.fetch()
    fit(config, out, say, overwrite=True, restart=restart, keep=unfinished.save)
    if test:
        evaluate(out, "test")
    made = EmotionClassifier.from_pretrained(out).push_to_hub(repo_id, private=private)
    unfinished.remove()
    return made
