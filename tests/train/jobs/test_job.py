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
from evenmood.model.hub_files import local_path
from evenmood.model.model_folder import KERAS_FILES
from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import READER, TOKEN
from train.config import TrainConfig
from train.jobs import remote
from train.jobs.remote import HubCheckpoint, archive, epochs, flags_of

ROOT = Path(__file__).parents[3]
MODEL, DATA = "you/moods", "you/small"
UNFINISHED = f"{MODEL}-unfinished"


@pytest.fixture
def hub_with_data(hub: HubServer, token: str, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> HubServer:
    """The small data set as Parquet on the Hub."""
    from data_build.publishing import publish
    from data_build.stages import goemotions

    build = tmp_path_factory.mktemp("with-data") / "build"  # not in the folder of the data set, which other tests read
    goemotions.run(build, print, str(small_data), any_size=True)
    publish.publish(build, DATA, print)
    return hub


def submit(hub: HubServer, *options: str) -> list[str]:
    """Submit the job; return the arguments of its script."""
    result = run_command("train", "job", MODEL, "--data", DATA, "--epochs", "4", "--test", *SMALL, *options)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"http\S+/jobs/you/job1\n", result.stdout)
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


def run_machine(hub: HubServer, home: Path, arguments: list[str]) -> "subprocess.Popen[str]":
    """Run the job's script as on a new machine: an empty folder, an empty cache, and the secret."""
    home.mkdir()
    (home / "job.py").write_bytes(hub.repositories["datasets/you/evenmood-source"].files()["job.py"])
    command = [sys.executable, "-I", str(home / "job.py"), *arguments, "--save-minutes", "0"]
    settings: dict[str, Any] = {**os.environ, "HF_HOME": str(home / "home"), "HF_TOKEN": TOKEN}
    return subprocess.Popen(command, cwd=home, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_killed_job_resumes_on_another_machine(hub_with_data: HubServer, tmp_path: Path) -> None:
    hub = hub_with_data
    arguments = submit(hub)
    first = run_machine(hub, tmp_path / "first", arguments)
    deadline = time.monotonic() + 120
    while not any(path.startswith("epoch-002") for path in unfinished_files(hub)):
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    _, first_stderr = first.communicate()
    assert MODEL not in hub.repositories
    assert hub.repositories[UNFINISHED].private

    second = run_machine(hub, tmp_path / "second", arguments)
    stdout, stderr = second.communicate(timeout=200)
    assert second.returncode == 0, stderr
    assert stdout == f"{hub.url}/{MODEL}\n"
    assert "checkpoint from" in stderr
    resumed_epoch = int(re.search(r"resuming after epoch (\d)", stderr)[1])  # type: ignore[index]
    assert resumed_epoch >= 2
    assert f"epoch {resumed_epoch}/4" not in stderr
    assert f"epoch {resumed_epoch + 1}/4" in stderr or resumed_epoch == 4
    assert UNFINISHED not in hub.repositories
    files = hub.repositories[MODEL].files()
    assert set(KERAS_FILES) <= set(files)
    assert b"split: test" in files["README.md"]
    history = files["training/history.csv"].decode().splitlines()[1:]
    assert [line.split(",")[0] for line in history] == list("1234")
    assert EmotionClassifier.from_pretrained(MODEL).info.trained_from["data"] == DATA
    for text in (first_stderr, stdout, stderr):
        assert TOKEN not in text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def unfinished_files(hub: HubServer) -> list[str]:
    return list(hub.repositories[UNFINISHED].files()) if UNFINISHED in hub.repositories else []


def write_unfinished_run(folder: Path, epochs: int) -> Path:
    """Write the relevant files of an interrupted run."""
    folder.mkdir(parents=True)
    (folder / "options.json").write_text("{}")
    (folder / "history.json").write_text(json.dumps([{"epoch": epoch} for epoch in range(epochs)]))
    (folder / f"epoch-{epochs:03}.keras").write_bytes(b"network")
    return folder


def test_training_continues_if_saving_fails(hub: HubServer, token: str, tmp_path: Path) -> None:
    messages: list[str] = []
    unfinished = HubCheckpoint(MODEL, tmp_path / "model", messages.append, save_minutes=1)
    folder = write_unfinished_run(tmp_path / "model.partial", 2)
    hub.fail(f"{UNFINISHED}/commit", status=403)
    unfinished.save(folder)
    assert "checkpoint not uploaded" in messages[0]
    unfinished.save(folder)
    unfinished.save(folder)  # less than a minute later
    assert hub.requests[f"POST /api/models/{UNFINISHED}/commit/main"] == 2


@pytest.mark.parametrize(("local_epochs", "hub_epochs", "expected"), [(None, 3, 3), (0, 3, 3), (2, 3, 3), (4, 3, 4)])
def test_run_with_more_epochs_is_resumed(
    hub: HubServer, token: str, tmp_path: Path, local_epochs: int | None, hub_epochs: int, expected: int
) -> None:
    HubCheckpoint("moods", tmp_path / "a", print).save(write_unfinished_run(tmp_path / "a.partial", hub_epochs))
    if local_epochs is not None:
        write_unfinished_run(tmp_path / "b.partial", local_epochs)
    unfinished = HubCheckpoint(MODEL, tmp_path / "b", print)  # a name without a namespace belongs to the token's owner
    unfinished.fetch()
    assert epochs(unfinished.folder) == expected
    assert (unfinished.folder / f"epoch-{expected:03}.keras").exists()
    unfinished.remove()
    assert not hub.repositories


def test_other_repository_is_not_overwritten(hub: HubServer, token: str, tmp_path: Path) -> None:
    hub.add(UNFINISHED, {"novel.txt": b"chapter one"})
    for restart in (True, False):
        with pytest.raises(HubError, match="contains no checkpoint"):
            remote.start(TrainConfig(), MODEL, print, "t4-small", "3h", [], restart)
        with pytest.raises(HubError, match="contains no checkpoint"):
            remote.train(TrainConfig(), MODEL, tmp_path / "model", print, restart=restart)
    assert hub.repositories[UNFINISHED].files() == {"novel.txt": b"chapter one"}


def test_restart_deletes_the_unfinished_run(hub: HubServer, token: str, tmp_path: Path) -> None:
    HubCheckpoint(MODEL, tmp_path / "a", print).save(write_unfinished_run(tmp_path / "a.partial", 3))
    result = run_command("train", "job", MODEL, "--restart")
    assert result.returncode == 0, result.stderr
    assert UNFINISHED not in hub.repositories
    assert "--restart" not in hub.jobs[0]["command"]


def test_existing_output_is_not_overwritten(hub: HubServer, token: str, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    result = run_command("train", "remote", MODEL, "--data", DATA, "--out", tmp_path / "precious")
    assert (result.returncode, "exists; choose another" in result.stderr) == (2, True)
    assert not hub.requests


def test_trained_model_is_pushed_without_training(
    hub: HubServer, token: str, trained_model: Path, small_data: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(trained_model, tmp_path / "model")
    result = run_command(
        *("train", "remote", MODEL, "--data", str(small_data), "--epochs", "4", "--out", str(out)), *SMALL
    )
    assert result.returncode == 0, result.stderr
    assert "already trained" in result.stderr
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
def test_unavailable_files_are_rejected(hub: HubServer, token: str, option: str, value: str, message: str) -> None:
    hub.add("datasets/you/t", {"b.txt": b"two\n"})
    result = run_command("train", "job", MODEL, "--data", DATA, option, value)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert option in result.stderr
    assert message in result.stderr
    assert not hub.jobs


@pytest.mark.parametrize("configuration", ["", ":unbalanced"])
def test_local_data_is_rejected(hub: HubServer, token: str, small_data: Path, configuration: str) -> None:
    result = run_command("train", "job", MODEL, "--data", f"{small_data}{configuration}")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--data" in result.stderr
    assert "a remote job cannot read local files" in result.stderr
    assert not hub.requests


def test_unauthorized_users_are_rejected(hub: HubServer) -> None:
    other_user = run_command("train", "job", "stranger/moods", HF_TOKEN=TOKEN)
    assert (other_user.returncode, "403" in other_user.stderr) == (1, True)
    assert not hub.jobs
    logged_out = run_command("train", "job", MODEL)
    assert (logged_out.returncode, "not logged in" in logged_out.stderr) == (1, True)
    read_only = run_command("train", "job", MODEL, HF_TOKEN=READER)
    assert (read_only.returncode, "403" in read_only.stderr) == (1, True)
    hub.fail("/api/jobs/", status=402)
    without_credit = run_command("train", "job", MODEL, HF_TOKEN=TOKEN)
    assert without_credit.returncode == 1
    assert "402" in without_credit.stderr.splitlines()[-1]


def test_script_dependencies_match_pyproject() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = content["project"], content["dependency-groups"]
    required = {line.split(";")[0].strip() for line in (*project["dependencies"], *groups["train"], *groups["gpu"])}
    script = (ROOT / "train" / "jobs" / "job.py").read_text()
    block = re.search(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$", script)  # PEP 723
    assert block
    lines = block["content"].splitlines()
    metadata = tomllib.loads("\n".join(line.removeprefix("# ").removeprefix("#") for line in lines))
    assert set(metadata["dependencies"]) == required
    assert metadata["requires-python"] == ">=3.11,<3.14"  # TensorFlow has no release for 3.14


def test_archive_is_reproducible(tmp_path: Path) -> None:
    first, second = archive(tmp_path / "a.tar.gz"), archive(tmp_path / "b.tar.gz")
    assert first.read_bytes() == second.read_bytes()
    shutil.unpack_archive(first, tmp_path / "out")
    assert (tmp_path / "out" / "train" / "fitting" / "fit.py").is_file()
    assert (tmp_path / "out" / "train" / "release" / "model_card.md.jinja").is_file()


CORPUS = ("hf://datasets/you/t/a b.txt", "hf://datasets/you/t/b.txt")
VALUES: dict[str, Any] = {"vectors": "self", "corpus": CORPUS, "pooling": "average"}
"""Valid values of fields for which `changed_value` cannot derive one from the default."""
VALUES |= {"soft_targets": ("hf://datasets/you/t/a.parquet", "hf://datasets/you/t/b.parquet"), "vocabulary": "all"}
VALUES |= {"label_weights": "rarity", "decay": "cosine", "thresholds": "grid", "precision": "float32"}
VALUES |= {"embedding_bits": 8, "max_length": 64, "data": "you/t:small", "extra": "you/more"}


def changed_value(field: "Field[Any]") -> Any:
    default: Any = field.default
    if field.name in VALUES:
        return VALUES[field.name]
    if isinstance(default, bool):
        return not default
    return default / 2 + 0.1 if isinstance(default, float) else default + 1


def parse_on_machine(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> tuple[TrainConfig, dict[str, Any]]:
    """Return the configuration and options that the remote machine parses from a job's arguments."""
    calls: list[tuple[TrainConfig, dict[str, Any]]] = []

    def train(config: TrainConfig, *rest: Any, **options: Any) -> Any:
        calls.append((config, options))
        return SimpleNamespace(url="")

    monkeypatch.setattr(remote, "train", train)
    import_module("train.__main__").app(["remote", *arguments], standalone_mode=False)
    return calls[0]


@pytest.mark.parametrize("name", [field.name for field in fields(TrainConfig)])
def test_every_field_is_passed_to_the_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (field,) = (candidate for candidate in fields(TrainConfig) if candidate.name == name)
    dependent = {"soft_targets": VALUES["soft_targets"]} if name == "vocabulary" else {}
    config = TrainConfig(**{name: changed_value(field), **dependent})
    assert config != TrainConfig()
    assert parse_on_machine(monkeypatch, [MODEL, *flags_of(config)])[0] == config
    assert flags_of(TrainConfig()) == []


@pytest.mark.parametrize(
    ("options", "test", "private"), [([], False, None), (["--test"], True, None), (["--test", "--private"], True, True)]
)
def test_every_option_is_passed_to_the_machine(
    hub: HubServer, token: str, monkeypatch: pytest.MonkeyPatch, options: list[str], test: bool, private: bool | None
) -> None:
    hub.add("datasets/you/t", {"a b.txt": b"one\n", "b.txt": b"two\n"})
    corpus = [word for name in CORPUS for word in ("--corpus", name)]
    result = run_command("train", "job", MODEL, "--data", DATA, "--vectors", "self", *corpus, *options)
    assert result.returncode == 0, result.stderr
    (job,) = hub.jobs
    arguments = job["command"][3:]
    assert arguments[0] == "--source"
    config, values = parse_on_machine(monkeypatch, arguments[2:])
    assert config == TrainConfig(data=DATA, vectors="self", corpus=CORPUS)
    assert (values["test"], values["private"], values["yes"], values["restart"]) == (test, private, True, False)


def test_hub_files_are_downloaded(hub: HubServer, token: str) -> None:
    hub.add("datasets/you/t", {"b.txt": b"two\n"})
    assert local_path("hf://datasets/you/t/b.txt").read_bytes() == b"two\n"
    assert local_path("hf://datasets/you/t@main/b.txt").read_bytes() == b"two\n"
    with pytest.raises(DataError, match=r"hf://datasets/you/t/c\.txt"):
        local_path("hf://datasets/you/t/c.txt")
    with pytest.raises(UsageError, match="expected hf://datasets"):
        local_path("hf://b.txt")
