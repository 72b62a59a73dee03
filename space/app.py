"""Gradio demo: `python space/app.py --help`."""

import argparse
import os
import sys
from pathlib import Path

# No telemetry; the libraries read these variables when they are imported.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
ROOT = Path(__file__).resolve().parent
if not (ROOT / "space").is_dir():  # in a checkout; on a Space, the packages are next to this file
    ROOT = ROOT.parent
sys.path.insert(0, str(ROOT))

from evenmood.cli.command import prepare_streams
from evenmood.errors import EvenmoodError, HubError
from evenmood.model import hub
from evenmood.system import proxies
from evenmood.system.signals import exit_on_termination
from space.server import feedback
from space.server.folder import working_folder
from space.server.models import Models


def open_store(folder: str) -> feedback.Store | None:
    """Open the feedback store; None if `folder` is empty, which turns feedback off.

    Raises:
        OSError: The folder is not writable.
    """
    if not folder:
        return None
    repo = feedback.feedback_repository()
    if repo:
        try:
            with hub.convert_errors(f"{repo!r} on the Hub", HubError):
                return feedback.Store(Path(folder), repo)
        except EvenmoodError as error:
            sys.stderr.write(f"feedback is stored only on this disk: {error}\n")
    return feedback.Store(Path(folder))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Serve the evenmood demo. Example: python space/app.py --model models/mine --port 8000"
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        default=os.environ.get("EVENMOOD_MODEL"),
        metavar="MODEL",
        help="default model, a folder or Hub id; default: EVENMOOD_MODEL or the bundled model",
    )
    model.add_argument(
        "--folder", action="append", default=[], type=Path, metavar="FOLDER", help="model to offer as well; repeatable"
    )
    model.add_argument(
        "--trained",
        type=Path,
        default=ROOT / "models",
        metavar="FOLDER",
        help="offer all models in this folder; default: models/ in the checkout",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--feedback",
        default=os.environ.get("EVENMOOD_FEEDBACK", str(ROOT / "feedback")),
        metavar="FOLDER",
        help="folder for visitors' feedback, '' for none; default: EVENMOOD_FEEDBACK or feedback/",
    )
    server = parser.add_argument_group("server")
    server.add_argument("--host", default=None, help="address to listen on; default: 127.0.0.1, or Gradio's on a Space")
    server.add_argument(
        "--port", type=int, default=None, help="port to listen on; default: the first free one from 7860"
    )
    server.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    return parser.parse_args(arguments)


def main() -> None:
    """Load the model and serve the page."""
    prepare_streams()
    # Must precede the import of Gradio, which creates an HTTP client and later connects to its own server on loopback.
    proxies.exempt_loopback()
    proxies.disable_invalid()
    options = parse(sys.argv[1:])
    with exit_on_termination(), working_folder() as folder:
        try:
            models = Models(options.model or None, options.folder, options.trained, folder / "models")
            store = open_store(options.feedback)
        except EvenmoodError as error:
            sys.exit(f"error: {' '.join(str(error).split())}")
        except OSError as error:
            sys.exit(
                f"error: cannot write to {options.feedback} ({error.strerror}); "
                "choose another folder with --feedback, or '' for none"
            )
        from space.demo import build_demo, serve  # imports Gradio, which takes seconds: only if the options are valid

        serve(build_demo(models, store, folder), options)


if __name__ == "__main__":
    main()
