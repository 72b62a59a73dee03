"""The report page: valid HTML for any texts, and the statistics as JSON."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evenmood import LABELS
from evenmood.errors import UsageError
from evenmood.report.counts import ScoredTexts
from evenmood.report.page import ReportMetadata
from evenmood.report.write import write_report
from tests.evenmood.report.batches import ABOUT, HALF, batch

HOSTILE = (
    '</style></title></blockquote><script>window.hacked=1</script><img src=x onerror="window.hacked=1"> \' " & '
    "\u202e right \x00 \x1b[31m \ud800 <a href=javascript:window.hacked=1>x</a>"
)
JOY, ANGER = {"joy": 0.9}, {"anger": 0.8}
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(HTMLParser):
    """Strict HTML parser that collects ids, links, tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def check_page(html: str) -> Checker:
    page = Checker()
    page.feed(html)
    page.close()
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links), page.links
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
    assert [name for name, _ in page.attributes if name.startswith("on") or name == "style"] == []
    assert all(ord(character) >= 32 or character in "\n\t" for character in html)
    return page


def report(tmp_path: Path, *batches: ScoredTexts, about: ReportMetadata = ABOUT) -> tuple[Checker, str, Any]:
    out, numbers = tmp_path / "report.html", tmp_path / "statistics.json"
    write_report(str(out), batches, HALF, about, json_target=str(numbers), overwrite=True)
    html = out.read_text(encoding="utf-8")
    return check_page(html), html, json.loads(numbers.read_text(encoding="utf-8"))


def test_page_shows_the_statistics(tmp_path: Path) -> None:
    rows = [JOY] * 70 + [ANGER] * 30
    times = [date(2026, 1, 1) + timedelta(days=i) for i in range(100)]
    about = replace(ABOUT, group_column="product", note="A note.", day=date(2026, 5, 4))
    page, html, statistics = report(tmp_path, batch(rows, times=times, groups=["A"] * 70 + ["B"] * 30), about=about)
    text = " ".join(" ".join(page.text).split())
    assert "Mostly positive" in text
    assert "70% of the 100 texts express only positive emotions, 30% only negative ones and 0% both." in text
    assert "The most frequent emotions are joy (70%) and anger (30%)." in text
    assert "A stands out with more" in text
    assert "A note." in text
    assert "reported May 4, 2026" in text
    assert "evenmood 1.2.3" in text
    assert {"emotions", "time", "groups", "together", "texts", "doubts"} <= set(page.ids)
    assert statistics["verdict"] == "Mostly positive"
    joy = next(emotion for emotion in statistics["emotions"] if emotion["label"] == "joy")
    assert joy["share"] == {
        **{"count": 70, "total": 100, "share": 0.7},
        **{"low": pytest.approx(0.6042, abs=1e-4), "high": pytest.approx(0.7810, abs=1e-4)},
    }
    assert statistics["timeline"]["unit"] == "week"
    assert sum(period["joy"] for period in statistics["timeline"]["periods"]) == 70
    style = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html
    assert "url(http" not in style[0]
    assert "@import" not in style[0]


def test_every_chart_has_a_table(tmp_path: Path) -> None:
    rows = [{"joy": 0.9, "love": 0.9}] * 20 + [JOY] * 20 + [ANGER] * 60
    times = [f"2026-{1 + i // 25:02}-01" for i in range(100)]
    _, html, _ = report(tmp_path, batch(rows, times=times, groups=["A"] * 40 + ["B"] * 60))
    assert html.count("<figure") == 6
    summaries = re.findall(r"<summary>([^<]*), as a table</summary>", html)
    assert len(summaries) == 6
    nested = html.count('<svg width="100%" height="100%"')
    assert html.count("<svg") - nested == html.count('aria-hidden="true" focusable="false"')
    assert html.count('scope="row"') > len(LABELS)


def test_hostile_content_is_escaped(tmp_path: Path) -> None:
    rows, texts = [JOY, {"joy": 0.9, "anger": 0.8}, {"fear": 0.4}] * 30, [f"{HOSTILE} {i}" for i in range(90)]
    groups = [f"{HOSTILE[:60]} {i % 3}" for i in range(90)]
    about = ReportMetadata(HOSTILE, HOSTILE, HOSTILE, text_column=HOSTILE, group_column=HOSTILE, note=HOSTILE)
    times = [datetime(2026, 1, 1 + i % 20) if i % 2 else HOSTILE for i in range(90)]
    page, html, statistics = report(tmp_path, batch(rows, texts, times, groups), about=about)
    assert "<script" not in html
    assert "onerror=&quot;" in html
    assert "\x00" not in html
    assert "\ud800" not in html
    assert statistics["title"].encode("utf-8", "surrogatepass")
    assert any("window.hacked=1" in part for part in page.text)


def test_custom_labels(tmp_path: Path) -> None:
    thresholds = {"<b>wild</b>": 0.5, "calm & quiet": 0.5, "joy": 0.5}
    probabilities = batch([JOY] * 40).probabilities[:, :3].copy()
    probabilities[:, 0], probabilities[:20, 1] = 0.9, 0.8
    write_report(str(tmp_path / "out.html"), [ScoredTexts(["x"] * 40, probabilities)], thresholds, ABOUT)
    html = (tmp_path / "out.html").read_text(encoding="utf-8")
    check_page(html)
    assert "&lt;b&gt;wild&lt;/b&gt;" in html
    assert "calm &amp; quiet" in html


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([], "The table has no rows."),
        ([batch([])], "The table has no rows."),
        ([batch([None, None], times=[1, 2], groups=[1, 2])], "No row of the table has a text."),
        ([batch([JOY] * 3, times=["x", "", None])], "No text has a valid date"),
        ([batch([JOY] * 3, times=["2026-01-01"] * 3)], "All dates fall into one period"),
        ([batch([JOY] * 30, groups=["A"] * 30)], "fewer than two groups are large enough"),
        ([batch([JOY] * 3, groups=[None, "", "A"])], "No value"),
        ([batch([{}] * 3)], "Mostly without a clear emotion"),
        ([batch([{"neutral": 0.9}] * 3)], "Mostly neutral"),
        ([batch([JOY, ANGER])], "About as many positive as negative texts"),
        ([batch([JOY])], "About as many positive as negative texts"),
    ],
)
def test_sparse_tables(batches: list[ScoredTexts], expected: str, tmp_path: Path) -> None:
    page, _, statistics = report(tmp_path, *batches)
    assert expected in " ".join(" ".join(page.text).split())
    assert statistics["texts"] == sum(text is not None for scored_texts in batches for text in scored_texts.texts)


def test_failed_report_writes_no_file(tmp_path: Path) -> None:
    def failing_batches() -> Any:
        yield batch([JOY])
        raise RuntimeError("the table ends here")

    with pytest.raises(RuntimeError):
        write_report(str(tmp_path / "out.html"), failing_batches(), HALF, ABOUT, json_target=str(tmp_path / "out.json"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out.html").write_text("precious")
    with pytest.raises(UsageError, match="exists; choose another"):
        write_report(str(tmp_path / "out.html"), [], HALF, ABOUT)
    assert LABELS[0] == next(iter(HALF))
