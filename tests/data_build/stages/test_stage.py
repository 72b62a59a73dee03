"""Framework for the stages: shards, resuming, manifests, checksums, lock."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from data_build.stage import build_lock, input_hashes, open_stage
from evenmood import DataError, UsageError
from evenmood.data.build_folder import check_current, read_manifest, read_rows
from tests.commands import run_command
from tests.fakes.hub_repository import files_of
from tests.small_data import write_tsv

ROWS = pyarrow.table({"text": ["a", "b", "c"]})


def run_first_stage(build: Path, shards: int = 2, **options: object) -> None:
    with open_stage(build, "first", {"source": "x"}, options, print) as stage:
        for number in range(shards):
            name = f"part-{number:05}"
            if not stage.has(name):
                stage.write(name, ROWS, {"in": 5, "too short": 2})
        stage.finish(more="recorded")


def test_the_manifest_accounts_for_every_row(tmp_path: Path) -> None:
    run_first_stage(tmp_path, seed=1)
    manifest = read_manifest(tmp_path, "first")
    assert (manifest["rows_in"], manifest["rows_out"], manifest["dropped"]) == (10, 6, {"too short": 4})
    assert manifest["options"] == {"seed": 1}
    assert manifest["inputs"] == {"source": "x"}
    assert manifest["more"] == "recorded"
    assert manifest["shards"]["part-00001.parquet"]["rows"] == 3
    assert read_rows(tmp_path, "first")["text"].to_pylist() == ["a", "b", "c"] * 2


def test_a_finished_stage_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_first_stage(tmp_path)
    files = files_of(tmp_path)
    with open_stage(tmp_path, "first", {"source": "x"}, {}, print) as stage:
        assert stage.finished
    assert "already finished, 6 rows" in capsys.readouterr().out
    assert files_of(tmp_path) == files


def test_different_options_or_inputs_are_rejected(tmp_path: Path) -> None:
    run_first_stage(tmp_path, seed=1)
    for inputs, options, name in (({"source": "y"}, {"seed": 1}, "source"), ({"source": "x"}, {"seed": 2}, "seed")):
        with pytest.raises(UsageError, match=f"an earlier run used a different {name}; .*--restart"):
            open_stage(tmp_path, "first", inputs, options, print).__enter__()
    with open_stage(tmp_path, "first", {"source": "y"}, {}, print, restart=True) as stage:
        assert not stage.finished
        assert not stage.has("part-00000")


def test_shards_are_written_atomically(tmp_path: Path) -> None:
    with open_stage(tmp_path, "first", {}, {}, print) as stage:
        with pytest.raises(TypeError):
            stage.write("part-00000", ROWS, {"in": object()})  # type: ignore[dict-item]
        (tmp_path / "first" / ".part-00001.parquet.part").write_bytes(b"left by a killed run")
    with open_stage(tmp_path, "first", {}, {}, print) as stage:
        assert not stage.has("part-00000")
        assert sorted(path.name for path in stage.folder.iterdir()) == ["plan.json"]


def test_a_shard_with_another_checksum(tmp_path: Path) -> None:
    run_first_stage(tmp_path)
    shard = tmp_path / "first" / "part-00001.parquet"
    parquet.write_table(pyarrow.table({"text": ["forged"]}), shard)
    with pytest.raises(DataError, match=r"part-00001.parquet differs from what the stage wrote; run: .* --restart"):
        read_rows(tmp_path, "first")
    shard.unlink()
    with pytest.raises(DataError, match=r"part-00001.parquet is missing"):
        read_rows(tmp_path, "first")


def test_an_unfinished_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the stage first has not been run; run: python -m data_build first"):
        input_hashes(tmp_path, "first")
    with open_stage(tmp_path, "first", {}, {}, print):
        pass
    with pytest.raises(DataError, match="was not finished"):
        input_hashes(tmp_path, "first")


CORRUPT = {
    "empty": b"",
    "truncated": b'{"stage": "first", "inputs": {"so',
    "not UTF-8": b'{"stage": "caf\xe9"}',
    "not an object": b"[1]",
    "another object": b"{}",
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_plan_or_manifest(tmp_path: Path, content: bytes) -> None:
    run_first_stage(tmp_path)
    with open_stage(tmp_path, "second", input_hashes(tmp_path, "first"), {}, print) as stage:
        stage.write("part-00000", ROWS, {"in": 3})
        stage.finish()
    for file in ("plan.json", "manifest.json"):
        path = tmp_path / "first" / file
        original_content = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"first/{file} is corrupt \(.*\); run: .* first .* --restart"):
            run_first_stage(tmp_path)
        if file == "manifest.json":  # a corrupt manifest does not count as changed
            with pytest.raises(DataError, match=rf"first/{file} is corrupt"):
                check_current(tmp_path, "second")
            with pytest.raises(DataError, match=rf"first/{file} is corrupt"):
                read_rows(tmp_path, "first")
        with open_stage(tmp_path, "first", {"source": "x"}, {}, print, restart=True) as stage:
            assert not stage.finished
        run_first_stage(tmp_path)
        path.write_bytes(original_content)


def test_a_manifest_with_invalid_shards(tmp_path: Path) -> None:
    run_first_stage(tmp_path)
    path = tmp_path / "first" / "manifest.json"
    manifest = json.loads(path.read_text())
    invalid: list[Any] = [{"part-00000.parquet": None}, {"part-00000.parquet": {"rows": "3"}}, [], None]
    for shards in invalid:
        path.write_text(json.dumps({**manifest, "shards": shards}))
        with pytest.raises(DataError, match=r"manifest.json is corrupt .*--restart"):
            read_rows(tmp_path, "first")
    path.write_text(json.dumps({**manifest, "shards": {}}))
    with pytest.raises(DataError, match=r"first: no shard .*--restart"):
        read_rows(tmp_path, "first")


@pytest.mark.parametrize(
    "content", [b"", b"PAR1 cut short", None], ids=["empty", "truncated", "written by another program"]
)
def test_resuming_with_a_corrupt_shard(tmp_path: Path, content: bytes | None) -> None:
    run_first_stage(tmp_path)
    (tmp_path / "first" / "manifest.json").unlink()  # as if the run had been killed
    shard = tmp_path / "first" / "part-00001.parquet"
    if content is None:
        parquet.write_table(ROWS, shard)
    else:
        shard.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00001.parquet is corrupt \(.*\); run: .* first .* --restart"):
        run_first_stage(tmp_path)
    with (
        open_stage(tmp_path, "first", {"source": "x"}, {}, print) as stage,
        pytest.raises(DataError, match=r"part-00001.parquet is corrupt"),
    ):
        stage.finish()


def test_the_error_for_a_corrupt_file_names_the_command(tmp_path: Path) -> None:
    for folder, command in (
        ("generate-2", "generate {} --round 2 --restart"),
        ("relabel-generate-2", "relabel {} --restart"),
    ):
        with open_stage(tmp_path, folder, {}, {}, print):
            (tmp_path / folder / "plan.json").write_bytes(b"")
        with pytest.raises(DataError, match=re.escape(command.format(tmp_path))):
            open_stage(tmp_path, folder, {}, {}, print).__enter__()


def test_a_corrupt_plan_on_the_command_line(tmp_path: Path) -> None:
    arguments = ("data_build", "goemotions", tmp_path, "--data", write_tsv(tmp_path / "tsv"), "--any-size")
    assert run_command(*arguments).returncode == 0
    (tmp_path / "goemotions" / "plan.json").write_bytes(b"")
    result = run_command(*arguments)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "goemotions/plan.json is corrupt (the file is empty)" in result.stderr
    assert run_command(*arguments, "--restart").returncode == 0


def test_a_concurrent_build_is_rejected(tmp_path: Path) -> None:
    with build_lock(tmp_path):
        result = run_command("data_build", "goemotions", tmp_path, "--data", write_tsv(tmp_path / "tsv"), "--any-size")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "another build is running in this folder" in result.stderr
    run_first_stage(tmp_path)


def test_a_full_disk_loses_no_shard(tmp_path: Path) -> None:
    small_disk = tmp_path / "small"
    small_disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", small_disk], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("cannot mount a small file system")
    try:
        large_table = pyarrow.table({"text": [f"{number:0100}{hash(number * 7919)}" for number in range(20_000)]})
        with open_stage(small_disk, "first", {}, {}, print) as stage:
            stage.write("part-00000", ROWS, {"in": 3})
            with pytest.raises(OSError, match="No space left"):
                stage.write("part-00001", large_table, {"in": 20_000})
        with open_stage(small_disk, "first", {}, {}, print) as stage:
            assert stage.has("part-00000")
            assert not stage.has("part-00001")
            stage.write("part-00001", ROWS, {"in": 3})
            assert stage.finish()["rows_out"] == 6
    finally:
        subprocess.run(["umount", small_disk], check=True)
