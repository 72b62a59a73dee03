"""Build and publish the data set: `python -m data_build STAGE --help`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from evenmood.command import run
from evenmood.splits import GOEMOTIONS

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
Build = Annotated[Path, typer.Argument(help="Build folder; every stage has a folder of its own in it.")]
Restart = Annotated[bool, typer.Option("--restart", help="Forget what an earlier run of this stage wrote.")]
Limit = Annotated[int | None, typer.Option(help="Rows to take; all of them if left out.")]
TEACHER = "SamLowe/roberta-base-go_emotions"
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
def sentiment140(
    build: Build,
    tweets: Annotated[
        str, typer.Option(help="CSV file (six columns without a header, or a header with text), or Hub id.")
    ] = "stanfordnlp/sentiment140",
    limit: Limit = None,
    min_words: Annotated[int, typer.Option(help="Words that a cleaned text must have at least.")] = 3,
    max_words: Annotated[int, typer.Option(help="Words that it may have at the most.")] = 60,
    restart: Restart = False,
) -> None:
    """Read Sentiment140's tweets: cleaned, in English, each text once."""
    from data_build import sentiment140 as stage

    stage.run(build, say, tweets, limit=limit, min_words=min_words, max_words=max_words, restart=restart)


@app.command()
def relabel(
    build: Build,
    teacher: Annotated[str, typer.Option(help="Folder or Hub id of a classifier with the 28 labels.")] = TEACHER,
    engine: Annotated[Literal["torch", "onnx"], typer.Option(help="What runs the teacher.")] = "torch",
    batch_size: Annotated[int, typer.Option(help="Texts of similar length that the teacher reads at a time.")] = 64,
    limit: Limit = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure the teacher on validation and test.")] = False,
    restart: Restart = False,
) -> None:
    """Ask the teacher for the 28 probabilities of every tweet and every official training text."""
    from data_build import relabel as stage

    stage.run(
        build, say, teacher, engine=engine, batch_size=batch_size, limit=limit, evaluate=evaluate, restart=restart
    )


@app.command()
def generate(
    build: Build,
    model: Annotated[str, typer.Option(help="The endpoint's name of the model.")] = "gpt-4o-mini",
    base_url: Annotated[str | None, typer.Option(help="Endpoint; OpenAI's own if left out.")] = None,
    mode: Annotated[
        Literal["structured", "lines"], typer.Option(help="A chat with a JSON schema, or a completion, a text a line.")
    ] = "structured",
    samples: Annotated[int, typer.Option(help="Texts to ask for.")] = 20_000,
    for_shortfall: Annotated[
        bool, typer.Option("--for-shortfall", help="Ask for what the stage balance found missing.")
    ] = False,
    concurrency: Annotated[int, typer.Option(help="Requests in flight.", min=1)] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request is sent again.")] = 60.0,
    prices: Annotated[tuple[float, float], typer.Option(help="Money for a million tokens read and written.")] = (0, 0),
    max_cost: Annotated[float | None, typer.Option(help="The run stops before it costs more.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the first prompts and the estimate.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    restart: Restart = False,
) -> None:
    """Have samples written for the labels that lack rows; the key is OPENAI_API_KEY's."""
    from data_build import generate as stage

    stage.run(
        build,
        say,
        model,
        base_url=base_url,
        mode=mode,
        samples=samples,
        missing=stage.shortfall(build) if for_shortfall else None,
        concurrency=concurrency,
        timeout=timeout,
        prices=prices,
        max_cost=max_cost,
        dry_run=dry_run,
        seed=seed,
        restart=restart,
    )


@app.command()
def verify(
    build: Build,
    alignment: Annotated[
        Literal["probability", "precision"],
        typer.Option(help="Gate: the teacher's probability (the paper's), or its precision on validation."),
    ] = "probability",
    generated: Annotated[
        Literal["intended", "same"], typer.Option(help="Gate of generated rows: by the label they were asked for.")
    ] = "intended",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="What the gate asks for.")] = 0.7,
    restart: Restart = False,
) -> None:
    """Give rows the labels that the teacher is sure of; keep validation and test texts out."""
    from data_build import verify as stage

    stage.run(build, say, alignment=alignment, generated=generated, threshold=threshold, restart=restart)


@app.command()
def balance(
    build: Build,
    target: Annotated[int | None, typer.Option(help="Rows per label; the largest that the supply reaches.")] = None,
    ratio: Annotated[float, typer.Option(help="Most frequent label for each row of the rarest, at most.")] = 1.5,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    restart: Restart = False,
) -> None:
    """Choose rows so that the labels' counts are even."""
    from data_build import balance as stage

    stage.run(build, say, target=target, ratio=ratio, seed=seed, restart=restart)


@app.command()
def report(
    build: Build,
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/dataset.json"),
    document: Annotated[Path, typer.Option(help="Document to write, its figures beside it.")] = Path("docs/dataset.md"),
) -> None:
    """Write the results file, the figures and the document of a build."""
    from data_build import report as stage

    stage.run(build, say, results, document)


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
