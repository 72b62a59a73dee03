"""Create or update the Space: `python -m space.deploy OWNER/SPACE --help`."""

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from evenmood.cli.command import run
from evenmood.errors import HubError, ModelError, UsageError
from evenmood.model import hub
from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import PREDICTION_FILES, atomic_folder
from space.static_page import build_static

ROOT = Path(__file__).parent.parent
FILES = ("app.py", "requirements.txt", "README.md")
SOURCE_PATTERNS = ("**/*.py", "page.*", "locales/*.json", "samples/*")
"""Files in `space/` that the app imports or reads."""
NOT_UPLOADED = ("app.py", "deploy.py", "static_page.py")
"""Files in `space/` that are copied elsewhere, or are needed for deployment only."""
IMAGES = ("docs/demo.png",)
"""Images in the Space's card."""
VARIABLE = "EVENMOOD_MODEL"
ID_PLACEHOLDER = "OWNER/SPACE"
"""Placeholder of the Space's id in its card."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def build(out: Path, repo_id: str, model: str | None = None) -> None:
    """Write the Space's files: the app, `space/`, and `evenmood/` with both bundled models, with pinned requirements.

    While a Space installs its requirements, only requirements.txt is available; therefore the packages are files next
    to the app, not a wheel.

    Args:
        out: Folder to write to.
        repo_id: Id of the Space.
        model: Hub id of the model to serve; None for the default model.
    """
    from huggingface_hub import RepoCard

    for name in FILES:
        shutil.copyfile(ROOT / "space" / name, out / name)
    for path in sorted(path for pattern in SOURCE_PATTERNS for path in (ROOT / "space").glob(pattern)):
        if path.name not in NOT_UPLOADED:
            _copy(path, out)
    for name in IMAGES:
        _copy(ROOT / name, out)
    package = ROOT / "evenmood"
    models = [package / folder / name for folder in BUNDLED.values() for name in PREDICTION_FILES]
    for path in [*package.rglob("*.py"), *package.rglob("*.css"), package / "py.typed", *models]:
        _copy(path, out)
    (out / "requirements.txt").write_text(
        pin_requirements((out / "requirements.txt").read_text(encoding="utf-8")), "utf-8"
    )
    card = RepoCard.load(out / "README.md", ignore_metadata_errors=False)
    if model:
        card.data["models"] = [model]
        card.data["preload_from_hub"] = [f"{model} {','.join(PREDICTION_FILES)}"]
    card.text = card.text.replace(ID_PLACEHOLDER, repo_id)
    card.save(out / "README.md")


def _copy(path: Path, out: Path) -> None:
    target = out / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def pin_requirements(requirements: str) -> str:
    """Return the requirements pinned to the versions in constraints.txt."""
    versions = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split() if "==" in line)
    names = [re.split(r"[^\w-]", line)[0] for line in requirements.split()]
    return "".join(f"{name}=={versions[name]}\n" for name in names)


def check_model(model: str) -> bool:
    """Check that a repository contains an evenmood model; return whether it is private.

    Raises:
        ModelError: The repository cannot be read, or is not an evenmood model.
    """
    from huggingface_hub import HfApi

    with hub.convert_errors(f"{model!r} on the Hub", ModelError):
        info: Any = hub.retry(lambda: HfApi().model_info(model))
    missing = [name for name in PREDICTION_FILES if name not in {entry.rfilename for entry in info.siblings or []}]
    if missing:
        raise ModelError(
            f"{model!r} on the Hub: not an evenmood model, missing files: {', '.join(missing)}; "
            "upload one with: python -m train push"
        )
    return bool(info.private)


def set_model(space: str, model: str | None) -> None:
    """Set the model of the Space; unchanged variables are not sent, since any change restarts the Space."""
    from huggingface_hub import HfApi

    api = HfApi()
    current = api.get_space_variables(space).get(VARIABLE)
    if model and (current is None or current.value != model):
        api.add_space_variable(space, VARIABLE, model)
    elif current is not None and not model:
        api.delete_space_variable(space, VARIABLE)


@app.command()
def deploy(
    repo: Annotated[str, typer.Argument(help="Space, namespace/name; created if missing")],
    model: Annotated[str | None, typer.Option(help="Hub id of the model; default: the bundled model")] = None,
    private: Annotated[bool | None, typer.Option(help="Visibility of a new Space; default: the account's")] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Deploy the page that runs in the browser; requires make web")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the files to this folder and skip the upload")] = None,
) -> None:
    """Create or update the Space: the demo, or with --static the page that needs no server.

    Example: python -m space.deploy OWNER/SPACE

    Log in first: run hf auth login, or set HF_TOKEN.
    """
    hub.check_id(repo)
    if static and model:
        raise UsageError("--model is not available with --static: the page has the bundled model")
    if out is not None:
        with atomic_folder(out) as work_folder:
            build_static(work_folder) if static else build(work_folder, repo, model)
        command = f"python -m http.server --directory {out}" if static else f"python {out}/app.py"
        print(f"{out}: written; nothing was uploaded; try it with: {command}", file=sys.stderr)
        return
    is_private = bool(model) and check_model(str(model))

    with tempfile.TemporaryDirectory() as temporary:
        work_folder = Path(temporary)
        build_static(work_folder) if static else build(work_folder, repo, model)
        upload = hub.upload(
            work_folder,
            repo,
            message="Deploy evenmood",
            delete_patterns=["*.gz", "*.js"] if static else ["evenmood/*", "space/*"],
            repo_type="space",
            space_sdk="static" if static else "gradio",
            private=private,
        )
    if not static:
        with hub.convert_errors(f"{repo!r} on the Hub", HubError):
            hub.retry(lambda: set_model(upload.repo_id, model))
    if not upload.changed:
        print(f"no changes since commit {upload.commit[:8]}: no new commit", file=sys.stderr)
    if is_private:
        print(f"{model} is private: add a secret HF_TOKEN with read access to the Space", file=sys.stderr)
    print(upload.url)


def main() -> None:
    """Run the command line."""
    run(app, "python -m space.deploy")


if __name__ == "__main__":
    main()
