"""Annotation app: concurrent annotators, a killed server, keyboard use in a browser, commands."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from data_build.annotation.majority import Vote
from data_build.annotation.votes import Votes
from data_build.stage import open_stage
from evenmood import LABELS
from evenmood.data.rows import table, text_hash
from tests.commands import run_command
from tests.fresh_environment import ROOT

ANNOTATORS = ["Ada", "Ben", "Cleo", "Dan", "Eve"]
PASSPHRASE = "correct horse"
ROWS = 12


@pytest.fixture
def build(tmp_path: Path) -> Path:
    texts = [f"<b>text</b> number {number} & more" for number in range(ROWS)]
    rows = table(
        id=[f"sentiment140:{number}" for number in range(ROWS)],
        text=texts,
        text_hash=[text_hash(text) for text in texts],
        labels=[[number % 28] for number in range(ROWS)],
        source=["sentiment140"] * ROWS,
    )
    with open_stage(tmp_path, "verify", {}, {}, print) as stage:
        stage.write("part-00000", rows, {"in": ROWS})
        stage.finish()
    for name in ANNOTATORS:
        Votes(tmp_path, "review").add_annotator(name, PASSPHRASE)
    return tmp_path


@contextmanager
def running(build: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start the app with its command; yield its URL and process."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = free_socket.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "data_build", "review", str(build), "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        else:
            pytest.fail("the app did not start within 120 s")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def client(url: str, name: str) -> Client:
    return Client(url, auth=(name, PASSPHRASE), verbose=False)


def vote_on_all(url: str, name: str, acknowledged_votes: list[tuple[str, str]]) -> None:
    """Vote as one annotator until no rows are left or the server is killed."""
    app = client(url, name)
    label = LABELS[ANNOTATORS.index(name) % 3]
    while row := app.predict(api_name="/next"):
        app.predict(row["id"], [label], False, api_name="/vote")
        acknowledged_votes.append((row["id"], name))


@pytest.mark.slow
def test_concurrent_annotators_and_a_killed_server_lose_no_votes(build: Path) -> None:
    acknowledged_votes: list[tuple[str, str]] = []

    with running(build) as (url, process), ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(vote_on_all, url, name, acknowledged_votes) for name in ANNOTATORS]
        while len(acknowledged_votes) < 20:
            assert not any(future.done() for future in futures), [future.exception() for future in futures]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert any(future.exception() for future in futures), "the server was killed after the last vote"
    stored_votes = {(vote.id, vote.annotator) for vote in Votes(build, "review").all_votes()}
    assert set(acknowledged_votes) <= stored_votes
    assert len(stored_votes) < 5 * ROWS, "the server was killed after the last vote"

    with running(build) as (url, _), ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda name: vote_on_all(url, name, acknowledged_votes), ANNOTATORS))
    votes = Votes(build, "review").all_votes()
    assert len(votes) == 5 * ROWS == len({(vote.id, vote.annotator) for vote in votes})
    assert len(acknowledged_votes) == len(set(acknowledged_votes))
    assert len(Votes(build, "review").results()) == ROWS


def test_authentication_and_error_messages(build: Path) -> None:
    with running(build) as (url, _):
        with pytest.raises(Exception, match=r"Could not|credentials|401|login"):
            Client(url, auth=("Ada", "wrong passphrase"), verbose=False)
        with pytest.raises(Exception, match=r"401|Unauthorized|auth|Could not"):
            Client(url, verbose=False).predict(api_name="/next")
        ada = client(url, "Ada")
        for arguments, message in (
            (("sentiment140:0", [], False), "no label is selected"),
            (("sentiment140:0", ["joy"], False), "was not shown to Ada"),
            (("sentiment140:0", ["glee"], False), "unknown label glee"),
            (("sentiment140:99", ["joy"], False), "unknown row sentiment140:99"),
        ):
            with pytest.raises(Exception, match=message):
                ada.predict(*arguments, api_name="/vote")
        row = ada.predict(api_name="/next")
        assert set(row) == {"id", "text"}  # no predicted labels, no votes of others
        assert ada.predict(row["id"], [], True, api_name="/vote")["own_votes"] == 1
        assert ada.predict(api_name="/undo") == row
    assert Votes(build, "review").all_votes() == []


def test_keyboard_and_adjudication(build: Path) -> None:
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    votes = Votes(build, "review")
    votes.add_annotator("Judge", PASSPHRASE, adjudicator=True)
    with running(build) as (url, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        log_in(page, url, "Ada")
        text = page.get_by_label("Text").first
        expect(text).to_have_value(re.compile(r"^<b>text</b> number \d+ & more$"))
        first = text.input_value()
        page.keyboard.press("j")
        key = page.get_by_role("checkbox", name=re.compile(r"\(j\)$")).first
        expect(key).to_be_checked()
        page.keyboard.press("Enter")
        expect(text).not_to_have_value(first)
        (vote,) = votes.all_votes()
        assert [LABELS[label] for label in vote.labels] == [LABELS[26]]
        assert not vote.saw_predictions
        page.wait_for_timeout(500)
        page.keyboard.press("Backspace")
        expect(text).to_have_value(first)
        assert votes.all_votes() == []
        page.wait_for_timeout(500)  # the page ignores a key press too soon after another
        page.get_by_role("button", name="Show the predicted labels").click()
        expect(page.get_by_text(re.compile("^(" + "|".join(LABELS) + ")$"))).to_be_visible()
        page.keyboard.press("z")
        expect(text).not_to_have_value(first)
        (vote,) = votes.all_votes()
        assert (vote.unsure, vote.saw_predictions) == (True, True)
        expect(page.get_by_role("tab", name="Adjudicate")).to_be_hidden()
        take_screenshot(page, "review")

        row = next(iter(votes.predicted_labels()))
        labels = dict(zip(ANNOTATORS, (17, 17, 16, 16, None), strict=True))
        votes.import_votes(
            Vote(row, name, () if label is None else (label,), label is None, False) for name, label in labels.items()
        )
        page = browser.new_context().new_page()
        log_in(page, url, "Judge")
        page.get_by_role("tab", name="Adjudicate").click()
        expect(page.get_by_label("Votes")).to_have_value("joy 2, grief 2")
        page.keyboard.press("u")
        expect(page.get_by_role("checkbox", name="grief (u)").locator("visible=true")).to_be_checked()
        take_screenshot(page, "adjudicate")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Votes")).to_have_value("")
        assert [LABELS[label] for label in votes.results()[row].labels] == ["grief"]
        browser.close()


def log_in(page: Any, url: str, name: str) -> None:
    """Log in with the form on the page."""
    page.goto(url)
    page.get_by_label("username").fill(name)
    page.get_by_label("password").fill(PASSPHRASE)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("tab", name="Annotate").wait_for()


def take_screenshot(page: Any, name: str) -> None:
    """Save a screenshot if the variable SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_commands(build: Path, tmp_path: Path) -> None:
    result = run_command("data_build", "annotator", build, "Finn", EVENMOOD_PASSPHRASE="short")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    result = run_command("data_build", "annotator", build, "Finn", "--adjudicator", EVENMOOD_PASSPHRASE=PASSPHRASE)
    assert result.returncode == 0, result.stderr
    assert Votes(build, "review").annotators()["Finn"]
    assert PASSPHRASE not in result.stdout + result.stderr
    result = run_command("data_build", "votes", build, "--export", tmp_path / "votes.csv")
    assert '"votes": 0' in result.stdout
    result = run_command("data_build", "review", tmp_path / "nothing")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
