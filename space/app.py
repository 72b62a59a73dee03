"""The Gradio demo: `python space/app.py --help`."""

import argparse
import os
import sys
from html import escape
from pathlib import Path
from typing import Any

# Nothing goes to the outside by itself; each library reads its variable when it is imported.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout; on a Space evenmood lies beside

import gradio as gr

from evenmood import GROUP_OF, EmotionClassifier, EvenmoodError, Prediction, WordWeight, clean

LONGEST_TEXT = 20_000
"""Characters; the model reads its first words alone, so more would only cost the visitor's time."""
EXAMPLES = [
    "Thank you so much, you really made my day!",
    "I can't believe they cancelled it again. So annoying.",
    "I'm nervous about tomorrow, but I hope it goes well.",
    "Thanks for explaining, but I'm still confused.",
    "I miss my grandmother every single day.",
    "lol that is the funniest thing I've seen all week",
]
PATTERNS = {"positive": "+", "negative": "−", "ambiguous": "?", "neutral": "="}
"""A sign beside each group's colour, for those who do not see the colour."""
CSS = """
.bars {display: grid; gap: .5rem; padding: 0; margin: 0}
.bar {display: grid; grid-template-columns: 9.5rem 1fr 3rem; gap: .6rem; align-items: center}
.bar .name {overflow-wrap: anywhere}
.bar .name small {display: block; opacity: .8}
.bar .track {position: relative; height: 1.1rem; border-radius: .3rem; background: var(--neutral-200)}
.dark .bar .track {background: var(--neutral-700)}
.bar .fill {height: 100%; border-radius: .3rem}
.bar .tick {position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; background: var(--body-text-color)}
.bar .value {text-align: right; font-variant-numeric: tabular-nums}
.given .name, .given .value {font-weight: 700}
.positive {background: #2a9d4e} .negative {background: #d1495b}
.ambiguous {background: #b8860b} .neutral {background: #6b7f99}
.others .fill {opacity: .55}
details.others {margin-top: 1rem} details.others summary {cursor: pointer; margin-bottom: .6rem}
.words {line-height: 2.1; overflow-wrap: anywhere; white-space: pre-wrap}
.words mark {color: inherit; border-radius: .25rem; padding: .15rem .1rem}
.note {opacity: .85; font-size: .92rem}
@media (max-width: 640px) {.bar {grid-template-columns: 7.5rem 1fr 2.6rem}}
"""


def bars(classifier: EmotionClassifier, probabilities: dict[str, float], prediction: Prediction) -> str:
    """HTML of all labels as bars with their thresholds: those given, and the others folded away."""

    def bar(label: str, given: bool) -> str:
        group = GROUP_OF.get(label, "neutral")
        value, cut = probabilities[label], classifier.thresholds[label]
        spoken = escape(f"{label}, {group}: probability {value:.2f}, threshold {cut:.2f}")
        return (
            f'<div class="bar{" given" if given else ""}" role="img" aria-label="{spoken}" title="{spoken}">'
            f'<span class="name">{escape(label)}<small>{PATTERNS[group]} {group}</small></span>'
            f'<span class="track"><span class="fill {group}" style="display:block;width:{value:.1%}"></span>'
            f'<span class="tick" style="left:{cut:.1%}"></span></span><span class="value">{value:.2f}</span></div>'
        )

    others = sorted(
        (label for label in probabilities if label not in prediction.names), key=lambda x: -probabilities[x]
    )
    note = "No label reaches its threshold; the most probable one is shown." if prediction.fallback else ""
    return (
        (f'<p class="note">{note}</p>' if note else "")
        + f'<div class="bars">{"".join(bar(label, True) for label in prediction.names)}</div>'
        + '<p class="note">The upright line on each bar is the label\'s threshold.</p>'
        + f'<details class="others"><summary>The other {len(others)} labels</summary>'
        + f'<div class="bars">{"".join(bar(label, False) for label in others)}</div></details>'
    )


def highlighted(text: str, words: list[WordWeight]) -> str:
    """HTML of the text, each word shaded by its share of the attention."""
    if not words:
        return '<p class="note">No words to read here: only letters and digits count.</p>'
    strongest = max(word.weight for word in words)
    pieces, end = [], 0
    for word in words:
        shade = word.weight / strongest if strongest else 0
        share = f"{word.weight:.0%} of the attention" + ("" if word.known else "; not in the vocabulary")
        pieces.append(escape(text[end : word.start]))
        pieces.append(
            f'<mark style="background:rgba(255,166,0,{0.75 * shade:.2f})" title="{share}">{escape(word.text)}</mark>'
        )
        end = word.end
    rest = text[end:]
    if not clean(rest):  # punctuation after the last word
        return f'<div class="words">{"".join(pieces)}{escape(rest[:500])}</div>'
    note = f"The model read the first {len(words)} words; the paler rest was not read."
    unread = f'<span class="note">{escape(rest[:500])}{"…" if len(rest) > 500 else ""}</span>'
    return f'<div class="words">{"".join(pieces)}{unread}</div><p class="note">{note}</p>'


def build_demo(classifier: EmotionClassifier, name: str) -> gr.Blocks:
    """The page, not launched; its API has one endpoint, `/analyse`."""

    def scores(text: str) -> tuple[dict[str, float], Prediction]:
        if not isinstance(text, str):
            raise gr.Error(f"The text must be a string, not {type(text).__name__}.", print_exception=False)
        if len(text) > LONGEST_TEXT:
            message = f"The text has {len(text):,} characters; at most {LONGEST_TEXT:,} are taken. Shorten it."
            raise gr.Error(message, print_exception=False)
        probabilities = classifier.predict_proba([text])
        (prediction,) = classifier.decide(probabilities)
        return dict(zip(classifier.labels, map(float, probabilities[0]), strict=True)), prediction

    def analyse(text: str) -> dict[str, Any]:
        """Emotions of a text: labels above their thresholds, the most probable first, and all probabilities."""
        probabilities, prediction = scores(text)
        return {
            "labels": [
                {"label": score.label, "probability": score.probability, "threshold": score.threshold}
                for score in prediction.labels
            ],
            "fallback": prediction.fallback,
            "probabilities": probabilities,
        }

    def show(text: str) -> tuple[str, str]:
        if not text.strip():
            return '<p class="note">Write something, or choose an example.</p>', ""
        probabilities, prediction = scores(text)
        words = (
            highlighted(text, classifier.explain(text))
            if classifier.has_attention
            else '<p class="note">This model has no attention: it averages over time.</p>'
        )
        return bars(classifier, probabilities, prediction), words

    with gr.Blocks(title="evenmood", analytics_enabled=False) as demo:
        gr.Markdown("# evenmood\nWhat does a text feel? Any of 28 emotions, each with its own threshold.")
        with gr.Row():
            with gr.Column():
                box = gr.Textbox(
                    label="Text (Shift+Enter to analyse)",
                    lines=4,
                    placeholder="Write or paste a sentence",
                    autofocus=True,
                )
                button = gr.Button("Analyse", variant="primary")
            with gr.Column():
                gr.Markdown("### Emotions")
                result = gr.HTML('<p class="note">The answer appears here.</p>', elem_id="result")
                gr.Markdown("### Words that the attention looked at")
                words = gr.HTML("", elem_id="words")
        gr.Examples(
            EXAMPLES, box, [result, words], show, cache_examples=False, run_on_click=True, api_visibility="private"
        )
        gr.Markdown(about(classifier, name), elem_id="about")
        for event in (button.click, box.submit):
            event(show, box, [result, words], api_visibility="private", show_progress="hidden")
        gr.api(analyse, api_name="analyse")
    return demo


def about(classifier: EmotionClassifier, name: str) -> str:
    """The lines under the page: which model, how good it is, and its limits."""
    try:
        value, low, high = (float(classifier.info.metrics["test"]["macro_f1"][key]) for key in ("value", "low", "high"))
        measured = f" Macro-F1 on its test split: {value:.3f} ({low:.3f} to {high:.3f})."
    except (KeyError, TypeError, ValueError):  # a model of one's own need not carry figures
        measured = ""
    return (
        f"Model: {name}.{measured}\n\n"
        f"**Limits.** English, trained on Reddit comments; reads the first {classifier.info.max_length} words, and no "
        "emoji or punctuation. Rare emotions such as grief or relief are often missed. It reports what readers would "
        "see in a text, not what its writer feels: do not use it to decide about people. Nothing you type is stored."
    )


def shown_name(model: str | None) -> str:
    """The model as visitors see it: of a folder its name alone, not where it lies."""
    if not model:
        return "the bundled default"
    return f"`{Path(model).resolve().name}`" if Path(model).is_dir() else f"`{model}`"


def has_display() -> bool:
    """Whether a browser window can be opened; without one, a text browser would take over the terminal."""
    if "SPACE_ID" in os.environ:
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> None:
    """Load the model and serve the page."""
    parser = argparse.ArgumentParser(description="Serve the evenmood demo.")
    model = os.environ.get("EVENMOOD_MODEL")
    parser.add_argument("--model", default=model, help="folder or Hub id (EVENMOOD_MODEL); the bundled one if left out")
    parser.add_argument("--host", default=None, help="address to listen on; 127.0.0.1, or Gradio's own on a Space")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 on if left out")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    options = parser.parse_args()
    try:
        classifier = EmotionClassifier.from_pretrained(options.model or None)
        demo = build_demo(classifier, shown_name(options.model))
        demo.queue(default_concurrency_limit=4).launch(
            server_name=options.host,
            server_port=options.port,
            inbrowser=not options.no_browser and has_display(),
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=CSS,
            run_history=False,
        )
    except EvenmoodError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError:
        ports = f"port {options.port}" if options.port is not None else "any port from 7860 on"
        sys.exit(f"error: cannot listen on {ports} of {options.host or '127.0.0.1'}; choose another with --port")


if __name__ == "__main__":
    main()
