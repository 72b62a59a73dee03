"""No token is ever printed, logged or written: whatever is run, however it ends."""

import subprocess
from pathlib import Path

from evenmood.model_folder import PREDICTING_FILES
from tests.conftest import DEFAULT_MODEL
from tests.hub_server import HubServer
from tests.local_hub import READER, TOKEN, run_module

OLD = "hf_aTokenThatHasExpired"
LOUD = {"HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1", "DATASETS_VERBOSITY": "debug", "TRANSFORMERS_VERBOSITY": "debug"}


def test_no_token_is_printed_logged_or_written(hub: HubServer, evaluated_model: Path, tmp_path: Path) -> None:
    predicting = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTING_FILES}
    for name in ("you/secret", "you/hidden"):
        hub.add(name, predicting, private=True)
    place = {name: str(tmp_path / name.lower()) for name in ("HF_HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for folder in place.values():
        Path(folder).mkdir()
    seen = []

    def run(expected: int, *arguments: str | Path, held: str = TOKEN, **environment: str) -> None:
        for debug in ([], ["--debug"]) if expected else ([],):
            done = run_module(*arguments, *debug, **{**place, **LOUD, "HF_TOKEN": held, **environment})
            assert done.returncode == expected, done.stderr
            assert held not in done.stdout + done.stderr
            seen.append(done)

    gone = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    run(0, "train", "push", evaluated_model, "you/moods")
    run(0, "evenmood.cli", "text", "Thank you!", "--model", "you/secret")
    run(0, "space.deploy", "you/demo", "--model", "you/secret")
    for held in (READER, OLD):
        run(1, "train", "push", evaluated_model, "you/other", held=held)
    run(1, "evenmood.cli", "text", "Thank you!", "--model", "you/hidden", held=OLD)
    run(1, "evenmood.cli", "text", "Thank you!", "--model", "you/nothing")
    run(1, "train", "job", "stranger/moods", held=READER)
    run(1, "train", "push", evaluated_model, "you/moods", **gone)
    run(1, "data_build", "hydrate", "you/hidden-data", "--tweets", tmp_path / "none", "--out", tmp_path / "hydrated")
    run(1, "train", "remote", "stranger/moods", "--out", tmp_path / "model")
    hub.fail("validate-yaml", status=400, times=2)
    run(1, "train", "push", evaluated_model, "you/moods")
    hub.fail("/commit/", status=403, times=2)
    run(1, "space.deploy", "you/third")
    assert any("Traceback" in done.stderr for done in seen)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    for path in written:
        content = path.read_bytes()
        assert not [token for token in (TOKEN, READER, OLD) if token.encode() in content], path
    for name, repository in hub.repositories.items():
        for file, held_content in repository.files().items():
            assert TOKEN.encode() not in held_content, f"{name}/{file}"


def test_the_command_line_takes_no_token() -> None:
    """One given there would stand in the shell's history and in the list of processes."""
    for module, command in (("train", "push"), ("data_build", "publish"), ("space.deploy", None)):
        done: subprocess.CompletedProcess[str] = run_module(module, *([command] if command else []), "--help")
        assert done.returncode == 0
        assert "--token" not in done.stdout
