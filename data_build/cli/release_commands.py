"""Commands that select rows and publish them: balance, report, figures, publish, hydrate."""

from pathlib import Path
from typing import Annotated

import typer

from data_build.cli.commands import Build, Limit, Restart, Seed, app, log
from evenmood.cli.help import ADVANCED, INPUT, OUTPUT


@app.command()
def balance(
    build: Build,
    limit: Limit = None,
    target: Annotated[
        int | None,
        typer.Option(
            help="Rows per label; default: the largest number that every label reaches", rich_help_panel=OUTPUT
        ),
    ] = None,
    ratio: Annotated[
        float, typer.Option(help="Maximum ratio of the most frequent to the rarest label", rich_help_panel=OUTPUT)
    ] = 1.5,
    seed: Seed = 0,
    restart: Restart = False,
) -> None:
    """Select training rows with an even label distribution.

    Example: python -m data_build balance data/build --target 480
    """
    from data_build.stages import balance as stage

    stage.run(build, log, target=target, ratio=ratio, limit=limit, seed=seed, restart=restart)


@app.command()
def report(
    build: Build,
    results: Annotated[Path, typer.Option(help="Results file (JSON)", rich_help_panel=OUTPUT)] = Path(
        "results/dataset.json"
    ),
    document: Annotated[
        Path, typer.Option(help="Markdown document; its figures go to figures/dataset/", rich_help_panel=OUTPUT)
    ] = Path("docs/dataset.md"),
    generated: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file for the verified generated rows; input of generate --rows", rich_help_panel=OUTPUT
        ),
    ] = None,
) -> None:
    """Write the results file, figures and document of a build.

    Example: python -m data_build report data/build --results dataset.json --document dataset.md

    If the build folder does not exist, the document is generated from the results file.
    """
    from data_build.publishing import report as stage

    stage.run(build, log, results, document, generated)


@app.command()
def figures(
    build: Build,
    out: Annotated[Path, typer.Option(help="Folder for the PNG files", rich_help_panel=OUTPUT)] = Path(
        "docs/figures/dataset"
    ),
) -> None:
    """Draw the figures for the balanced rows.

    Example: python -m data_build figures data/build --out figures
    """
    from data_build.publishing import report as stage

    stage.draw(build, out)
    log(f"{out}: labels.png, words.png and co-occurrence.png written")


@app.command()
def publish(
    build: Build,
    repo: Annotated[str, typer.Argument(help="Hub data set, namespace/name; created if missing")],
    include_tweets: Annotated[
        bool,
        typer.Option(
            "--include-tweets", help="Publish the texts of tweets; the Hub history keeps them", rich_help_panel=INPUT
        ),
    ] = False,
    private: Annotated[
        bool | None,
        typer.Option(help="Visibility of a new repository; default: the account's", rich_help_panel=OUTPUT),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch; created if missing; default: main", rich_help_panel=OUTPUT)
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request", rich_help_panel=OUTPUT)] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the files to this folder and skip the upload", rich_help_panel=OUTPUT),
    ] = None,
    drop_balanced: Annotated[
        bool,
        typer.Option(
            "--drop-balanced",
            help="Delete the published configuration balanced if the build has none",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
) -> None:
    """Upload the data set to the Hub.

    Example: python -m data_build publish data/build OWNER/NAME

    Log in first: run hf auth login, or set HF_TOKEN.
    """
    from data_build.publishing import publish as stage
    from evenmood.model.model_folder import atomic_folder

    if out is not None:
        with atomic_folder(out) as folder:
            stage.prepare(build, folder, repo, log, include_tweets=include_tweets)
        log(f"{out}: written; nothing was uploaded")
        return
    upload = stage.publish(
        build,
        repo,
        log,
        include_tweets=include_tweets,
        drop_balanced=drop_balanced,
        private=private,
        revision=revision,
        create_pr=create_pr,
    )
    if not upload.changed:
        log(f"no changes since commit {upload.commit[:8]}: no new commit")
    print(upload.url)


@app.command()
def hydrate(
    source: Annotated[str, typer.Argument(help="Published data set: Hub id, or a folder of the same layout")],
    tweets: Annotated[Path, typer.Option(help="Your copy of Sentiment140 (CSV)", rich_help_panel=INPUT)],
    out: Annotated[Path, typer.Option(help="Output folder, for train fit --data", rich_help_panel=OUTPUT)],
    config: Annotated[str, typer.Option(help="Configuration of the data set", rich_help_panel=INPUT)] = "balanced",
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit on the Hub; default: main", rich_help_panel=INPUT)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite an existing --out", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Fill in the withheld texts of tweets.

    Example: python -m data_build hydrate OWNER/NAME --tweets tweets.csv --out data/balanced

    The texts come from your own copy of Sentiment140.
    """
    from data_build.publishing.hydrate import hydrate as fill_in

    fill_in(source, tweets, out, log, configuration=config, revision=revision, overwrite=overwrite)
