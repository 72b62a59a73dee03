"""The page of the demo and its server."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi.middleware import Middleware

from space.components.events import LOAD_EVENT
from space.components.texts import I18N, localize
from space.endpoints import api
from space.server.feedback import Store
from space.server.models import Models
from space.server.page import Page
from space.server.storage import RETENTION_SECONDS, Storage, UploadMiddleware
from space.table.sources import MAX_FILE_BYTES
from space.tabs import about, analyze, batch, choice, compare, long_text

PACKAGE = Path(__file__).parent
CONCURRENCY_LIMIT = 4
"""Number of concurrent requests per event, for two cores."""
MAX_QUEUE = 200
"""Maximum number of requests in the queue; others get an error and can be retried."""
MAX_SESSIONS = 200
"""Maximum number of sessions with stored state, such as dropdown choices; older ones are reset."""
FOOTER = (
    "<style>footer .show-api {display: flex !important} "
    "footer .divider, footer .show-api-divider {display: none}</style>"
)
"""Shows the API link on phones too; Gradio's `css_paths` do not apply to the footer."""
MAX_BODY_BYTES = MAX_FILE_BYTES + 2_000_000
"""Maximum size of a request: an upload and its multipart encoding."""


def build_demo(models: Models, store: Store | None, folder: Path) -> Page:
    """Create the page and its API; `folder` stores uploads and results."""
    storage = Storage(folder / "gradio")
    os.environ["GRADIO_TEMP_DIR"] = str(storage.folder)  # avoids copies: Gradio copies files from other folders
    demo = Page(storage, title="evenmood", analytics_enabled=False, delete_cache=(600, RETENTION_SECONDS))
    with demo:
        with gr.Row(elem_id="head"):
            gr.Markdown(f"# evenmood\n\n{localize('claim')}", elem_id="claim")
            switch, model = choice.create(models)
        with gr.Tabs():
            with gr.Tab(localize("tab_analyze"), id="analyze"):
                analyze.tab(models, store, demo, model, choice.connect(models, switch, model))
            with gr.Tab(localize("tab_compare"), id="compare"):
                lists = [model, *compare.tab(models)]
            with gr.Tab(localize("tab_batch"), id="batch"):
                batch.tab(models, storage, model)
            with gr.Tab(localize("tab_long"), id="long"):
                long_text.tab(models, model)
            with gr.Tab(localize("tab_about"), id="about"):
                about.tab(models)

        def list_models() -> list[gr.Dropdown]:
            return [gr.Dropdown(models.titles()) for _ in lists]

        demo.load(list_models, None, lists, **LOAD_EVENT)
        api.add_endpoints(models)
    return demo


def theme() -> gr.Theme:
    """Create a theme with system fonts, and colors with WCAG AA contrast."""
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
    """Return whether a graphical browser can be opened; otherwise a text browser might take over the terminal."""
    if "SPACE_ID" in os.environ:
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(demo: Page, options: argparse.Namespace) -> None:
    """Launch the page and serve it until interrupted."""
    try:
        settings: dict[str, Any] = {
            "server_name": options.host,
            "server_port": options.port,
            "inbrowser": not options.no_browser and has_display(),
            "max_file_size": MAX_FILE_BYTES,
            "app_kwargs": {
                "max_body_size": MAX_BODY_BYTES,
                "middleware": [Middleware(UploadMiddleware, storage=demo.storage)],
            },
            "mcp_server": True,
            "_frontend": False,  # skips a check that ends the server if the page takes 3 s: the machine may be busy
            "footer_links": ["api"],
            "run_history": False,
            "state_session_capacity": MAX_SESSIONS,
            "i18n": I18N,
            "theme": theme(),
            "head": FOOTER,
            "css_paths": PACKAGE / "page.css",
            "js": (PACKAGE / "page.js").read_text(encoding="utf-8"),
        }
        demo.storage.start_cleanup_thread()
        demo.queue(default_concurrency_limit=CONCURRENCY_LIMIT, max_size=MAX_QUEUE).launch(**settings)
    except OSError:
        ports = f"port {options.port}" if options.port is not None else "any port from 7860"
        sys.exit(f"error: cannot listen on {ports} of {options.host or '127.0.0.1'}; choose another port with --port")
