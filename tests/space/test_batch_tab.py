"""Tab Batch in a browser: upload, progress, results, downloads, errors."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from docs.screenshot import open_tab
from evenmood import LABELS, EmotionClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]


def test_upload_scoring_and_downloads(demo: str, page: Page, tmp_path: Path, model: EmotionClassifier) -> None:
    page.goto(demo)
    page.get_by_role("tab").nth(2).click()
    page.locator("#batch-run").click()
    page.wait_for_selector("text=Please choose a file or paste some lines first.")
    lines = [
        "id;Kommentar;when",
        *(f"{n};{['=Thank you', 'I hate it'][n % 2]} {n};2026-0{1 + n % 5}-01" for n in range(1500)),
    ]
    path = tmp_path / "semicolons.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("text=Columns of semicolons.csv: id, Kommentar, when")
    expect(page.get_by_label("Text column")).to_have_value("Kommentar")
    page.locator("#batch-run").click()
    page.wait_for_selector("text=1,500 rows in")
    page.wait_for_selector("#batch-heat table")
    expect(page.locator("#batch-timeline .panel")).not_to_have_count(0)
    page.get_by_label("Show rows with").click()
    page.get_by_role("option", name="gratitude").click()
    page.wait_for_selector("text=Showing 750 of 750 rows")
    page.get_by_label("Sort rows").click()
    page.get_by_role("option", name="least certain first").click()
    lowest = min(model.predict_proba([f"=Thank you {n}" for n in range(0, 1500, 2)])[:, LABELS.index("gratitude")])
    expect(page.locator("#batch-rows")).to_contain_text(f"{lowest:.2f}")
    with page.expect_download() as csv:
        page.locator("#batch-csv").click()
    rows = Path(csv.value.path()).read_text(encoding="utf-8").splitlines()
    assert csv.value.suggested_filename == "emotions.csv"
    assert len(rows) == 1501
    assert rows[1].startswith("0,'=Thank you 0,2026-01-01,gratitude,")
    with page.expect_download() as report:
        page.locator("#batch-report").click()
    assert "gratitude" in Path(report.value.path()).read_text(encoding="utf-8")
    with page.expect_download() as download:
        page.locator("#batch-parquet").click()
    from pyarrow import parquet

    table = parquet.read_table(download.value.path())
    assert table["Kommentar"][0].as_py() == "=Thank you 0"
    texts = table["Kommentar"].to_pylist()
    assert table["emotions"].to_pylist() == [prediction.labels for prediction in model.predict(texts)]


def test_scoring_can_be_stopped(demo: str, page: Page, tmp_path: Path) -> None:
    page.goto(demo)
    page.get_by_role("tab").nth(2).click()
    path = tmp_path / "long.tsv"
    path.write_text(
        "text\n" + "I am so happy about this, thank you all very much indeed!\n" * 150_000, encoding="utf-8"
    )
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("text=Columns of long.tsv: text")
    page.locator("#batch-run").click()
    page.wait_for_selector("text=rows per second")
    page.wait_for_selector("text=left")
    page.locator("#batch-stop").click()
    page.wait_for_selector("text=Stopped.")
    expect(page.locator("#batch-stop")).not_to_be_visible()
    page.wait_for_timeout(1500)
    expect(page.locator("#batch-progress")).to_contain_text("Stopped")
    page.get_by_role("tab").nth(0).click()
    page.locator("#text textarea").fill("Thank you")
    page.locator("#analyze").click()
    page.wait_for_selector("#result .predicted")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bomb.parquet", b"PAR1" + b"\0" * 1000, "Parquet files are not supported here|Invalid file type"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "picture.csv: not a text file, despite its extension"),
        ("line.csv", b"a" * 19_000_000, "expected at most 200 column names"),
        ("large.csv", b"text\n" + b"a" * 20_100_000, "20|size"),
    ],
)
def test_invalid_files_are_rejected(
    demo: str, page: Page, tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    page.goto(demo)
    page.get_by_role("tab").nth(2).click()
    (tmp_path / name).write_bytes(content)
    page.locator("#batch-file input[type=file]").set_input_files(tmp_path / name)
    expect(page.locator(".toast-body, #batch-file").filter(has_text=re.compile(expected)).first).to_be_visible(
        timeout=20_000
    )
    assert str(tmp_path) not in page.locator("body").inner_text()


def test_error_messages_disappear_after_a_change(demo: str, page: Page, tmp_path: Path) -> None:
    page.goto(demo)
    open_tab(page, 2)
    page.locator("#batch-run").click()
    expect(page.locator(".toast-body")).to_be_visible()
    (tmp_path / "a.csv").write_text("text\nThank you\n", encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(tmp_path / "a.csv")
    page.wait_for_selector("text=Columns of a.csv: text")
    expect(page.locator(".toast-body")).to_have_count(0, timeout=3000)
