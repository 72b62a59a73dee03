"""Commands that choose the rows and publish them: balance, report, figures, publish, hydrate."""

from pathlib import Path
from typing import Annotated

import typer

from data_build.cli.commands import Build, Limit, Restart, Revision, app, say


@app.command()
def balance(
    build: Build,
    target: Annotated[
        int | None, typer.Option(help="Rows per label; the largest that every label reaches if left out.")
    ] = None,
    ratio: Annotated[float, typer.Option(help="Most frequent label for each row of the rarest, at most.")] = 1.5,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    restart: Restart = False,
) -> None:
    """Choose rows so that the labels' counts are even."""
    from data_build.stages import balance as stage

    stage.run(build, say, target=target, ratio=ratio, limit=limit, seed=seed, restart=restart)


@app.command()
def report(
    build: Build,
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/dataset.json"),
    document: Annotated[Path, typer.Option(help="Document to write, its figures beside it.")] = Path("docs/dataset.md"),
    generated: Annotated[
        Path | None, typer.Option(help="Parquet file to write with the verified generated rows, for generate --rows.")
    ] = None,
) -> None:
    """Write the results file, the figures and the document of a build.

    Without the build folder, the document is written again from the results file alone.
    """
    from data_build.publishing import report as stage

    stage.run(build, say, results, document, generated)


@app.command()
def figures(
    build: Build,
    out: Annotated[Path, typer.Option(help="Folder to write the pictures into.")] = Path("docs/figures/dataset"),
) -> None:
    """Draw the figures of the balanced rows alone."""
    from data_build.publishing import report as stage

    stage.draw(build, out)
    say(f"{out}: labels.png, words.png and co-occurrence.png written")


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
    revision: Annotated[str | None, typer.Option(help="Branch; created if there is none.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write what would be uploaded here, and upload nothing.")] = None,
) -> None:
    """Upload the data set to the Hub in one commit; the token is HF_TOKEN's or the one of `hf auth login`."""
    from data_build.publishing import publish as stage
    from evenmood.model.model_folder import whole_folder

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
    from data_build.publishing.hydrate import hydrate as join

    join(source, tweets, out, say, configuration=config, revision=revision, overwrite=overwrite)
