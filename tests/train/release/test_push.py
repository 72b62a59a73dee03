"""Pushing a model to the Hub: the real client with a Hub on loopback, and failures."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evenmood import EmotionClassifier, HubError, ModelError, UsageError
from evenmood.model.model_folder import CARD_FILE, INFO_FILE, ONNX_FILE, PREDICTING_FILES, read_info
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


def test_the_whole_folder_in_one_commit(hub: HubServer, token: str, evaluated_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    (folder / "notes.txt").write_text("mine")
    (folder / ".secret").write_text("mine")
    made = EmotionClassifier.from_pretrained(folder).push_to_hub(NAME, private=True, commit_message="First")
    repository = hub.repositories[NAME]
    held = repository.files()
    assert set(held) - GIT == set(files_of(evaluated_model))
    for name in set(held) - GIT - {CARD_FILE}:
        assert held[name] == (evaluated_model / name).read_bytes(), name
    assert b"OWNER/MODEL" not in held[CARD_FILE]
    assert b'from_pretrained("you/moods")' in held[CARD_FILE]
    assert [repository.commits[sha].message for sha in repository.history()] == ["First", "initial commit"]
    assert repository.private
    assert made.changed
    assert made.commit == repository.refs["main"]
    assert made.url == f"{hub.url}/{NAME}"


def test_an_encoder_has_no_files_of_keras(hub: HubServer, token: str) -> None:
    EmotionClassifier.from_pretrained("accurate").push_to_hub(NAME)
    assert {*PREDICTING_FILES, CARD_FILE} <= set(hub.repositories[NAME].files())
    with pytest.raises(ModelError, match=r"model\.weights\.h5 missing"):
        EmotionClassifier.from_pretrained().push_to_hub("you/fast")


def test_a_second_push_makes_no_commit(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    first = classifier.push_to_hub(NAME)
    second = classifier.push_to_hub(NAME)
    assert (second.changed, second.commit) == (False, first.commit)
    assert hub.requests[f"{COMMIT}/main"] == 1


def test_thresholds_set_later_go_along(hub: HubServer, token: str, evaluated_model: Path) -> None:
    classifier = EmotionClassifier.from_pretrained(evaluated_model)
    before = classifier.thresholds["joy"]
    classifier.set_thresholds(joy=0.125)
    classifier.push_to_hub(NAME)
    held = hub.repositories[NAME].files()
    assert json.loads(held[INFO_FILE])["thresholds"]["joy"] == 0.125
    assert f"changed since: joy 0.125 (was {before:g})" in held[CARD_FILE].decode()
    assert EmotionClassifier.from_pretrained(NAME).thresholds["joy"] == 0.125


def test_an_old_training_record_goes(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"training/old.png": b"", "mine.txt": b"kept", "model.onnx": b"old"})
    classifier.push_to_hub(NAME)
    held = hub.repositories[NAME].files()
    assert "training/old.png" not in held
    assert held["mine.txt"] == b"kept"
    assert len(held[ONNX_FILE]) > 100


def test_branch_and_pull_request(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"mine.txt": b"kept"})
    classifier.push_to_hub(NAME, revision="v2")
    asked = classifier.push_to_hub(NAME, create_pr=True)
    repository = hub.repositories[NAME]
    assert set(repository.files()) == {"mine.txt"}
    assert ONNX_FILE in repository.files("v2")
    assert ONNX_FILE in repository.files("refs/pr/1")
    assert asked.url == f"{hub.url}/{NAME}/discussions/1"
    assert EmotionClassifier.from_pretrained(NAME, revision="refs/pr/1").labels == classifier.labels


def test_three_files_fetch_the_others_from_where_they_came(
    hub: HubServer, token: str, classifier: EmotionClassifier
) -> None:
    first = classifier.push_to_hub(NAME)
    loaded = EmotionClassifier.from_pretrained(NAME)
    assert {path.name for path in loaded.folder.iterdir()} == set(PREDICTING_FILES)
    other = dict(hub.repositories[NAME].files()) | {"config.json": b"another commit's"}
    hub.repositories[NAME].commit(other)
    loaded.push_to_hub("team/copy")
    copied, original = hub.repositories["team/copy"].files(), hub.repositories[NAME].files(first.commit)
    assert set(copied) == set(original)
    assert copied["config.json"] == original["config.json"]


def test_three_files_of_a_folder_are_refused(hub: HubServer, token: str, folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder).push_to_hub(NAME)
    for name in (str(folder), "config.json", "metadata.json", "model.weights.h5", CARD_FILE):
        assert name in str(error.value)
    assert not hub.requests


WRONG: dict[str, tuple[str, dict[str, object], str]] = {
    "nobody": (NAME, {"token": False}, "hf auth login"),
    "unknown token": (NAME, {"token": "hf_old"}, "HTTP 401"),
    "read-only token": (NAME, {"token": READER}, "HTTP 403"),
    "another's namespace": ("stranger/moods", {}, "HTTP 403"),
    "not an id": ("a/b/c", {}, "namespace/name"),
    "a path": ("/tmp/moods", {}, "namespace/name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_denied_access_is_reported(hub: HubServer, token: str, classifier: EmotionClassifier, case: str) -> None:
    repo_id, options, expected = WRONG[case]
    with pytest.raises(HubError) as error:
        classifier.push_to_hub(repo_id, **options)  # type: ignore[arg-type]
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert repo_id in str(error.value)
    for secret in (TOKEN, READER, "hf_old"):
        assert secret not in str(error.value)
    assert not hub.repositories


def test_a_card_that_the_hub_refuses(hub: HubServer, token: str, evaluated_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    card = (folder / CARD_FILE).read_text()
    (folder / CARD_FILE).write_text(card.replace("license: ", "license: my-own-", 1))
    with pytest.raises(HubError, match=r"license.*fix the card"):
        EmotionClassifier.from_pretrained(folder).push_to_hub(NAME)
    assert set(hub.repositories[NAME].files()) == GIT


Break = Callable[[HubServer], None]
FAULTS: dict[str, Break] = {
    "500 at creating": lambda hub: hub.fail("POST /api/repos/create", status=500),
    "500 at the card's check": lambda hub: hub.fail("POST /api/validate-yaml", status=500),
    "500 at the file list": lambda hub: hub.fail("preupload", status=500),
    "500 at a large file": lambda hub: hub.fail("PUT /lfs", status=500),
    "500 at the commit": lambda hub: hub.fail("/commit/", status=500),
    "rate limit": lambda hub: hub.fail("/commit/", status=429, headers={"Retry_After": "1"}),
    "the Hub's own rate limit": lambda hub: hub.fail("/commit/", status=429, headers={"RateLimit": '"api";r=0;t=0'}),
    "connection cut in a large file": lambda hub: hub.fail("PUT /lfs", cut_upload=1000),
    "connection cut in the commit": lambda hub: hub.fail("/commit/", cut_upload=1000),
    "answer to the commit lost": lambda hub: hub.fail("/commit/", cut=0),
    "slow": lambda hub: hub.fail("/commit/", delay=1.5),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_passes_is_tried_again(
    hub: HubServer, token: str, classifier: EmotionClassifier, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenmood.model.hub.sleep", lambda seconds: None)
    FAULTS[case](hub)
    made = classifier.push_to_hub(NAME)
    repository = hub.repositories[NAME]
    assert repository.history() == [made.commit, repository.history()[-1]]  # one commit, whatever was repeated
    assert ONNX_FILE in repository.files()
    assert made.changed


@pytest.mark.parametrize(
    ("headers", "wait"), [({"Retry_After": "2"}, 2), ({"RateLimit": '"api";r=0;t=1', "Retry_After": "9"}, 2)]
)
def test_the_wait_that_the_hub_asks_for(
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


def test_a_pull_request_is_not_opened_twice(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    hub.add(NAME, {"mine.txt": b"kept"})
    hub.fail("/commit/", cut=0)
    with pytest.raises(HubError, match="may exist already"):
        classifier.push_to_hub(NAME, create_pr=True)
    assert [ref for ref in hub.repositories[NAME].refs if ref.startswith("refs/pr/")] == ["refs/pr/1"]
    hub.repositories[NAME].commit({"mine.txt": b"kept"}, "refs/pr/1")
    assert classifier.push_to_hub(NAME, revision="refs/pr/1").changed
    assert ONNX_FILE in hub.repositories[NAME].files("refs/pr/1")
    with pytest.raises(UsageError, match=r"requires .main. or no revision"):
        classifier.push_to_hub(NAME, create_pr=True, revision="v2")


def test_the_card_of_a_retuned_model_names_itself(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    classifier.push_to_hub(NAME)
    measured = classifier.thresholds["joy"]
    for source, target, joy in ((NAME, "you/moods-tuned", 0.125), ("you/moods-tuned", "team/again", 0.25)):
        loaded = EmotionClassifier.from_pretrained(source)
        loaded.set_thresholds(joy=joy)
        loaded.push_to_hub(target)
        card = hub.repositories[target].files()[CARD_FILE].decode()
        assert source not in card.replace(target, "")
        for form in (f'from_pretrained("{target}")', f'model="{target}"', f"hf://{target}", f"- name: {target}\n"):
            assert form in card, form
        assert card.count("changed since") == 1
        assert f"joy {joy:g} (was {measured:g})" in card
    loaded.set_thresholds(joy=measured)
    loaded.push_to_hub(NAME)
    assert "changed since" not in hub.repositories[NAME].files()[CARD_FILE].decode()


def test_somebody_commits_in_between(hub: HubServer, token: str, classifier: EmotionClassifier) -> None:
    theirs = hub.add(NAME, {"mine.txt": b"old"})
    stale = theirs.refs["main"]
    hub.fail("/commit/", action=lambda: theirs.commit({"mine.txt": b"new"}))
    classifier.push_to_hub(NAME)
    assert theirs.files()["mine.txt"] == b"new"
    assert len(theirs.history()) == 3
    assert theirs.history()[-1] == stale
    assert hub.requests[f"{COMMIT}/main"] == 2


def test_a_cut_upload_leaves_the_last_whole_commit(
    hub: HubServer, token: str, classifier: EmotionClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenmood.model.hub.TRIES", 2)
    before = hub.add(NAME, {"model.onnx": b"old"}).refs["main"]
    hub.fail("/commit/", cut_upload=1000, times=2)
    with pytest.raises(HubError, match=NAME) as error:
        classifier.push_to_hub(NAME)
    assert "\n" not in str(error.value)
    assert hub.repositories[NAME].refs["main"] == before


def test_the_command(hub: HubServer, token: str, evaluated_model: Path) -> None:
    done = run_command("train", "push", evaluated_model, NAME, "--private", "--message", "From the command")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{hub.url}/{NAME}\n"
    repository = hub.repositories[NAME]
    assert repository.commits[repository.refs["main"]].message == "From the command"
    again = run_command("train", "push", evaluated_model, NAME)
    assert "no changes since commit" in again.stderr
    assert read_info(evaluated_model).labels == EmotionClassifier.from_pretrained(NAME).labels


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["line", "debug"])
def test_the_command_without_the_right(hub: HubServer, evaluated_model: Path, debug: list[str]) -> None:
    for held, expected in ((READER, "403"), ("hf_unknownToken", "401")):
        done = run_command("train", "push", evaluated_model, NAME, *debug, HF_TOKEN=held)
        assert done.returncode == 1
        assert expected in done.stderr
        assert held not in done.stdout + done.stderr
        assert ("Traceback" in done.stderr) is bool(debug)
        if not debug:
            assert done.stderr.count("\n") == 1
    missing = run_command("train", "push", evaluated_model.parent, NAME, HF_TOKEN=TOKEN)
    assert missing.returncode == 1
    assert "model.onnx" in missing.stderr
