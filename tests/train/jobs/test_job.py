"""Training in a Hub job: the submitted job, run locally, interrupted, and resumed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import Field, fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evenmood import DataError, EmotionClassifier, HubError, UsageError
from evenmood.model.hub_files import located
from evenmood.model.model_folder import KERAS_FILES
from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import READER, TOKEN
from train.config import TrainConfig
from train.jobs import remote
from train.jobs.remote import Unfinished, archive, epochs, flags_of

ROOT = Path(__file__).parents[3]
MODEL, DATA = "you/moods", "you/small"
UNFINISHED = f"{MODEL}-unfinished"


@pytest.fixture
def with_data(hub: HubServer, token: str, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> HubServer:
    """The small data set as Parquet on the Hub."""
    from data_build.publishing import publish
    from data_build.stages import goemotions

    build = tmp_path_factory.mktemp("with-data") / "build"  # not in the data set's own folder, which others read
    goemotions.run(build, print, str(small_data), any_size=True)
    publish.publish(build, DATA, print)
    return hub


def start(hub: HubServer, *options: str) -> list[str]:
    """Ask for the job; return the command that the machine is to run."""
    done = run_command("train", "job", MODEL, "--data", DATA, "--epochs", "4", "--test", *SMALL, *options)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"http\S+/jobs/you/job1\n", done.stdout)
    (job,) = hub.jobs
    assert job["dockerImage"].startswith("ghcr.io/astral-sh/uv:")
    assert job["flavor"] == "t4-small"
    assert (job["timeoutSeconds"], job["attempts"]) == (3 * 3600, 3)
    assert job["secrets"] == {"HF_TOKEN": TOKEN}
    assert TOKEN not in str({key: value for key, value in job.items() if key != "secrets"})
    source = hub.repositories["datasets/you/evenmood-source"]
    assert source.private
    (volume,) = job["volumes"]
    assert (volume["source"], volume["mountPath"]) == ("you/evenmood-source", "/source")
    assert volume["revision"] == source.refs["main"]
    command: list[str] = job["command"]
    assert command[:3] == ["uv", "run", "/source/job.py"]
    return command[3:]


def machine(hub: HubServer, place: Path, arguments: list[str]) -> "subprocess.Popen[str]":
    """A fresh machine: the mounted script, an empty folder, an empty cache, the secret."""
    place.mkdir()
    (place / "job.py").write_bytes(hub.repositories["datasets/you/evenmood-source"].files()["job.py"])
    command = [sys.executable, "-I", str(place / "job.py"), *arguments, "--save-minutes", "0"]
    settings: dict[str, Any] = {**os.environ, "HF_HOME": str(place / "home"), "HF_TOKEN": TOKEN}
    return subprocess.Popen(command, cwd=place, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_killed_and_run_again_on_another_machine(with_data: HubServer, tmp_path: Path) -> None:
    hub = with_data
    arguments = start(hub)
    first = machine(hub, tmp_path / "first", arguments)
    deadline = time.monotonic() + 120
    while not any(path.startswith("epoch-002") for path in unfinished(hub)):
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    _, said = first.communicate()
    assert MODEL not in hub.repositories
    assert hub.repositories[UNFINISHED].private

    second = machine(hub, tmp_path / "second", arguments)
    out, again = second.communicate(timeout=200)
    assert second.returncode == 0, again
    assert out == f"{hub.url}/{MODEL}\n"
    assert "resuming the unfinished run of" in again
    after = int(re.search(r"resuming after epoch (\d)", again)[1])  # type: ignore[index]
    assert after >= 2
    assert f"epoch {after}/4" not in again
    assert f"epoch {after + 1}/4" in again or after == 4
    assert UNFINISHED not in hub.repositories
    held = hub.repositories[MODEL].files()
    assert set(KERAS_FILES) <= set(held)
    assert b"split: test" in held["README.md"]
    history = held["training/history.csv"].decode().splitlines()[1:]
    assert [line.split(",")[0] for line in history] == list("1234")
    assert EmotionClassifier.from_pretrained(MODEL).info.trained_from["data"] == DATA
    for text in (said, out, again):
        assert TOKEN not in text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def unfinished(hub: HubServer) -> list[str]:
    return list(hub.repositories[UNFINISHED].files()) if UNFINISHED in hub.repositories else []


def unfinished_run(folder: Path, epochs: int) -> Path:
    """What an interrupted run leaves, as far as it matters here."""
    folder.mkdir(parents=True)
    (folder / "options.json").write_text("{}")
    (folder / "history.json").write_text(json.dumps([{"epoch": epoch} for epoch in range(epochs)]))
    (folder / f"epoch-{epochs:03}.keras").write_bytes(b"network")
    return folder


def test_training_continues_if_saving_fails(hub: HubServer, token: str, tmp_path: Path) -> None:
    said: list[str] = []
    kept = Unfinished(MODEL, tmp_path / "model", said.append, save_minutes=1)
    folder = unfinished_run(tmp_path / "model.partial", 2)
    hub.fail(f"{UNFINISHED}/commit", status=403)
    kept.save(folder)
    assert "checkpoint not uploaded" in said[0]
    kept.save(folder)
    kept.save(folder)  # within the minute
    assert hub.requests[f"POST /api/models/{UNFINISHED}/commit/main"] == 2


@pytest.mark.parametrize(("here", "there", "expected"), [(None, 3, 3), (0, 3, 3), (2, 3, 3), (4, 3, 4)])
def test_run_with_more_epochs_is_resumed(
    hub: HubServer, token: str, tmp_path: Path, here: int | None, there: int, expected: int
) -> None:
    Unfinished("moods", tmp_path / "a", print).save(unfinished_run(tmp_path / "a.partial", there))
    if here is not None:
        unfinished_run(tmp_path / "b.partial", here)
    other = Unfinished(MODEL, tmp_path / "b", print)  # a name alone is the token owner's
    other.fetch()
    assert epochs(other.folder) == expected
    assert (other.folder / f"epoch-{expected:03}.keras").exists()
    other.remove()
    assert not hub.repositories


def test_what_is_no_unfinished_run_is_left_alone(hub: HubServer, token: str, tmp_path: Path) -> None:
    hub.add(UNFINISHED, {"novel.txt": b"chapter one"})
    for restart in (True, False):
        with pytest.raises(HubError, match="is not an unfinished run"):
            remote.start(TrainConfig(), MODEL, print, "t4-small", "3h", [], restart)
        with pytest.raises(HubError, match="is not an unfinished run"):
            remote.train(TrainConfig(), MODEL, tmp_path / "model", print, restart=restart)
    assert hub.repositories[UNFINISHED].files() == {"novel.txt": b"chapter one"}


def test_restart_forgets_it_at_once(hub: HubServer, token: str, tmp_path: Path) -> None:
    Unfinished(MODEL, tmp_path / "a", print).save(unfinished_run(tmp_path / "a.partial", 3))
    done = run_command("train", "job", MODEL, "--restart")
    assert done.returncode == 0, done.stderr
    assert UNFINISHED not in hub.repositories
    assert "--restart" not in hub.jobs[0]["command"]


def test_existing_output_is_not_lost(hub: HubServer, token: str, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    done = run_command("train", "remote", MODEL, "--data", DATA, "--out", tmp_path / "precious")
    assert (done.returncode, "exists already" in done.stderr) == (2, True)
    assert not hub.requests


def test_what_is_trained_is_pushed_without_training(
    hub: HubServer, token: str, trained_model: Path, small_data: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(trained_model, tmp_path / "model")
    done = run_command(
        *("train", "remote", MODEL, "--data", str(small_data), "--epochs", "4", "--out", str(out)), *SMALL
    )
    assert done.returncode == 0, done.stderr
    assert "already trained" in done.stderr
    assert set(hub.repositories) == {MODEL}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--corpus", "pyproject.toml", "a remote job cannot read local files"),
        ("--soft-targets", "soft.parquet", "a remote job cannot read local files"),
        ("--soft-targets", "hf://datasets/you/t/gone.parquet", "no such file on the Hub"),
        ("--vectors", "encoder:tests", "a remote job cannot read local files"),
        ("--extra", "tests", "a remote job cannot read local files"),
    ],
)
def test_no_job_starts_without_its_files(hub: HubServer, token: str, option: str, value: str, message: str) -> None:
    hub.add("datasets/you/t", {"b.txt": b"two\n"})
    done = run_command("train", "job", MODEL, "--data", DATA, option, value)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert option in done.stderr
    assert message in done.stderr
    assert not hub.jobs


@pytest.mark.parametrize("configuration", ["", ":unbalanced"])
def test_what_a_job_cannot_see(hub: HubServer, token: str, small_data: Path, configuration: str) -> None:
    done = run_command("train", "job", MODEL, "--data", f"{small_data}{configuration}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--data" in done.stderr
    assert "a remote job cannot read local files" in done.stderr
    assert not hub.requests


def test_who_may_not_start_one(hub: HubServer) -> None:
    stranger = run_command("train", "job", "stranger/moods", HF_TOKEN=TOKEN)
    assert (stranger.returncode, "403" in stranger.stderr) == (1, True)
    assert not hub.jobs
    nobody = run_command("train", "job", MODEL)
    assert (nobody.returncode, "not logged in" in nobody.stderr) == (1, True)
    reader = run_command("train", "job", MODEL, HF_TOKEN=READER)
    assert (reader.returncode, "403" in reader.stderr) == (1, True)
    hub.fail("/api/jobs/", status=402)
    poor = run_command("train", "job", MODEL, HF_TOKEN=TOKEN)
    assert poor.returncode == 1
    assert "402" in poor.stderr.splitlines()[-1]


def test_the_script_needs_what_the_extras_bring() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = content["project"], content["dependency-groups"]
    wanted = {line.split(";")[0].strip() for line in (*project["dependencies"], *groups["train"], *groups["gpu"])}
    script = (ROOT / "train" / "jobs" / "job.py").read_text()
    found = re.search(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$", script)  # PEP 723
    assert found
    lines = found["content"].splitlines()
    metadata = tomllib.loads("\n".join(line.removeprefix("# ").removeprefix("#") for line in lines))
    assert set(metadata["dependencies"]) == wanted
    assert metadata["requires-python"] == project["requires-python"]


def test_the_same_source_gives_the_same_archive(tmp_path: Path) -> None:
    first, second = archive(tmp_path / "a.tar.gz"), archive(tmp_path / "b.tar.gz")
    assert first.read_bytes() == second.read_bytes()
    shutil.unpack_archive(first, tmp_path / "out")
    assert (tmp_path / "out" / "train" / "fitting" / "fit.py").is_file()
    assert (tmp_path / "out" / "train" / "release" / "model_card.md.jinja").is_file()


CORPUS = ("hf://datasets/you/t/a b.txt", "hf://datasets/you/t/b.txt")
OTHER: dict[str, Any] = {"vectors": "self", "corpus": CORPUS, "pooling": "average"}
"""Values that a field can have, where one that differs from the default cannot be made up."""
OTHER |= {"soft_targets": ("hf://datasets/you/t/a.parquet", "hf://datasets/you/t/b.parquet"), "vocabulary": "all"}
OTHER |= {"label_weights": "rarity", "decay": "cosine", "thresholds": "grid", "precision": "float32"}
OTHER |= {"embedding_bits": 8, "max_length": 64, "data": "you/t:small", "extra": "you/more"}


def other_value(field: "Field[Any]") -> Any:
    default: Any = field.default
    if field.name in OTHER:
        return OTHER[field.name]
    if isinstance(default, bool):
        return not default
    return default / 2 + 0.1 if isinstance(default, float) else default + 1


def received(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> tuple[TrainConfig, dict[str, Any]]:
    """What the remote machine makes of a job's arguments."""
    taken: list[tuple[TrainConfig, dict[str, Any]]] = []

    def train(config: TrainConfig, *others: Any, **options: Any) -> Any:
        taken.append((config, options))
        return SimpleNamespace(url="")

    monkeypatch.setattr(remote, "train", train)
    import_module("train.__main__").app(["remote", *arguments], standalone_mode=False)
    return taken[0]


@pytest.mark.parametrize("name", [field.name for field in fields(TrainConfig)])
def test_every_field_arrives_on_the_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (field,) = (one for one in fields(TrainConfig) if one.name == name)
    others = {"soft_targets": OTHER["soft_targets"]} if name == "vocabulary" else {}
    config = TrainConfig(**{name: other_value(field), **others})
    assert config != TrainConfig()
    assert received(monkeypatch, [MODEL, *flags_of(config)])[0] == config
    assert flags_of(TrainConfig()) == []


@pytest.mark.parametrize(
    ("options", "test", "private"), [([], False, None), (["--test"], True, None), (["--test", "--private"], True, True)]
)
def test_every_option_arrives_on_the_machine(
    hub: HubServer, token: str, monkeypatch: pytest.MonkeyPatch, options: list[str], test: bool, private: bool | None
) -> None:
    hub.add("datasets/you/t", {"a b.txt": b"one\n", "b.txt": b"two\n"})
    corpus = [word for name in CORPUS for word in ("--corpus", name)]
    done = run_command("train", "job", MODEL, "--data", DATA, "--vectors", "self", *corpus, *options)
    assert done.returncode == 0, done.stderr
    (job,) = hub.jobs
    arguments = job["command"][3:]
    assert arguments[0] == "--source"
    config, taken = received(monkeypatch, arguments[2:])
    assert config == TrainConfig(data=DATA, vectors="self", corpus=CORPUS)
    assert (taken["test"], taken["private"], taken["yes"], taken["restart"]) == (test, private, True, False)


def test_files_on_the_hub_are_read(hub: HubServer, token: str) -> None:
    hub.add("datasets/you/t", {"b.txt": b"two\n"})
    assert located("hf://datasets/you/t/b.txt").read_bytes() == b"two\n"
    assert located("hf://datasets/you/t@main/b.txt").read_bytes() == b"two\n"
    with pytest.raises(DataError, match=r"hf://datasets/you/t/c\.txt"):
        located("hf://datasets/you/t/c.txt")
    with pytest.raises(UsageError, match="expected hf://datasets"):
        located("hf://b.txt")
