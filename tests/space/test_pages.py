"""The demo in a real browser: every tab as a visitor walks it, on a desk and a phone, by day and by night."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from docs.screenshot import LETTER, SENTENCE, ask, choose_model, chromium, open_tab, walk
from evenmood import LABELS, EmotionClassifier
from space.components.passages import sentence_spans
from tests.space.test_programs import snippet

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]
PICTURES = os.environ.get("EVENMOOD_SCREENSHOTS")
"""Folder to keep pictures in, for somebody to look at."""
EVIL = (
    "<img src=x onerror=\"window.hacked=1\"> <b id='bold'>love</b> ${window.hacked=1} {{7*7}} "
    "<script>window.hacked=1</script>"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    yield context.new_page()
    context.close()


def no_violations(page: Page, where: str) -> None:
    found = Axe().run(page).response["violations"]
    shown = [(entry["id"], [node["html"][:200] for node in entry["nodes"][:3]]) for entry in found]
    assert shown == [], where


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(1200, "light", "en-US"), (1440, "dark", "es-ES"), (390, "light", "zh-CN"), (360, "dark", "en-GB")],
)
def test_a_visit(demo: str, browser: Browser, width: int, scheme: Any, language: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale=language, has_touch=width < 500
    )
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name in walk(page, demo):
        where = f"{name}-{width}-{scheme}-{language}"
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{where}.png", full_page=True)
        no_violations(page, where)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), where
        assert "[object Object]" not in page.locator("body").inner_text(), where
        assert "evenmood_" not in page.locator("body").inner_text(), where
    assert [url for url in asked if not url.startswith((demo, "data:", "blob:"))] == []
    assert wrong == []
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "confused" not in kept
    expected = {"en": "Share of rows", "es": "Proporción de filas", "zh": "各标签所占行的比例"}[language[:2]]
    open_tab(page, 2)
    expect(page.get_by_text(expected).first).to_be_visible()
    context.close()


def test_the_answer_is_the_models(demo: str, page: Page, model: EmotionClassifier) -> None:
    ask(page, demo, SENTENCE)
    names = [name.split("\n")[0] for name in page.locator("#result .given .name").all_inner_texts()]
    assert names == model.predict(SENTENCE).labels
    assert page.locator("#result .chip").count() == len(names)
    assert page.locator("#all-labels .bar .tick").count() == len(LABELS)
    first, second = model.predict(SENTENCE).scores
    words = f"{first.label} ({first.probability:.0%}), and also {second.label} ({second.probability:.0%})"
    expect(page.locator("#spoken")).to_contain_text(words)
    chips = page.locator("#result .sentence .chip").all_inner_texts()
    assert [chip.split()[-2:] for chip in chips] == [[s.label, f"{s.probability:.0%}"] for s in (first, second)]
    assert page.locator("#words mark").all_inner_texts() == [word.text for word in model.explain(SENTENCE)]
    page.get_by_text("How good is it at this?").click()
    texts = model.info.metrics["test"]["per_label"][first.label]["support"]
    assert f"Measured on {texts} test texts" in page.locator("#result .quality").inner_text()
    for group in page.locator("#all-labels .group").all():
        values = [int(value.rstrip("%")) for value in group.locator(".value").all_inner_texts()]
        assert values == sorted(values, reverse=True)
    page.get_by_label("effect on one label").check()
    expect(page.locator("#words .note")).to_contain_text(f"speaks for {first.label}")
    page.get_by_label("Label", exact=True).click()
    page.get_by_role("option", name=second.label).click()
    expect(page.locator("#words .note")).to_contain_text(f"speaks for {second.label}")
    expected = model.leave_one_out(SENTENCE, second.label)[-1].weight
    change = f"{'falls' if expected >= 0 else 'rises'} by {abs(expected):.3f}"
    assert change in str(page.locator("#words mark").last.get_attribute("title"))


def test_by_keyboard_alone(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyse")
    expect(page.locator("#text textarea")).to_be_focused()
    page.keyboard.type("Thank you so much")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#words")).to_contain_text("Thank you so much")
    expect(page.locator("#result .sentence")).to_contain_text("gratitude")
    page.keyboard.press("Tab")
    expect(page.locator("#analyse")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.getAttribute('data-tab-id')") == "long":
            break
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#long') !== null"):
            break
    expect(page.locator("#long textarea")).to_be_focused()
    page.keyboard.type("Thank you. I hate this.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#long-table tbody tr")).to_have_count(2)
    expect(page.locator("#long-options")).to_be_visible()


def test_loading_leaves_no_stream_that_could_end_under_a_question(demo: str, page: Page) -> None:
    """Gradio loses what is asked between the end of a stream on the server and the news of it."""
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/queue/" in request.url else None)
    page.goto(demo)
    page.get_by_role("tab").last.click()
    expect(page.get_by_text("How good it is at each label").first).to_be_visible()
    assert streams == []  # what fills the page would have come by one
    ask(page, demo, SENTENCE)
    assert streams  # it would have seen one


def test_live(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyse")
    page.locator("#text textarea").fill("I hate")
    page.wait_for_timeout(1200)
    assert "confusion" in page.locator("#result .sentence").inner_text()  # the sample's answer
    page.get_by_label("Analyze while typing").check()
    page.locator("#text textarea").press_sequentially(" this")
    expect(page.locator("#words")).to_contain_text("I hate this")
    expect(page.locator("#result .sentence")).not_to_contain_text("confusion")


def test_a_link_restores_text_and_model(demo: str, page: Page) -> None:
    ask(page, demo, "Thank you & <b>good night</b> #1 ü")
    choose_model(page, "average")
    chosen = page.locator("#model input").input_value()
    page.get_by_text("Use this answer in a program").click()
    page.locator("#share").click()
    box = page.get_by_label("Link to this text and model")
    expect(box).to_have_value(re.compile("#text="))
    link = box.input_value()
    assert "#" not in page.url  # the text is in the box alone, not in the address bar
    expect(page.locator("#as-json")).to_contain_text('"labels"')
    expect(page.locator("#as-python")).to_contain_text("EmotionClassifier.from_pretrained('./average")
    assert link.startswith(demo)
    other = page.context.new_page()
    asked: list[str] = []
    other.on("request", lambda request: asked.append(request.url))
    other.goto(link)
    expect(other.locator("#words")).to_contain_text("has no attention")
    assert other.locator("#text textarea").input_value() == "Thank you & <b>good night</b> #1 ü"
    expect(other.locator("#model input")).to_have_value(chosen)
    assert other.url.split("?")[0].rstrip("/") == demo  # nor is it left in the history
    assert not [url for url in asked if "good" in url.split("#")[0]]
    broken = page.context.new_page()
    broken.goto(f"{demo}/#text=Hello+there&model=./gone")
    broken.wait_for_selector("text=choose one of the list")
    expect(broken.locator("#text textarea")).to_have_value("Hello there")  # what failed has lost nothing


def test_text_is_never_html(demo: str, page: Page, tmp_path: Path) -> None:
    ask(page, demo, EVIL)
    assert "<b id='bold'>" in page.locator("#words").inner_text()
    assert "${window.hacked=1} {{7*7}}" in page.locator("#words").inner_text()
    page.locator("#label").wait_for(state="hidden")
    page.get_by_role("tab").nth(1).click()
    page.locator("#compare-text textarea").fill(EVIL)
    page.locator("#compare").click()
    page.wait_for_selector("#compare-table table")
    page.get_by_label("Second model").fill(EVIL)
    page.keyboard.press("Enter")
    page.locator("#compare").click()
    page.wait_for_selector("text=choose one of the list")
    page.get_by_role("tab").nth(2).click()
    header = EVIL.replace(",", "").replace('"', "'")
    path = tmp_path / "<img src=x onerror=window.hacked=1>.csv"
    path.write_text(f"{header},when\n" + f"{header},{header}\n" * 3, encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("#batch-progress .note")
    page.locator("#batch-run").click()
    page.wait_for_selector("#batch-rows table")
    expect(page.locator("#batch-rows")).to_contain_text("<b id='bold'>")
    page.get_by_role("tab").nth(3).click()
    page.locator("#long textarea").fill(f"<i>Ada</i>: {EVIL}\nAda: {EVIL}\nBen: {EVIL}")
    page.locator("#long-run").click()
    page.wait_for_selector("#long-table table")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    for where in (
        "#words",
        "#compare-table",
        "#batch-rows",
        "#batch-heat",
        "#batch-progress",
        "#long-table",
        ".toast-body",
    ):
        assert page.locator(f"{where} img, {where} #bold, {where} script, {where} i").count() == 0, where


def test_empty_text_examples_and_a_very_long_text(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyse")
    page.locator("#text textarea").fill("")
    page.locator("#analyse").click()
    page.wait_for_selector("text=Write something, or choose an example.")
    page.get_by_text("I miss my grandmother").click()
    expect(page.locator("#text textarea")).to_have_value("I miss my grandmother every single day.")
    page.wait_for_selector("#result .given")
    expect(page.locator("#spoken")).to_contain_text("sadness")
    page.locator("#text textarea").fill("word " * 5000)
    page.locator("#analyse").click()
    page.wait_for_selector("text=Only the first 19,999 characters were read; the last 5,001 were not")
    page.locator("#text textarea").fill("")
    page.locator("#analyse").click()
    page.wait_for_selector("text=Write something, or choose an example.")
    for answer in ("#why", "#all-labels", "#use", "#feedback"):
        expect(page.locator(answer)).not_to_be_visible()  # nothing without an answer
    page.locator("#text textarea").fill("word " * 50)
    page.locator("#analyse").click()
    page.locator("#text textarea").fill("— (.)")
    page.locator("#analyse").click()
    page.wait_for_selector("text=No words to read here")


def test_a_table_from_upload_to_download(demo: str, page: Page, tmp_path: Path, model: EmotionClassifier) -> None:
    page.goto(demo)
    page.get_by_role("tab").nth(2).click()
    page.locator("#batch-run").click()
    page.wait_for_selector("text=Choose a file or paste some lines first.")
    lines = [
        "id;Kommentar;when",
        *(f"{n};{['=Thank you', 'I hate it'][n % 2]} {n};2026-0{1 + n % 5}-01" for n in range(1500)),
    ]
    path = tmp_path / "semicolons.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("text=semicolons.csv: columns id, Kommentar, when.")
    expect(page.get_by_label("Column with the texts")).to_have_value("Kommentar")
    page.locator("#batch-run").click()
    page.wait_for_selector("text=1,500 rows in")
    page.wait_for_selector("#batch-heat table")
    expect(page.locator("#batch-timeline .panel")).not_to_have_count(0)
    page.get_by_label("Show rows with").click()
    page.get_by_role("option", name="gratitude").click()
    page.wait_for_selector("text=750 of 750 rows are shown")
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
    with page.expect_download() as parquet:
        page.locator("#batch-parquet").click()
    from pyarrow import parquet as files

    table = files.read_table(parquet.value.path())
    assert table["Kommentar"][0].as_py() == "=Thank you 0"
    texts = table["Kommentar"].to_pylist()
    assert table["emotions"].to_pylist() == [prediction.labels for prediction in model.predict(texts)]


def test_a_table_can_be_stopped(demo: str, page: Page, tmp_path: Path) -> None:
    page.goto(demo)
    page.get_by_role("tab").nth(2).click()
    path = tmp_path / "long.tsv"
    path.write_text(
        "text\n" + "I am so happy about this, thank you all very much indeed!\n" * 150_000, encoding="utf-8"
    )
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("text=long.tsv: columns text.")
    page.locator("#batch-run").click()
    page.wait_for_selector("text=rows a second")
    page.wait_for_selector("text=left")
    page.locator("#batch-stop").click()
    page.wait_for_selector("text=Stopped.")
    expect(page.locator("#batch-stop")).not_to_be_visible()
    page.wait_for_timeout(1500)
    expect(page.locator("#batch-progress")).to_contain_text("Stopped")
    page.get_by_role("tab").nth(0).click()
    page.locator("#text textarea").fill("Thank you")
    page.locator("#analyse").click()
    page.wait_for_selector("#result .given")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bomb.parquet", b"PAR1" + b"\0" * 1000, "Parquet files are not read here|Invalid file type"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "picture.csv: not a text file despite its name"),
        ("line.csv", b"a" * 19_000_000, "the first line must hold the columns' names"),
        ("large.csv", b"text\n" + b"a" * 20_100_000, "20|size"),
    ],
)
def test_bad_files_are_explained(
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


def test_feedback_needs_consent_each_time(
    demo: str, page: Page, tmp_path_factory: pytest.TempPathFactory, model: EmotionClassifier
) -> None:
    (file,) = (tmp_path_factory.getbasetemp() / "feedback").glob("*.jsonl")
    before = file.read_text().splitlines()
    ask(page, demo, "Thank you for this lovely day")
    page.get_by_text("Was this right?").click()
    page.get_by_role("button", name="It is right").click()
    page.wait_for_selector("text=Nothing was stored: tick the box that you agree first.")
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Send these labels").click()
    page.wait_for_selector("text=Nothing was stored: choose at least one label.")
    assert file.read_text().splitlines() == before
    page.locator("#text textarea").fill("I hate it")
    page.get_by_role("button", name="It is right").click()
    page.wait_for_selector("text=Nothing was stored: write a text and analyse it first.")
    page.locator("#text textarea").fill("Thank you for this lovely day")
    assert file.read_text().splitlines() == before
    page.get_by_role("button", name="It is right").click()
    page.wait_for_selector("text=Thank you: stored.")
    expect(page.get_by_label("I agree")).not_to_be_checked()
    page.get_by_role("button", name="It is wrong").click()
    page.wait_for_selector("text=Nothing was stored: tick the box that you agree first.")
    (row,) = (json.loads(line) for line in file.read_text().splitlines()[len(before) :])
    assert row["text"] == "Thank you for this lovely day"
    assert [LABELS[number] for number in row["labels"]] == sorted(model.predict(row["text"]).labels, key=LABELS.index)
    assert row["feedback"]["verdict"] == "agree"


def test_it_opens_answered(demo: str, browser: Browser, model: EmotionClassifier) -> None:
    """The answer comes with the page: no request asks for it."""
    asked: list[Request] = []
    for language, words in (("en-US", "Most likely"), ("es-ES", "Lo más probable"), ("zh-CN", "最可能")):
        context = browser.new_context(locale=language)
        page = context.new_page()
        asked.clear()
        page.on("request", lambda one: asked.append(one))
        page.goto(demo)
        expect(page.locator("#result .sentence")).to_contain_text(words)
        for score in model.predict(SENTENCE).scores:
            expect(page.locator("#result .sentence")).to_contain_text(f"{score.probability:.0%}")
        expect(page.locator("#words mark")).to_have_count(len(model.explain(SENTENCE)))
        assert [one.url for one in asked if one.method == "POST" and "queue/join" in one.url] == []
        open_tab(page, 1)
        expect(page.locator("#compare-table table").first).to_be_visible()
        context.close()


def test_what_the_page_adds_is_light(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 6000  # under 1,500 on an idle machine
    space = Path(__file__).parents[2] / "space"
    own = [*space.glob("page.*"), *space.glob("locales/*.json"), *space.glob("samples/*")]
    assert sum(path.stat().st_size for path in own) < 100_000


def test_the_switch_answers_with_the_other_model(demo: str, page: Page) -> None:
    accurate = EmotionClassifier.from_pretrained("accurate")
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    choose_model(page, "accurate")
    first = accurate.predict(SENTENCE).scores[0]
    expect(page.locator("#result .sentence")).to_contain_text(f"{first.label} {first.probability:.0%}")
    expect(page.locator("#words .note")).to_contain_text("the answer changes without the word", timeout=30_000)
    open_tab(page, 3)
    page.locator("#long-chat").click()
    page.wait_for_selector("#long-table table")
    text = "I finally got the job! I can't believe it."
    expect(page.locator("#long-table tbody tr").first).to_contain_text(f"{accurate.predict_proba([text]).max():.2f}")


def test_a_long_text_is_marked_by_passages(demo: str, page: Page, model: EmotionClassifier) -> None:
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    page.locator("#text textarea").fill(LETTER)
    page.locator("#analyse").click()
    expect(page.locator("#words .note")).to_contain_text("Read in 27 sentences")
    spans = sentence_spans(LETTER)
    gratitude = model.predict_proba([LETTER[slice(*span)] for span in spans])[:, LABELS.index("gratitude")]
    strongest = LETTER[slice(*spans[int(gratitude.argmax())])]
    mark = page.locator("#words mark.passage", has_text=strongest)
    expect(mark).to_have_count(1)
    assert "gratitude" in mark.locator("+ .chip").inner_text()
    expect(page.locator("#way")).not_to_be_visible()
    page.locator("#words .jumps a", has_text="gratitude").click()
    expect(mark).to_be_in_viewport()


def test_a_text_about_self_harm_gets_a_quiet_answer(demo: str, browser: Browser) -> None:
    context = browser.new_context(locale="es-ES")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    page.locator("#text textarea").fill("Thank you all, you were lovely, but I want to kill myself")
    page.locator("#analyse").click()
    expect(page.locator("#result .support")).to_contain_text("no tienes que afrontarlo en soledad")
    assert page.locator("#result .support a").get_attribute("href") == "https://findahelpline.com"
    assert page.locator("#result .chip").count() == 0
    assert page.locator("#result .quiet").count() > 0
    assert not re.search("[\U0001f300-\U0001faff]", page.locator("#result").inner_text())
    assert all(url.startswith((demo, "data:", "blob:")) for url in asked)
    context.close()


def test_an_error_goes_away_with_its_cause(demo: str, page: Page, tmp_path: Path) -> None:
    page.goto(demo)
    open_tab(page, 2)
    page.locator("#batch-run").click()
    expect(page.locator(".toast-body")).to_be_visible()
    (tmp_path / "a.csv").write_text("text\nThank you\n", encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(tmp_path / "a.csv")
    page.wait_for_selector("text=a.csv: columns text.")
    expect(page.locator(".toast-body")).to_have_count(0, timeout=3000)


def test_a_phone_has_the_link_to_the_api(demo: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(demo)
    expect(page.get_by_role("button", name="Use via API")).to_be_visible()
    context.close()


def test_javascript_gets_an_answer(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyse")
    code = snippet("js", "fetch").replace("http://127.0.0.1:7860", demo)
    logged = page.evaluate(
        f"async () => {{ const said = [], console = {{log: (x) => said.push(x)}}; {code} return said; }}"
    )
    assert logged[0][0] == "gratitude"
