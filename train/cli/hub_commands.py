"""Commands that go to the Hub: push, and training on a rented machine."""

from pathlib import Path
from typing import Annotated

import typer

from train.cli.commands import app, config_flags, say
from train.config import TrainConfig


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    repo: Annotated[str, typer.Argument(help="Hub repository, namespace/name; created if there is none.")],
    private: Annotated[bool | None, typer.Option(help="Whether a new repository is private.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch; created if there is none.")] = None,
    message: Annotated[str, typer.Option(help="First line of the commit.")] = "Upload evenmood model",
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
) -> None:
    """Upload a model folder to the Hub in one commit; the token is HF_TOKEN's or the one of `hf auth login`."""
    from evenmood import EmotionClassifier, ModelError
    from train.release.card import check_card

    if not folder.is_dir():
        raise ModelError(f"no folder {folder}")
    classifier = EmotionClassifier.from_pretrained(folder)
    check_card(folder)
    made = classifier.push_to_hub(repo, private=private, revision=revision, commit_message=message, create_pr=create_pr)
    if not made.changed:
        say(f"nothing has changed since commit {made.commit[:8]}: no new one was made")
    print(made.url)


Repo = Annotated[str, typer.Argument(help="Model repository on the Hub to push to, namespace/name.")]
Private = Annotated[bool | None, typer.Option(help="Whether a new repository is private.")]
Test = Annotated[bool, typer.Option("--test", help="Read the test split too, for the report.")]


@app.command()
@config_flags
def remote(
    repo: Repo,
    config: TrainConfig,
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("evenmood-model"),
    test: Test = False,
    private: Private = None,
    save_minutes: Annotated[float, typer.Option(help="Shortest time between two uploads of the unfinished run.")] = 5.0,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start large downloads without asking.")] = False,
) -> None:
    """Fit and push, with the unfinished run kept on the Hub: killed and run again anywhere, it goes on."""
    from train.network.backend import choose_backend

    choose_backend()
    from train.jobs import remote as machine

    made = machine.train(
        config,
        repo,
        out,
        say,
        test=test,
        private=private,
        save_minutes=save_minutes,
        restart=restart,
        overwrite=overwrite,
        yes=yes,
    )
    print(made.url)


@app.command()
@config_flags
def job(
    repo: Repo,
    config: TrainConfig,
    flavor: Annotated[str, typer.Option(help="Hardware, as `hf jobs hardware` lists it.")] = "t4-small",
    timeout: Annotated[str, typer.Option(help="After which the job is stopped.")] = "3h",
    test: Test = False,
    private: Private = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
) -> None:
    """Rent a GPU on the Hub that fits and pushes; run again after it died, it goes on."""
    from train.jobs import remote as machine

    options = [
        "--yes",  # the machine's download, and nobody is there to ask
        *(["--test"] if test else []),
        *([] if private is None else ["--private" if private else "--no-private"]),
    ]
    print(machine.start(config, repo, say, flavor, timeout, options, restart))
