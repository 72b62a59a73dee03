"""The annotators' app: five people at once, a server that is killed, and a person in front of a browser."""

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

PEOPLE = ["Ada", "Ben", "Cleo", "Dan", "Eve"]
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
    for name in PEOPLE:
        Votes(tmp_path, "review").add_person(name, PASSPHRASE)
    return tmp_path


@contextmanager
def running(build: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The app as its command starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "data_build", "review", str(build), "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def client(url: str, name: str) -> Client:
    return Client(url, auth=(name, PASSPHRASE), verbose=False)


def read_all(url: str, name: str, acknowledged: list[tuple[str, str]]) -> None:
    """One annotator who reads until nothing is left, or the server is gone."""
    own = client(url, name)
    label = LABELS[PEOPLE.index(name) % 3]
    while row := own.predict(api_name="/next"):
        own.predict(row["id"], [label], False, api_name="/vote")
        acknowledged.append((row["id"], name))


def test_five_at_once_lose_no_vote_and_neither_does_a_killed_server(build: Path) -> None:
    acknowledged: list[tuple[str, str]] = []

    with running(build) as (url, process), ThreadPoolExecutor(5) as pool:
        reading = [pool.submit(read_all, url, name, acknowledged) for name in PEOPLE]
        while len(acknowledged) < 20:
            assert not any(future.done() for future in reading), [future.exception() for future in reading]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert any(future.exception() for future in reading), "nobody was reading any more when it was killed"
    held = {(vote.id, vote.annotator) for vote in Votes(build, "review").all()}
    assert set(acknowledged) <= held
    assert len(held) < 5 * ROWS, "it was killed too late to tell"

    with running(build) as (url, _), ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda name: read_all(url, name, acknowledged), PEOPLE))
    votes = Votes(build, "review").all()
    assert len(votes) == 5 * ROWS == len({(vote.id, vote.annotator) for vote in votes})
    assert len(acknowledged) == len(set(acknowledged))
    assert len(Votes(build, "review").results()) == ROWS


def test_the_door_and_the_messages(build: Path) -> None:
    with running(build) as (url, _):
        with pytest.raises(Exception, match=r"Could not|credentials|401|login"):
            Client(url, auth=("Ada", "wrong passphrase"), verbose=False)
        with pytest.raises(Exception, match=r"401|Unauthorized|auth|Could not"):
            Client(url, verbose=False).predict(api_name="/next")
        ada = client(url, "Ada")
        for arguments, message in (
            (("sentiment140:0", [], False), "choose a label"),
            (("sentiment140:0", ["joy"], False), "was not shown to Ada"),
            (("sentiment140:0", ["glee"], False), "glee is no label"),
            (("sentiment140:99", ["joy"], False), "not among the rows"),
        ):
            with pytest.raises(Exception, match=message):
                ada.predict(*arguments, api_name="/vote")
        row = ada.predict(api_name="/next")
        assert set(row) == {"id", "text"}  # nothing of the machine's, and of nobody else's
        assert ada.predict(row["id"], [], True, api_name="/vote")["mine"] == 1
        assert ada.predict(api_name="/undo") == row
    assert Votes(build, "review").all() == []


def test_a_person_in_front_of_it(build: Path) -> None:
    browser_path = shutil.which("chromium")
    if browser_path is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import expect, sync_playwright

    votes = Votes(build, "review")
    votes.add_person("Judge", PASSPHRASE, adjudicator=True)
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
        (vote,) = votes.all()
        assert [LABELS[label] for label in vote.labels] == [LABELS[26]]
        assert not vote.saw_machine
        page.wait_for_timeout(500)
        page.keyboard.press("Backspace")
        expect(text).to_have_value(first)
        assert votes.all() == []
        page.wait_for_timeout(500)  # a key pressed at once would be ignored
        page.get_by_role("button", name="What the machine said").click()
        expect(page.get_by_text(re.compile("^(" + "|".join(LABELS) + ")$"))).to_be_visible()
        page.keyboard.press("z")
        expect(text).not_to_have_value(first)
        (vote,) = votes.all()
        assert (vote.unsure, vote.saw_machine) == (True, True)
        expect(page.get_by_role("tab", name="Adjudicate")).to_be_hidden()
        take_screenshot(page, "review")

        row = next(iter(votes.machine()))
        given = dict(zip(PEOPLE, (17, 17, 16, 16, None), strict=True))
        votes.take(Vote(row, name, () if one is None else (one,), one is None, False) for name, one in given.items())
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
    """Through the form that a person sees."""
    page.goto(url)
    page.get_by_label("username").fill(name)
    page.get_by_label("password").fill(PASSPHRASE)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("tab", name="Read").wait_for()


def take_screenshot(page: Any, name: str) -> None:
    """Keep a picture where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_commands(build: Path, tmp_path: Path) -> None:
    done = run_command("data_build", "annotator", build, "Finn", EVENMOOD_PASSPHRASE="short")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run_command("data_build", "annotator", build, "Finn", "--adjudicator", EVENMOOD_PASSPHRASE=PASSPHRASE)
    assert done.returncode == 0, done.stderr
    assert Votes(build, "review").people()["Finn"]
    assert PASSPHRASE not in done.stdout + done.stderr
    done = run_command("data_build", "votes", build, "--export", tmp_path / "votes.csv")
    assert '"votes": 0' in done.stdout
    done = run_command("data_build", "review", tmp_path / "nothing")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
