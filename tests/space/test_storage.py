"""What the demo keeps on disk: budgets, what is too old, and nothing that outlives the server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.demo import call
from docs.screenshot import ROOT, running_process
from evenmood.model.model_folder import PREDICTING_FILES
from space.server.folder import LOCK_FILE, PREFIX
from space.server.storage import KEPT_SECONDS, VISITOR_BYTES, Storage, visitor_of
from space.table.sources import LARGEST_FILE
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_server import HubServer

FILES = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTING_FILES}


@contextlib.contextmanager
def demo_in(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, ROOT / "space" / "app.py", "--no-browser", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running_process(command, url, {"EVENMOOD_FEEDBACK": "", "TMPDIR": str(folder)}) as process:
        yield url, process


def upload(url: str, content: bytes, name: str = "a.csv") -> dict[str, Any]:
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    body = head.encode() + content + b"\r\n--edge--\r\n"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/gradio_api/upload", body, kind)) as answer:
        (path,) = json.load(answer)
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def visit(url: str) -> None:
    """Leave behind all that a visitor can: an upload, results, a model of the Hub, and a table that is being read."""
    file = upload(url, b"text\n" + b"Thank you\n" * 1000)
    told, *_ = call(url, "score", [file, "", "default", "text", ""])
    assert "1,000 rows in" in told
    call(url, "compare", ["Thank you", "default", "you/moods"])
    long = upload(url, b"text\n" + b"Thank you all so very much indeed\n" * 150_000)
    body = json.dumps({"data": [long, "", "default", "text", ""]}).encode()
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/gradio_api/call/score", body, kind)
    with urllib.request.urlopen(request, timeout=120) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/score/{event}", timeout=120) as stream:
        while b"rows a second" not in stream.readline():
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="signals and the list of processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_ended_leaves_nothing(tmp_path: Path, hub: HubServer, number: signal.Signals) -> None:
    hub.add("you/moods", FILES)
    with demo_in(tmp_path) as (url, process):
        visit(url)
        (folder,) = tmp_path.glob("evenmood-*")
        assert list(folder.glob("**/model.onnx"))
        assert list(folder.glob("**/emotions.csv"))
        process.send_signal(number)
        process.wait(timeout=30)
        assert list(tmp_path.glob("evenmood-*")) == []
        assert size_of(tmp_path) < 1000  # Gradio's own folder is empty


@pytest.mark.skipif(sys.platform != "linux", reason="signals and the list of processes")
def test_the_next_demo_removes_what_a_killed_one_left(tmp_path: Path, hub: HubServer) -> None:
    hub.add("you/moods", FILES)
    with demo_in(tmp_path) as (url, process):
        visit(url)
        process.kill()
        process.wait()
    (killed,) = tmp_path.glob("evenmood-*")
    assert size_of(killed) > 1_000_000
    (tmp_path / f"{PREFIX}somebody").mkdir()  # about to be locked
    (tmp_path / "other").mkdir()
    with demo_in(tmp_path):
        (first,) = set(tmp_path.glob(f"{PREFIX}*")) - {tmp_path / f"{PREFIX}somebody"}
        assert first != killed
        assert not killed.exists()
        with demo_in(tmp_path):
            assert (first / LOCK_FILE).is_file()  # its server lives
            assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 3
    assert [path.name for path in tmp_path.glob("evenmood-*")] == [f"{PREFIX}somebody"]
    assert (tmp_path / "other").is_dir()


def test_a_table_ends_with_the_server_that_reads_it(tmp_path: Path) -> None:
    def readers() -> dict[int, int]:
        """Process and its parent; other tests may run some of their own."""
        found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in found.splitlines()[1:]]
        return {int(pid): int(parent) for pid, parent, args in rows if "-m space.table.scoring" in args}

    def ask(url: str, file: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # nobody answers any more
            call(url, "score", [file, "", "", "", ""])

    with demo_in(tmp_path) as (url, process):
        file = upload(url, b"text\n" + b"Thank you all so very much indeed\n" * 150_000)
        asked = threading.Thread(target=ask, args=(url, file))
        asked.start()
        deadline = time.monotonic() + 30
        own: list[int] = []
        while not own and time.monotonic() < deadline:
            time.sleep(0.1)
            own = [pid for pid, parent in readers().items() if parent == process.pid]
        assert len(own) == 1
        process.kill()
        process.wait()
        asked.join()
        time.sleep(2)
        assert own[0] not in readers()


def test_uploads_of_a_visitor_have_a_budget(tmp_path: Path) -> None:
    with demo_in(tmp_path) as (url, _):
        content = b"text\n" + b"x" * (LARGEST_FILE - 100)
        paths = []
        for number in range(VISITOR_BYTES // LARGEST_FILE + 3):
            paths.append(Path(upload(url, content + b"%d" % number)["path"]))
            time.sleep(0.02)
        kept = [path.exists() for path in paths]
        assert size_of(tmp_path) <= VISITOR_BYTES
        assert not any(kept[:3])  # the oldest went first
        assert all(kept[4:])
        file = {"path": str(paths[0]), "orig_name": "a.csv", "meta": {"_type": "gradio.FileData"}}
        with pytest.raises(RuntimeError, match="no longer kept"):
            call(url, "score", [file, "", "default", "text", ""])


def test_the_downloads_are_not_kept_twice(tmp_path: Path) -> None:
    with demo_in(tmp_path) as (url, _):
        _, _, _, as_csv, *_ = call(url, "score", [None, "Thank you\nI hate it", "default", None, ""])
        assert len(list(tmp_path.rglob("emotions.csv"))) == 1
        path = as_csv["value"]["path"] if "value" in as_csv else as_csv["path"]
        with urllib.request.urlopen(f"{url}/gradio_api/file={path}") as answer:
            assert b"gratitude" in answer.read()


def entry(storage: Storage, visitor: str | None, size: int, age: float) -> Path:
    path = storage.new_folder(visitor) if visitor else storage.folder / f"upload-{age}"
    path.mkdir(exist_ok=True)
    (path / "file").write_bytes(b"x" * size)
    for one in (path / "file", path):
        os.utime(one, (time.time() - age, time.time() - age))
    return path


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "kept", total=100_000, each=60_000)
    old, new = entry(storage, "ada", 30_000, 50), entry(storage, "ada", 30_000, 10)
    other = entry(storage, "ben", 20_000, 60)
    storage.clean()
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)  # Ada had too much, Ben had not
    entries = [entry(storage, f"visitor{age}", 25_000, age) for age in (1, 2, 3, 4)]
    storage.clean()
    assert [path.exists() for path in (*entries, new, other)] == [True, True, True, False, False, False]
    assert size_of(storage.folder) <= 100_000


def test_what_is_in_use_stays_and_is_the_newest_afterwards(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "kept", total=50_000)
    used, new = entry(storage, None, 40_000, 100), entry(storage, "ben", 40_000, 1)
    with storage.in_use(used / "file", None, tmp_path / "elsewhere"):
        storage.clean()
        assert used.exists()
    assert not new.exists()  # the only one that could go
    assert entry(storage, "ada", 40_000, 50).exists()
    storage.clean()
    assert used.exists()


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "kept")
    old, new = entry(storage, None, 10, KEPT_SECONDS + 5), entry(storage, None, 10, KEPT_SECONDS - 60)
    storage.clean()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_path_outside_is_never_removed(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "kept")
    (tmp_path / "mine").write_text("x")
    for path in (tmp_path / "mine", storage.folder, storage.folder / ".." / "mine", Path("/")):
        storage.own(path, "ada")
        storage.remove(path)
    assert (tmp_path / "mine").exists()
    assert storage.folder.exists()


def test_a_visitor_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = {"x-forwarded-for": "1.2.3.4, 8.8.8.8, 10.0.0.7"}
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert visitor_of("127.0.0.1", forged) == "127.0.0.1"  # no proxy is known: the header is the visitor's own
    monkeypatch.setenv("SPACE_ID", "you/space")
    assert visitor_of("10.0.0.7", forged) == "8.8.8.8"
    assert visitor_of("10.0.0.7", {}) == "10.0.0.7"
    assert visitor_of(None, {"x-forwarded-for": "nonsense"}) == "unknown"
