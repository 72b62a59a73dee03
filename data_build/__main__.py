"""Build and publish the data set: `python -m data_build STAGE --help`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evenmood.command import run
from evenmood.splits import GOEMOTIONS

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
Build = Annotated[Path, typer.Argument(help="Build folder; every stage has a folder of its own in it.")]
Restart = Annotated[bool, typer.Option("--restart", help="Forget what an earlier run of this stage wrote.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


@app.command()
def goemotions(
    build: Build,
    data: Annotated[str, typer.Option(help="Hub id, folder of TSV files, or folder of Parquet files.")] = GOEMOTIONS,
    any_size: Annotated[bool, typer.Option("--any-size", help="Take a data set of other sizes.")] = False,
    restart: Restart = False,
) -> None:
    """Read GoEmotions' official split, check it, and keep it as it is."""
    from data_build import goemotions as stage

    stage.run(build, say, data, any_size=any_size, restart=restart)


@app.command()
def publish(
    build: Build,
    repo: Annotated[str, typer.Argument(help="Hub data set, namespace/name; created if there is none.")],
    include_tweets: Annotated[
        bool, typer.Option("--include-tweets", help="Ship the texts of tweets too; they stay in the Hub's history.")
    ] = False,
    drop_balanced: Annotated[
        bool, typer.Option("--drop-balanced", help="Let go of a published configuration that the build lacks.")
    ] = False,
    private: Annotated[bool | None, typer.Option(help="Whether a new repository is private.")] = None,
    revision: Revision = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write what would be uploaded here, and upload nothing.")] = None,
) -> None:
    """Upload the data set to the Hub in one commit; the token is HF_TOKEN's or the one of `hf auth login`."""
    from data_build import publish as stage
    from evenmood.model_folder import whole_folder

    if out is not None:
        with whole_folder(out) as work:
            stage.prepare(build, work, repo, say, include_tweets=include_tweets)
        say(f"{out}: nothing was uploaded")
        return
    made = stage.publish(
        build,
        repo,
        say,
        include_tweets=include_tweets,
        drop_balanced=drop_balanced,
        private=private,
        revision=revision,
        create_pr=create_pr,
    )
    if not made.changed:
        say(f"nothing has changed since commit {made.commit[:8]}: no new one was made")
    print(made.url)


@app.command()
def hydrate(
    source: Annotated[str, typer.Argument(help="Published data set: Hub id, or a folder of the same layout.")],
    tweets: Annotated[Path, typer.Option(help="Your copy of Sentiment140, as CSV.")],
    out: Annotated[Path, typer.Option(help="Folder to write; python -m train fit --data reads it.")],
    config: Annotated[str, typer.Option(help="Configuration of the data set.")] = "balanced",
    revision: Revision = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Join withheld texts of tweets from your own copy of Sentiment140."""
    from data_build.hydrate import hydrate as join

    join(source, tweets, out, say, configuration=config, revision=revision, overwrite=overwrite)


def main() -> None:
    """Run the command line."""
    run(app, "python -m data_build")


if __name__ == "__main__":
    main()
