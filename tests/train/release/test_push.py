"""Push models with the real client to a fake Hub on loopback, with and without failures."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evenmood import EmotionClassifier, HubError, ModelError, UsageError
from evenmood.model.model_folder import CARD_FILE, INFO_FILE, ONNX_FILE, PREDICTION_FILES, read_info
from tests.commands import run_command
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import READER, TOKEN

NAME = "you/moods"
GIT = {".gitattributes"}
COMMIT = "POST /api/models/you/moods/commit"


@pytest.fixture
def classifier(evaluated_model: Path) -> EmotionClassifier:
    return EmotionClassifier.from_pretrained(evaluated_model)


def test_folder_is_pushed_in_one_commit(hub: HubServer, token: str, evaluated_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    (folder / "notes.txt").write_text("mine")
    (folder / ".secret").write_text("mine")
    result = EmotionClassifier.from_pretrained(folder).push_to_hub(NAME, private=True, commit_message="First")
    repository = hub.repositories[NAME]
    files = repository.files()
    assert set(files) - GIT == set(files_of(evaluated_model))
    for name in set(files) - GIT - {CARD_FILE}:
        assert files[name] == (evaluated_model / name).read_bytes(), name
    assert b"OWNER/MODEL" not in files[CARD_FILE]
    assert b'from_pretrained("you/moods")' in files[CARD_FILE]
    assert [repository.commits[sha].message for sha in repository.history()] == ["First", "initial commit"]
    assert repository.private
    assert result.changed
    assert result.commit == repository.refs["main"]
    assert result.url == f"{hub.url}/{NAME}"


def test_encoder_is_pushed_without_keras_files(hub: HubServer, token: str) -> None:
    EmotionClassifier.from_pretrained("accurate").push_to_hub(NAME)
    assert {*PREDICTION_FILES, CARD_FILE} <= set(hub.repositories[NAME].files())
    with pytest.raises(ModelError, match=r"missing files: .*model\.weights\.h5"):
        EmotionClassifier.from_pretrained().push_to_hub("you/fast")


def test_second_push_makes_no_commit(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    first = classifier.push_to_hub(NAME)
    second = classifier.push_to_hub(NAME)
    assert (second.changed, second.commit) == (False, first.commit)
    assert hub.requests[f"{COMMIT}/main"] == 1


def test_changed_thresholds_are_pushed(hub: HubServer, token: str, evaluated_model: Path) -> None:
    classifier = EmotionClassifier.from_pretrained(evaluated_model)
    before = classifier.thresholds["joy"]
    classifier.set_thresholds(joy=0.125)
    classifier.push_to_hub(NAME)
    files = hub.repositories[NAME].files()
    assert json.loads(files[INFO_FILE])["thresholds"]["joy"] == 0.125
    assert f"changed since: joy 0.125 (was {before:g})" in files[CARD_FILE].decode()
    assert EmotionClassifier.from_pretrained(NAME).thresholds["joy"] == 0.125


def test_old_training_record_is_deleted(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"training/old.png": b"", "mine.txt": b"unchanged", "model.onnx": b"old"})
    classifier.push_to_hub(NAME)
    files = hub.repositories[NAME].files()
    assert "training/old.png" not in files
    assert files["mine.txt"] == b"unchanged"
    assert len(files[ONNX_FILE]) > 100


def test_branch_and_pull_request(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"mine.txt": b"unchanged"})
    classifier.push_to_hub(NAME, revision="v2")
    result = classifier.push_to_hub(NAME, create_pr=True)
    repository = hub.repositories[NAME]
    assert set(repository.files()) == {"mine.txt"}
    assert ONNX_FILE in repository.files("v2")
    assert ONNX_FILE in repository.files("refs/pr/1")
    assert result.url == f"{hub.url}/{NAME}/discussions/1"
    assert EmotionClassifier.from_pretrained(NAME, revision="refs/pr/1").labels == classifier.labels


def test_missing_files_are_copied_from_the_source_repository(
    hub: HubServer, token: str, classifier: EmotionClassifier
) -> None:
    first = classifier.push_to_hub(NAME)
    loaded = EmotionClassifier.from_pretrained(NAME)
    assert {path.name for path in loaded.folder.iterdir()} == set(PREDICTION_FILES)
    changed_files = dict(hub.repositories[NAME].files()) | {"config.json": b"another commit's"}
    hub.repositories[NAME].commit(changed_files)
    loaded.push_to_hub("team/copy")
    copied_files, source_files = hub.repositories["team/copy"].files(), hub.repositories[NAME].files(first.commit)
    assert set(copied_files) == set(source_files)
    assert copied_files["config.json"] == source_files["config.json"]


def test_incomplete_folder_is_rejected(hub: HubServer, token: str, folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder).push_to_hub(NAME)
    for name in (str(folder), "config.json", "metadata.json", "model.weights.h5", CARD_FILE):
        assert name in str(error.value)
    assert not hub.requests


DENIED: dict[str, tuple[str, dict[str, object], str]] = {
    "logged out": (NAME, {"token": False}, "hf auth login"),
    "unknown token": (NAME, {"token": "hf_old"}, "HTTP 401"),
    "read-only token": (NAME, {"token": READER}, "HTTP 403"),
    "another's namespace": ("stranger/moods", {}, "HTTP 403"),
    "not an id": ("a/b/c", {}, "namespace/name"),
    "a path": ("/tmp/moods", {}, "namespace/name"),
}


@pytest.mark.parametrize("case", DENIED)
def test_denied_access_is_reported(hub: HubServer, token: str, classifier: EmotionClassifier, case: str) -> None:
    repo_id, options, expected = DENIED[case]
    with pytest.raises(HubError) as error:
        classifier.push_to_hub(repo_id, **options)  # type: ignore[arg-type]
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert repo_id in str(error.value)
    for secret in (TOKEN, READER, "hf_old"):
        assert secret not in str(error.value)
    assert not hub.repositories


def test_invalid_card_is_reported(hub: HubServer, token: str, evaluated_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    card = (folder / CARD_FILE).read_text()
    (folder / CARD_FILE).write_text(card.replace("license: ", "license: my-own-", 1))
    with pytest.raises(HubError, match=r"license.*fix the card"):
        EmotionClassifier.from_pretrained(folder).push_to_hub(NAME)
    assert set(hub.repositories[NAME].files()) == GIT


Fault = Callable[[HubServer], None]
FAULTS: dict[str, Fault] = {
    "500 on create": lambda hub: hub.fail("POST /api/repos/create", status=500),
    "500 on card validation": lambda hub: hub.fail("POST /api/validate-yaml", status=500),
    "500 on preupload": lambda hub: hub.fail("preupload", status=500),
    "500 on LFS upload": lambda hub: hub.fail("PUT /lfs", status=500),
    "500 on commit": lambda hub: hub.fail("/commit/", status=500),
    "Retry-After": lambda hub: hub.fail("/commit/", status=429, headers={"Retry_After": "1"}),
    "RateLimit": lambda hub: hub.fail("/commit/", status=429, headers={"RateLimit": '"api";r=0;t=0'}),
    "connection dropped in LFS upload": lambda hub: hub.fail("PUT /lfs", cut_upload=1000),
    "connection dropped in commit": lambda hub: hub.fail("/commit/", cut_upload=1000),
    "response to commit lost": lambda hub: hub.fail("/commit/", cut=0),
    "slow response": lambda hub: hub.fail("/commit/", delay=1.5),
}


@pytest.mark.parametrize("case", FAULTS)
def test_transient_errors_are_retried(
    hub: HubServer, token: str, classifier: EmotionClassifier, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenmood.model.hub.sleep", lambda seconds: None)
    FAULTS[case](hub)
    result = classifier.push_to_hub(NAME)
    repository = hub.repositories[NAME]
    assert repository.history() == [result.commit, repository.history()[-1]]  # one commit despite retries
    assert ONNX_FILE in repository.files()
    assert result.changed


@pytest.mark.parametrize(
    ("headers", "wait"), [({"Retry_After": "2"}, 2), ({"RateLimit": '"api";r=0;t=1', "Retry_After": "9"}, 2)]
)
def test_retry_after_is_honored(
    hub: HubServer,
    token: str,
    classifier: EmotionClassifier,
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    wait: int,
) -> None:
    hub.fail("/commit/", status=429, headers=headers)
    with caplog.at_level(logging.WARNING, "evenmood"):
        classifier.push_to_hub(NAME)
    assert f"retrying in {wait} s" in caplog.text
    assert "429" in caplog.text


def test_pull_request_is_not_opened_twice(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"mine.txt": b"unchanged"})
    hub.fail("/commit/", cut=0)
    with pytest.raises(HubError, match="may exist already"):
        classifier.push_to_hub(NAME, create_pr=True)
    assert [ref for ref in hub.repositories[NAME].refs if ref.startswith("refs/pr/")] == ["refs/pr/1"]
    hub.repositories[NAME].commit({"mine.txt": b"unchanged"}, "refs/pr/1")
    assert classifier.push_to_hub(NAME, revision="refs/pr/1").changed
    assert ONNX_FILE in hub.repositories[NAME].files("refs/pr/1")
    with pytest.raises(UsageError, match=r"requires .main. or no revision"):
        classifier.push_to_hub(NAME, create_pr=True, revision="v2")


def test_card_of_a_retuned_model_has_its_own_id(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    classifier.push_to_hub(NAME)
    original_threshold = classifier.thresholds["joy"]
    for source, target, joy in ((NAME, "you/moods-tuned", 0.125), ("you/moods-tuned", "team/again", 0.25)):
        loaded = EmotionClassifier.from_pretrained(source)
        loaded.set_thresholds(joy=joy)
        loaded.push_to_hub(target)
        card = hub.repositories[target].files()[CARD_FILE].decode()
        assert source not in card.replace(target, "")
        for snippet in (f'from_pretrained("{target}")', f'model="{target}"', f"hf://{target}", f"- name: {target}\n"):
            assert snippet in card, snippet
        assert card.count("changed since") == 1
        assert f"joy {joy:g} (was {original_threshold:g})" in card
    loaded.set_thresholds(joy=original_threshold)
    loaded.push_to_hub(NAME)
    assert "changed since" not in hub.repositories[NAME].files()[CARD_FILE].decode()


def test_concurrent_commit_is_kept(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    repository = hub.add(NAME, {"mine.txt": b"old"})
    first_commit = repository.refs["main"]
    hub.fail("/commit/", action=lambda: repository.commit({"mine.txt": b"new"}))
    classifier.push_to_hub(NAME)
    assert repository.files()["mine.txt"] == b"new"
    assert len(repository.history()) == 3
    assert repository.history()[-1] == first_commit
    assert hub.requests[f"{COMMIT}/main"] == 2


def test_failed_upload_keeps_the_last_commit(
    hub: HubServer, token: str, classifier: EmotionClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenmood.model.hub.MAX_ATTEMPTS", 2)
    before = hub.add(NAME, {"model.onnx": b"old"}).refs["main"]
    hub.fail("/commit/", cut_upload=1000, times=2)
    with pytest.raises(HubError, match=NAME) as error:
        classifier.push_to_hub(NAME)
    assert "\n" not in str(error.value)
    assert hub.repositories[NAME].refs["main"] == before


def test_command(hub: HubServer, token: str, evaluated_model: Path) -> None:
    result = run_command("train", "push", evaluated_model, NAME, "--private", "--message", "From the command")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{hub.url}/{NAME}\n"
    repository = hub.repositories[NAME]
    assert repository.commits[repository.refs["main"]].message == "From the command"
    second_run = run_command("train", "push", evaluated_model, NAME)
    assert "no changes since commit" in second_run.stderr
    assert read_info(evaluated_model).labels == EmotionClassifier.from_pretrained(NAME).labels


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["line", "debug"])
def test_command_without_write_access(hub: HubServer, evaluated_model: Path, tmp_path: Path, debug: list[str]) -> None:
    for bad_token, expected in ((READER, "403"), ("hf_unknownToken", "401")):
        result = run_command("train", "push", evaluated_model, NAME, *debug, HF_TOKEN=bad_token)
        assert result.returncode == 1
        assert expected in result.stderr
        assert bad_token not in result.stdout + result.stderr
        assert ("Traceback" in result.stderr) is bool(debug)
        if not debug:
            assert result.stderr.count("\n") == 1
    result = run_command("train", "push", tmp_path, NAME, HF_TOKEN=TOKEN)
    assert result.returncode == 1
    assert "model.onnx" in result.stderr
