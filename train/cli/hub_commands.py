"""Commands for the Hub: push, and training in Hub jobs."""

from pathlib import Path
from typing import Annotated

import typer

from evenmood.cli.help import ADVANCED, INPUT, OUTPUT
from train.cli.commands import Overwrite, Restart, Yes, app, config_flags, log
from train.config import TrainConfig


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Model folder")],
    repo: Annotated[str, typer.Argument(help="Hub repository, namespace/name; created if missing")],
    private: Annotated[bool | None, typer.Option(help="Visibility of a new repository", rich_help_panel=OUTPUT)] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch; created if missing; default: main", rich_help_panel=OUTPUT)
    ] = None,
    message: Annotated[str, typer.Option(help="Commit message", rich_help_panel=OUTPUT)] = "Upload evenmood model",
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Upload a model folder to the Hub in one commit.

    Example: python -m train push models/mine OWNER/NAME

    Log in first: run hf auth login, or set HF_TOKEN.
    """
    from evenmood import EmotionClassifier, ModelError
    from train.release.card import check_card

    if not folder.is_dir():
        raise ModelError(f"folder not found: {folder}; expected a model folder")
    classifier = EmotionClassifier.from_pretrained(folder)
    check_card(folder)
    upload = classifier.push_to_hub(
        repo, private=private, revision=revision, commit_message=message, create_pr=create_pr
    )
    if not upload.changed:
        log(f"no changes since commit {upload.commit[:8]}; nothing uploaded")
    print(upload.url)


Repo = Annotated[str, typer.Argument(help="Hub model repository, namespace/name")]
Private = Annotated[bool | None, typer.Option(help="Visibility of a new repository", rich_help_panel=OUTPUT)]
Test = Annotated[bool, typer.Option("--test", help="Also evaluate on the test split", rich_help_panel=OUTPUT)]


@app.command()
@config_flags
def remote(
    repo: Repo,
    config: TrainConfig,
    out: Annotated[Path, typer.Option(help="Model folder", rich_help_panel=OUTPUT)] = Path("evenmood-model"),
    overwrite: Overwrite = False,
    test: Test = False,
    private: Private = None,
    save_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoint uploads", rich_help_panel=ADVANCED)
    ] = 5.0,
    restart: Restart = False,
    yes: Yes = False,
) -> None:
    """Train and push, with checkpoints on the Hub from which any machine can resume.

    Example: python -m train remote OWNER/NAME --vectors self
    """
    from train.network.backend import choose_backend

    choose_backend()
    from train.jobs import remote as remote_jobs

    upload = remote_jobs.train(
        config,
        repo,
        out,
        log,
        test=test,
        private=private,
        save_minutes=save_minutes,
        restart=restart,
        overwrite=overwrite,
        yes=yes,
    )
    print(upload.url)


@app.command()
@config_flags
def job(
    repo: Repo,
    config: TrainConfig,
    flavor: Annotated[
        str, typer.Option(help="Hardware, as listed by hf jobs hardware", rich_help_panel=INPUT)
    ] = "t4-small",
    timeout: Annotated[str, typer.Option(help="Maximum duration of the job", rich_help_panel=INPUT)] = "3h",
    test: Test = False,
    private: Private = None,
    restart: Restart = False,
) -> None:
    """Start a Hub job on a GPU that trains and pushes; start it again to resume.

    Example: python -m train job OWNER/NAME --vectors self --flavor t4-small
    """
    from train.jobs import remote as remote_jobs

    options = [
        "--yes",  # the job cannot ask for confirmation
        *(["--test"] if test else []),
        *([] if private is None else ["--private" if private else "--no-private"]),
    ]
    print(remote_jobs.start(config, repo, log, flavor, timeout, options, restart))
