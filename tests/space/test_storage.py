"""Files of the demo on disk: size limits, expiry, and removal when the server ends."""

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
from evenmood.model.model_folder import PREDICTION_FILES
from space.server.folder import LOCK_FILE, PREFIX
from space.server.storage import MAX_VISITOR_BYTES, RETENTION_SECONDS, Storage, visitor_of
from space.table.sources import MAX_FILE_BYTES
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_server import HubServer

FILES = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}


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
    header = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    body = header.encode() + content + b"\r\n--edge--\r\n"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/gradio_api/upload", body, headers)) as response:
        (path,) = json.load(response)
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def create_files(url: str) -> None:
    """Create an upload, results, a Hub model, and a table that is still being scored."""
    file = upload(url, b"text\n" + b"Thank you\n" * 1000)
    summary, *_ = call(url, "score", [file, "", "default", "text", ""])
    assert "1,000 rows in" in summary
    call(url, "compare", ["Thank you", "default", "you/moods"])
    large_file = upload(url, b"text\n" + b"Thank you all so very much indeed\n" * 150_000)
    body = json.dumps({"data": [large_file, "", "default", "text", ""]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/gradio_api/call/score", body, headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/score/{event}", timeout=120) as stream:
        while b"rows per second" not in stream.readline():
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="requires Linux signals")
@pytest.mark.parametrize(
    "signal_number",
    [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGHUP))],
)
def test_terminated_demo_removes_its_files(tmp_path: Path, hub: HubServer, signal_number: signal.Signals) -> None:
    hub.add("you/moods", FILES)
    with demo_in(tmp_path) as (url, process):
        create_files(url)
        (folder,) = tmp_path.glob("evenmood-*")
        assert list(folder.glob("**/model.onnx"))
        assert list(folder.glob("**/emotions.csv"))
        process.send_signal(signal_number)
        process.wait(timeout=30)
        assert list(tmp_path.glob("evenmood-*")) == []
        assert size_of(tmp_path) < 1000  # Gradio's own folder is empty


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="requires Linux signals")
def test_next_demo_removes_files_of_a_killed_demo(tmp_path: Path, hub: HubServer) -> None:
    hub.add("you/moods", FILES)
    with demo_in(tmp_path) as (url, process):
        create_files(url)
        process.kill()
        process.wait()
    (killed,) = tmp_path.glob("evenmood-*")
    assert size_of(killed) > 1_000_000
    (tmp_path / f"{PREFIX}starting").mkdir()  # not locked yet
    (tmp_path / "other").mkdir()
    with demo_in(tmp_path):
        (running,) = set(tmp_path.glob(f"{PREFIX}*")) - {tmp_path / f"{PREFIX}starting"}
        assert running != killed
        assert not killed.exists()
        with demo_in(tmp_path):
            assert (running / LOCK_FILE).is_file()  # the server is running
            assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 3
    assert [path.name for path in tmp_path.glob("evenmood-*")] == [f"{PREFIX}starting"]
    assert (tmp_path / "other").is_dir()


def test_workers_end_with_the_server(tmp_path: Path) -> None:
    def workers() -> dict[int, int]:
        """Return the parent ids of all workers by process id, including those of other tests."""
        output = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in output.splitlines()[1:]]
        return {int(pid): int(parent) for pid, parent, args in rows if "-m space.table.scoring" in args}

    def score(url: str, file: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # the server is killed
            call(url, "score", [file, "", "", "", ""])

    with demo_in(tmp_path) as (url, process):
        file = upload(url, b"text\n" + b"Thank you all so very much indeed\n" * 150_000)
        request = threading.Thread(target=score, args=(url, file))
        request.start()
        deadline = time.monotonic() + 30
        pids: list[int] = []
        while not pids and time.monotonic() < deadline:
            time.sleep(0.1)
            pids = [pid for pid, parent in workers().items() if parent == process.pid]
        assert len(pids) == 1
        process.kill()
        process.wait()
        request.join()
        time.sleep(2)
        assert pids[0] not in workers()


def test_uploads_of_a_visitor_are_limited(tmp_path: Path) -> None:
    with demo_in(tmp_path) as (url, _):
        content = b"text\n" + b"x" * (MAX_FILE_BYTES - 100)
        paths = []
        for number in range(MAX_VISITOR_BYTES // MAX_FILE_BYTES + 3):
            paths.append(Path(upload(url, content + b"%d" % number)["path"]))
            time.sleep(0.02)
        exists = [path.exists() for path in paths]
        assert size_of(tmp_path) <= MAX_VISITOR_BYTES
        assert not any(exists[:3])  # the oldest are removed first
        assert all(exists[4:])
        file = {"path": str(paths[0]), "orig_name": "a.csv", "meta": {"_type": "gradio.FileData"}}
        with pytest.raises(RuntimeError, match="the upload has expired"):
            call(url, "score", [file, "", "default", "text", ""])


def test_downloads_are_stored_once(tmp_path: Path) -> None:
    with demo_in(tmp_path) as (url, _):
        _, _, _, csv_update, *_ = call(url, "score", [None, "Thank you\nI hate it", "default", None, ""])
        assert len(list(tmp_path.rglob("emotions.csv"))) == 1
        path = csv_update["value"]["path"] if "value" in csv_update else csv_update["path"]
        with urllib.request.urlopen(f"{url}/gradio_api/file={path}") as response:
            assert b"gratitude" in response.read()


def make_entry(storage: Storage, visitor: str | None, size: int, age: float) -> Path:
    path = storage.new_folder(visitor) if visitor else storage.folder / f"upload-{age}"
    path.mkdir(exist_ok=True)
    (path / "file").write_bytes(b"x" * size)
    for entry in (path / "file", path):
        os.utime(entry, (time.time() - age, time.time() - age))
    return path


def test_oldest_entries_are_removed_first(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage", max_total_bytes=100_000, max_visitor_bytes=60_000)
    old, new = make_entry(storage, "ada", 30_000, 50), make_entry(storage, "ada", 30_000, 10)
    other = make_entry(storage, "ben", 20_000, 60)
    storage.clean()
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)  # Ada exceeds the limit, Ben does not
    entries = [make_entry(storage, f"visitor{age}", 25_000, age) for age in (1, 2, 3, 4)]
    storage.clean()
    assert [path.exists() for path in (*entries, new, other)] == [True, True, True, False, False, False]
    assert size_of(storage.folder) <= 100_000


def test_entries_in_use_are_kept(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage", max_total_bytes=50_000)
    entry, new = make_entry(storage, None, 40_000, 100), make_entry(storage, "ben", 40_000, 1)
    with storage.in_use(entry / "file", None, tmp_path / "elsewhere"):
        storage.clean()
        assert entry.exists()
    assert not new.exists()  # the only entry not in use
    assert make_entry(storage, "ada", 40_000, 50).exists()
    storage.clean()
    assert entry.exists()


def test_expired_entries_are_removed(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    old = make_entry(storage, None, 10, RETENTION_SECONDS + 5)
    new = make_entry(storage, None, 10, RETENTION_SECONDS - 60)
    storage.clean()
    assert (old.exists(), new.exists()) == (False, True)


def test_paths_outside_the_folder_are_never_removed(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    (tmp_path / "mine").write_text("x")
    for path in (tmp_path / "mine", storage.folder, storage.folder / ".." / "mine", Path("/")):
        storage.set_owner(path, "ada")
        storage.remove(path)
    assert (tmp_path / "mine").exists()
    assert storage.folder.exists()


def test_address_of_a_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-forwarded-for": "1.2.3.4, 8.8.8.8, 10.0.0.7"}
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert visitor_of("127.0.0.1", headers) == "127.0.0.1"  # without a known proxy, the header could be forged
    monkeypatch.setenv("SPACE_ID", "you/space")
    assert visitor_of("10.0.0.7", headers) == "8.8.8.8"
    assert visitor_of("10.0.0.7", {}) == "10.0.0.7"
    assert visitor_of(None, {"x-forwarded-for": "nonsense"}) == "unknown"
