"""Tab Analyze in a browser: predictions, words, passages, links, feedback."""

import json
import re
import shutil

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from docs.screenshot import LETTER, SENTENCE, ask, choose_model, open_tab
from evenmood import LABELS, EmotionClassifier
from space.components.passages import sentence_spans

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]


def test_prediction_matches_the_model(demo: str, page: Page, model: EmotionClassifier) -> None:
    ask(page, demo, SENTENCE)
    names = [name.split("\n")[0] for name in page.locator("#result .predicted .name").all_inner_texts()]
    assert names == model.predict(SENTENCE).labels
    assert page.locator("#result .chip").count() == len(names)
    assert page.locator("#all-labels .bar .tick").count() == len(LABELS)
    first, second = model.predict(SENTENCE).scores
    words = f"{first.label} ({first.probability:.0%}), and also {second.label} ({second.probability:.0%})"
    expect(page.locator("#spoken")).to_contain_text(words)
    chips = page.locator("#result .sentence .chip").all_inner_texts()
    assert [chip.split()[-2:] for chip in chips] == [[s.label, f"{s.probability:.0%}"] for s in (first, second)]
    assert page.locator("#words mark").all_inner_texts() == [word.text for word in model.explain(SENTENCE)]
    page.get_by_text("How reliable is this prediction?").click()
    texts = model.info.metrics["test"]["per_label"][first.label]["support"]
    assert f"Measured on {texts} test texts" in page.locator("#result .quality").inner_text()
    for group in page.locator("#all-labels .group").all():
        values = [int(value.rstrip("%")) for value in group.locator(".value").all_inner_texts()]
        assert values == sorted(values, reverse=True)
    page.get_by_label("effect on one label").check()
    expect(page.locator("#words .note")).to_contain_text(f"the word supports {first.label}")
    page.get_by_label("Label", exact=True).click()
    page.get_by_role("option", name=second.label).click()
    expect(page.locator("#words .note")).to_contain_text(f"the word supports {second.label}")
    expected = model.leave_one_out(SENTENCE, second.label)[-1].weight
    change = f"{'falls' if expected >= 0 else 'rises'} by {abs(expected):.3f}"
    assert change in str(page.locator("#words mark").last.get_attribute("title"))


def test_analysis_while_typing(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyze")
    page.locator("#text textarea").fill("I hate")
    page.wait_for_timeout(1200)
    assert "confusion" in page.locator("#result .sentence").inner_text()  # the prediction for the sample
    page.get_by_label("Analyze while typing").check()
    page.locator("#text textarea").press_sequentially(" this")
    expect(page.locator("#words")).to_contain_text("I hate this")
    expect(page.locator("#result .sentence")).not_to_contain_text("confusion")


def test_link_restores_text_and_model(demo: str, page: Page) -> None:
    ask(page, demo, "Thank you & <b>good night</b> #1 ü")
    choose_model(page, "average")
    model_name = page.locator("#model input").input_value()
    page.get_by_text("Use this prediction in a program").click()
    page.locator("#share").click()
    box = page.get_by_label("Link to this text and model")
    expect(box).to_have_value(re.compile("#text="))
    link = box.input_value()
    assert "#" not in page.url  # the text is in the box, not in the address bar
    expect(page.locator("#as-json")).to_contain_text('"labels"')
    expect(page.locator("#as-python")).to_contain_text("EmotionClassifier.from_pretrained('./average")
    assert link.startswith(demo)
    new_page = page.context.new_page()
    urls: list[str] = []
    new_page.on("request", lambda request: urls.append(request.url))
    new_page.goto(link)
    expect(new_page.locator("#words")).to_contain_text("cannot show how important each word is")
    assert new_page.locator("#text textarea").input_value() == "Thank you & <b>good night</b> #1 ü"
    expect(new_page.locator("#model input")).to_have_value(model_name)
    assert new_page.url.split("?")[0].rstrip("/") == demo  # the text is not in the history either
    assert not [url for url in urls if "good" in url.split("#")[0]]
    invalid = page.context.new_page()
    invalid.goto(f"{demo}/#text=Hello+there&model=./gone")
    invalid.wait_for_selector("text=choose one from the list")
    expect(invalid.locator("#text textarea")).to_have_value("Hello there")  # the text is kept after an error


def test_empty_text_examples_and_a_very_long_text(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyze")
    page.locator("#text textarea").fill("")
    page.locator("#analyze").click()
    page.wait_for_selector("text=Enter a text or choose an example.")
    page.get_by_text("I miss my grandmother").click()
    expect(page.locator("#text textarea")).to_have_value("I miss my grandmother every single day.")
    page.wait_for_selector("#result .predicted")
    expect(page.locator("#spoken")).to_contain_text("sadness")
    page.locator("#text textarea").fill("word " * 5000)
    page.locator("#analyze").click()
    page.wait_for_selector("text=Only the first 19,999 characters were read. The last 5,001 were not")
    page.locator("#text textarea").fill("")
    page.locator("#analyze").click()
    page.wait_for_selector("text=Enter a text or choose an example.")
    for section in ("#why", "#all-labels", "#use", "#feedback"):
        expect(page.locator(section)).not_to_be_visible()  # hidden without a prediction
    page.locator("#text textarea").fill("word " * 50)
    page.locator("#analyze").click()
    page.locator("#text textarea").fill("— (.)")
    page.locator("#analyze").click()
    page.wait_for_selector("text=The model found no words")


def test_feedback_requires_consent_each_time(
    demo: str, page: Page, tmp_path_factory: pytest.TempPathFactory, model: EmotionClassifier
) -> None:
    (file,) = (tmp_path_factory.getbasetemp() / "feedback").glob("*.jsonl")
    before = file.read_text().splitlines()
    ask(page, demo, "Thank you for this lovely day")
    page.get_by_text("Is this correct?").click()
    page.get_by_role("button", name="Yes, it is correct").click()
    page.wait_for_selector("text=Nothing was saved. Please check the box to agree first.")
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Send these labels").click()
    page.wait_for_selector("text=Nothing was saved. Please choose at least one label.")
    assert file.read_text().splitlines() == before
    page.locator("#text textarea").fill("I hate it")
    page.get_by_role("button", name="Yes, it is correct").click()
    page.wait_for_selector("text=Nothing was saved. Please analyze a text first.")
    page.locator("#text textarea").fill("Thank you for this lovely day")
    assert file.read_text().splitlines() == before
    page.get_by_role("button", name="Yes, it is correct").click()
    page.wait_for_selector("text=Thank you! Your feedback was saved.")
    expect(page.get_by_label("I agree")).not_to_be_checked()
    page.get_by_role("button", name="No, it is incorrect").click()
    page.wait_for_selector("text=Nothing was saved. Please check the box to agree first.")
    (row,) = (json.loads(line) for line in file.read_text().splitlines()[len(before) :])
    assert row["text"] == "Thank you for this lovely day"
    assert [LABELS[number] for number in row["labels"]] == sorted(model.predict(row["text"]).labels, key=LABELS.index)
    assert row["feedback"]["verdict"] == "agree"


def test_page_opens_with_a_prediction(demo: str, browser: Browser, model: EmotionClassifier) -> None:
    """The page contains the prediction for the sample text; no request is needed."""
    requests: list[Request] = []
    for language, words in (("en-US", "Most likely"), ("es-ES", "Lo más probable"), ("zh-CN", "最可能")):
        context = browser.new_context(locale=language)
        page = context.new_page()
        requests.clear()
        page.on("request", lambda request: requests.append(request))
        page.goto(demo)
        expect(page.locator("#result .sentence")).to_contain_text(words)
        for score in model.predict(SENTENCE).scores:
            expect(page.locator("#result .sentence")).to_contain_text(f"{score.probability:.0%}")
        expect(page.locator("#words mark")).to_have_count(len(model.explain(SENTENCE)))
        assert [item.url for item in requests if item.method == "POST" and "queue/join" in item.url] == []
        open_tab(page, 1)
        expect(page.locator("#compare-table table").first).to_be_visible()
        context.close()


def test_switch_selects_the_other_model(demo: str, page: Page) -> None:
    accurate = EmotionClassifier.from_pretrained("accurate")
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    choose_model(page, "accurate")
    first = accurate.predict(SENTENCE).scores[0]
    expect(page.locator("#result .sentence")).to_contain_text(f"{first.label} {first.probability:.0%}")
    expect(page.locator("#words .note")).to_contain_text("the prediction changes without the word", timeout=30_000)
    open_tab(page, 3)
    page.locator("#long-chat").click()
    page.wait_for_selector("#long-table table")
    text = "I finally got the job! I can't believe it."
    expect(page.locator("#long-table tbody tr").first).to_contain_text(f"{accurate.predict_proba([text]).max():.2f}")


def test_long_text_is_explained_by_passages(demo: str, page: Page, model: EmotionClassifier) -> None:
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    page.locator("#text textarea").fill(LETTER)
    page.locator("#analyze").click()
    expect(page.locator("#words .note")).to_contain_text("Split into 27 sentences")
    spans = sentence_spans(LETTER)
    gratitude = model.predict_proba([LETTER[slice(*span)] for span in spans])[:, LABELS.index("gratitude")]
    strongest = LETTER[slice(*spans[int(gratitude.argmax())])]
    mark = page.locator("#words mark.passage", has_text=strongest)
    expect(mark).to_have_count(1)
    assert "gratitude" in mark.locator("+ .chip").inner_text()
    expect(page.locator("#method")).not_to_be_visible()
    page.locator("#words .jumps a", has_text="gratitude").click()
    expect(mark).to_be_in_viewport()


def test_text_about_self_harm_shows_a_helpline(demo: str, browser: Browser) -> None:
    context = browser.new_context(locale="es-ES")
    page = context.new_page()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    page.locator("#text textarea").fill("Thank you all, you were lovely, but I want to kill myself")
    page.locator("#analyze").click()
    expect(page.locator("#result .support")).to_contain_text("no tienes que afrontarlo a solas")
    assert page.locator("#result .support a").get_attribute("href") == "https://findahelpline.com"
    assert page.locator("#result .chip").count() == 0
    assert page.locator("#result .quiet").count() > 0
    assert not re.search("[\U0001f300-\U0001faff]", page.locator("#result").inner_text())
    assert all(url.startswith((demo, "data:", "blob:")) for url in urls)
    context.close()
