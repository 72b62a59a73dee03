"""Create or update the Space: `python -m space.deploy OWNER/SPACE --help`."""

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from evenmood.cli.command import run
from evenmood.errors import HubError, ModelError
from evenmood.model import hub
from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import PREDICTING_FILES, whole_folder

ROOT = Path(__file__).parent.parent
FILES = ("app.py", "requirements.txt", "README.md")
PIECES = ("**/*.py", "page.*", "locales/*.json", "samples/*")
"""Of `space/`, what the app imports and reads."""
PICTURES = ("docs/demo.png",)
"""Pictures of the Space's card."""
VARIABLE = "EVENMOOD_MODEL"
PLACE = "OWNER/SPACE"
"""Stands in the Space's page for its own id."""
app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def build(out: Path, repo_id: str, model: str | None = None) -> None:
    """Write the Space's folder: the app, `space/`, and `evenmood/` with both bundled models, versions pinned.

    A Space sees requirements.txt alone while it installs, so the packages lie beside the app and not in a wheel.

    Args:
        out: Folder to fill.
        repo_id: The Space's id, for its page.
        model: Hub id of the model to serve; the bundled one if left out.
    """
    from huggingface_hub import RepoCard

    for name in FILES:
        shutil.copyfile(ROOT / "space" / name, out / name)
    for path in sorted(path for pattern in PIECES for path in (ROOT / "space").glob(pattern)):
        if path.name not in ("app.py", "deploy.py"):
            _copy(path, out)
    for name in PICTURES:
        _copy(ROOT / name, out)
    package = ROOT / "evenmood"
    models = [package / folder / name for folder in BUNDLED.values() for name in PREDICTING_FILES]
    for path in [*package.rglob("*.py"), *package.rglob("*.css"), package / "py.typed", *models]:
        _copy(path, out)
    (out / "requirements.txt").write_text(pinned((out / "requirements.txt").read_text(encoding="utf-8")), "utf-8")
    card = RepoCard.load(out / "README.md", ignore_metadata_errors=False)
    if model:
        card.data["models"] = [model]
        card.data["preload_from_hub"] = [f"{model} {','.join(PREDICTING_FILES)}"]
    card.text = card.text.replace(PLACE, repo_id)
    card.save(out / "README.md")


def _copy(path: Path, out: Path) -> None:
    target = out / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def pinned(requirements: str) -> str:
    """The same packages at the versions that were tried together."""
    tried = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split() if "==" in line)
    names = [re.split(r"[^\w-]", line)[0] for line in requirements.split()]
    return "".join(f"{name}=={tried[name]}\n" for name in names)


def check_model(model: str) -> bool:
    """Make sure that a repository holds an evenmood model; return whether it is private."""
    from huggingface_hub import HfApi

    with hub.explained(f"{model!r} on the Hub", ModelError):
        about: Any = hub.retrying(lambda: HfApi().model_info(model))
    absent = [name for name in PREDICTING_FILES if name not in {entry.rfilename for entry in about.siblings or []}]
    if absent:
        raise ModelError(f"{model!r} on the Hub: not an evenmood model, {' and '.join(absent)} missing")
    return bool(about.private)


def set_model(space: str, model: str | None) -> None:
    """Let the Space serve this model; where it does already, nothing is sent, for a change restarts it."""
    from huggingface_hub import HfApi

    api = HfApi()
    held = api.get_space_variables(space).get(VARIABLE)
    if model and (held is None or held.value != model):
        api.add_space_variable(space, VARIABLE, model)
    elif held is not None and not model:
        api.delete_space_variable(space, VARIABLE)


@app.command()
def deploy(
    repo: Annotated[str, typer.Argument(help="Space, namespace/name; created if there is none.")],
    model: Annotated[str | None, typer.Option(help="Hub id of the model; the bundled one if left out.")] = None,
    private: Annotated[bool | None, typer.Option(help="Whether a new Space is private.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the Space's folder here, and upload nothing.")] = None,
) -> None:
    """Create or update the Space in one commit; the token is HF_TOKEN's or the one of `hf auth login`."""
    hub.check_id(repo)
    if out is not None:
        with whole_folder(out) as work:
            build(work, repo, model)
        print(f"{out}: nothing was uploaded; try it with: python {out}/app.py", file=sys.stderr)
        return
    hidden = bool(model) and check_model(str(model))

    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        build(work, repo, model)
        made = hub.upload(
            work,
            repo,
            message="Deploy evenmood",
            replace=["evenmood/*", "space/*"],
            repo_type="space",
            private=private,
        )
    with hub.explained(f"{repo!r} on the Hub", HubError):
        hub.retrying(lambda: set_model(made.repo_id, model))
    if not made.changed:
        print(f"nothing has changed since commit {made.commit[:8]}: no new one was made", file=sys.stderr)
    if hidden:
        print(f"{model} is private: give the Space a secret HF_TOKEN that may read it", file=sys.stderr)
    print(made.url)


def main() -> None:
    """Run the command line."""
    run(app, "python -m space.deploy")


if __name__ == "__main__":
    main()
