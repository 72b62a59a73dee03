"""The Gradio demo: `python space/app.py --help`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# Nothing goes to the outside by itself; each library reads its variable when it is imported.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
ROOT = Path(__file__).resolve().parent
if not (ROOT / "space").is_dir():  # a checkout; on a Space the packages lie beside this file
    ROOT = ROOT.parent
sys.path.insert(0, str(ROOT))

from evenmood.cli.command import prepare_streams
from evenmood.model import hub
from evenmood.system import proxies

# Before Gradio is imported, which makes an HTTP client at once, and later asks its own server on loopback.
prepare_streams()
proxies.exempt_loopback()
proxies.set_aside()

import gradio as gr
from fastapi.middleware import Middleware

import space
from evenmood.errors import EvenmoodError, HubError
from evenmood.system.signals import cleaned_up
from space.components.events import AT_LOAD
from space.components.texts import I18N, shown
from space.endpoints import api
from space.server import feedback
from space.server.folder import working_folder
from space.server.models import Models
from space.server.page import Page
from space.server.storage import KEPT_SECONDS, Storage, WatchUploads
from space.table.sources import LARGEST_FILE
from space.tabs import about, analyse, batch, choice, compare, long_text

PIECES = Path(space.__file__).parent
AT_ONCE = 4
"""Requests of a kind that are answered at the same time: more would only wait for the two cores together."""
WAITING = 200
"""Requests in the queue; whoever comes after them is told to try again."""
SESSIONS = 200
"""Visitors whose page the server remembers: choices of lists that it sent them; the others begin anew."""
FOOTER = (
    "<style>footer .show-api {display: flex !important} "
    "footer .divider, footer .show-api-divider {display: none}</style>"
)
"""Keeps the link to the API on phones; Gradio's `css_paths` do not reach the footer."""
LARGEST_BODY = LARGEST_FILE + 2_000_000
"""Bytes of a request: an upload and what frames it."""


def build_demo(models: Models, store: feedback.Store | None, folder: Path) -> Page:
    """The page, not launched, and its API; `folder` holds what visitors upload and what comes of it."""
    storage = Storage(folder / "gradio")
    os.environ["GRADIO_TEMP_DIR"] = str(storage.folder)  # results lie there too: Gradio copies what lies elsewhere
    demo = Page(storage, title="evenmood", analytics_enabled=False, delete_cache=(600, KEPT_SECONDS))
    with demo:
        with gr.Row(elem_id="head"):
            gr.Markdown(f"# evenmood\n\n{shown('claim')}", elem_id="claim")
            switch, model = choice.draw(models)
        with gr.Tabs():
            with gr.Tab(shown("tab_analyse"), id="analyse"):
                analyse.tab(models, store, demo, model, choice.connect(models, switch, model))
            with gr.Tab(shown("tab_compare"), id="compare"):
                lists = [model, *compare.tab(models)]
            with gr.Tab(shown("tab_batch"), id="batch"):
                batch.tab(models, storage, model)
            with gr.Tab(shown("tab_long"), id="long"):
                long_text.tab(models, model)
            with gr.Tab(shown("tab_about"), id="about"):
                about.tab(models)

        def list_models() -> list[gr.Dropdown]:
            return [gr.Dropdown(models.titles()) for _ in lists]

        demo.load(list_models, None, lists, **AT_LOAD)
        api.connect(models)
    return demo


def theme() -> gr.Theme:
    """Fonts of the visitor's own machine, and colours that reach contrast AA."""
    return gr.themes.Default(
        primary_hue="emerald",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="#ffffff",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )


def has_display() -> bool:
    """Whether a browser window can be opened; without one, a text browser would take over the terminal."""
    if "SPACE_ID" in os.environ:
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_store(folder: str) -> feedback.Store | None:
    """Where feedback goes; None takes none, and the page says so.

    Raises:
        OSError: The folder cannot be written to.
    """
    if not folder:
        return None
    repo = feedback.repository()
    if repo:
        try:
            with hub.explained(f"{repo!r} on the Hub", HubError):
                return feedback.Store(Path(folder), repo)
        except EvenmoodError as error:
            sys.stderr.write(f"feedback stays on this disk: {error}\n")
    return feedback.Store(Path(folder))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Serve the evenmood demo.")
    model = os.environ.get("EVENMOOD_MODEL")
    parser.add_argument("--model", default=model, help="folder or Hub id (EVENMOOD_MODEL); the bundled one if left out")
    parser.add_argument(
        "--folder", action="append", default=[], type=Path, metavar="FOLDER", help="a model to compare with; repeatable"
    )
    parser.add_argument(
        "--trained",
        type=Path,
        default=ROOT / "models",
        metavar="FOLDER",
        help="what has been trained in this folder can be compared with; default: models, beside the checkout's README",
    )
    parser.add_argument(
        "--feedback",
        default=os.environ.get("EVENMOOD_FEEDBACK", str(ROOT / "feedback")),
        metavar="FOLDER",
        help="where visitors' feedback is kept (EVENMOOD_FEEDBACK); an empty name takes none",
    )
    parser.add_argument("--host", default=None, help="address to listen on; 127.0.0.1, or Gradio's own on a Space")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 on if left out")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    return parser.parse_args(arguments)


def main() -> None:
    """Load the model and serve the page."""
    options = parse(sys.argv[1:])
    with cleaned_up(), working_folder() as folder:
        try:
            models = Models(options.model or None, options.folder, options.trained, folder / "models")
            store = open_store(options.feedback)
        except EvenmoodError as error:
            sys.exit(f"error: {' '.join(str(error).split())}")
        except OSError as error:
            place = options.feedback
            sys.exit(f"error: {place}: {error.strerror}; name another folder with --feedback, or '' for none")
        serve(build_demo(models, store, folder), options)


def serve(demo: Page, options: argparse.Namespace) -> None:
    """Launch the page and wait."""
    try:
        settings: dict[str, Any] = {
            "server_name": options.host,
            "server_port": options.port,
            "inbrowser": not options.no_browser and has_display(),
            "max_file_size": LARGEST_FILE,
            "app_kwargs": {
                "max_body_size": LARGEST_BODY,
                "middleware": [Middleware(WatchUploads, storage=demo.storage)],
            },
            "mcp_server": True,
            "footer_links": ["api"],
            "run_history": False,
            "state_session_capacity": SESSIONS,
            "i18n": I18N,
            "theme": theme(),
            "head": FOOTER,
            "css_paths": PIECES / "page.css",
            "js": (PIECES / "page.js").read_text(encoding="utf-8"),
        }
        demo.storage.clean_regularly()
        demo.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING).launch(**settings)
    except OSError:
        ports = f"port {options.port}" if options.port is not None else "any port from 7860 on"
        sys.exit(f"error: cannot listen on {ports} of {options.host or '127.0.0.1'}; choose another with --port")


if __name__ == "__main__":
    main()
