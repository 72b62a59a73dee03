"""Commands of the sources and gates: goemotions to verify."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from data_build.cli.commands import TEACHER, Build, Limit, Restart, app, say
from evenmood.data.splits import GOEMOTIONS


@app.command()
def goemotions(
    build: Build,
    data: Annotated[str, typer.Option(help="Hub id, folder of TSV files, or folder of Parquet files.")] = GOEMOTIONS,
    any_size: Annotated[bool, typer.Option("--any-size", help="Take a data set of other sizes.")] = False,
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Read GoEmotions' official split, check it, and keep it as it is."""
    from data_build.stages import goemotions as stage

    stage.run(build, say, data, any_size=any_size, limit=limit, restart=restart)


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
    from data_build.stages import sentiment140 as stage

    stage.run(build, say, tweets, limit=limit, min_words=min_words, max_words=max_words, restart=restart)


@app.command()
def feedback(
    build: Build,
    rows: Annotated[str, typer.Option(help="Folder where the demo keeps feedback, or the Hub data set it goes to.")],
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Import feedback that demo visitors agreed to share; verify keeps only the labels the teacher confirms."""
    from data_build.stages import feedback as stage

    stage.run(build, say, rows, limit=limit, restart=restart)


@app.command()
def written(
    build: Build,
    rows: Annotated[
        Path | None,
        typer.Option(help="Parquet file of texts and labels; the texts written for this project if left out."),
    ] = None,
    extra: Annotated[
        str | None, typer.Option(help="Data set of the same kind to add: Hub id, for instance alex-shvets/EmoPillars.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of its texts.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of its labels.")] = "labels",
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Take everyday texts that language models wrote and annotated for the 28 labels."""
    from data_build.stages import written as stage

    more = stage.Extra(extra, text_column, label_column) if extra else None
    stage.run(build, say, rows or stage.ROWS, extra=more, limit=limit, restart=restart)


@app.command("resolve-written")
def resolve_written(
    texts: Annotated[list[Path], typer.Argument(help="JSON Lines of text, labels (main one first), domain, writer.")],
    votes: Annotated[Path, typer.Option(help="Votes of annotators on some of them: id, annotator, labels, sample.")],
    data: Annotated[str, typer.Option(help="Data set whose validation texts the control is drawn from.")] = GOEMOTIONS,
    audit: Annotated[
        Path | None, typer.Option(help="Audit of random texts, Parquet: id, reasonable (true or false).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("data_build/written/train.parquet"),
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/written.json"),
) -> None:
    """Drop written texts that repeat others, and give those that were annotated the majority's labels."""
    from data_build.written.written_votes import resolve as write

    write(texts, votes, data, out, results, say, audit)


@app.command()
def relabel(
    build: Build,
    teacher: Annotated[str, typer.Option(help="Folder or Hub id of a classifier with the 28 labels.")] = TEACHER,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This process, or a Ray cluster.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Cluster for --engine ray; this machine alone if left out.")
    ] = None,
    runtime: Annotated[Literal["torch", "onnx"], typer.Option(help="What runs the teacher.")] = "torch",
    batch_size: Annotated[int, typer.Option(help="Texts of similar length that the teacher reads at a time.")] = 64,
    limit: Limit = None,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure the teacher on validation and test.")] = False,
    restart: Restart = False,
) -> None:
    """Ask the teacher for the 28 probabilities of every tweet and every official training text."""
    from data_build.stages import relabel as stage

    stage.run(
        build,
        say,
        teacher,
        engine=engine,
        ray_address=ray_address,
        runtime=runtime,
        batch_size=batch_size,
        limit=limit,
        evaluate=evaluate,
        restart=restart,
    )


@app.command()
def generate(
    build: Build,
    model: Annotated[str, typer.Option(help="The endpoint's name of the model.")] = "gpt-4o-mini",
    base_url: Annotated[str | None, typer.Option(help="Endpoint; OpenAI's own if left out.")] = None,
    mode: Annotated[
        Literal["structured", "lines"],
        typer.Option(help="A chat that answers in JSON, or a completion, a text a line."),
    ] = "structured",
    response_format: Annotated[
        Literal["json_schema", "json_object", "text"] | None,
        typer.Option(help="Form of a chat's answers, for servers that take no schema  [default: json_schema]"),
    ] = None,
    omit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARAMETER",
            help="Parameter to leave out of requests, for servers that do not take it: seed, max_completion_tokens, "
            "max_tokens, temperature or stop; repeatable",
        ),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Take the generated rows of this Parquet file, and ask for nothing.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Texts to ask for.", min=1)] = 20_000,
    limit: Annotated[
        int | None, typer.Option(help="Texts to ask for at the most, or rows to take of --rows: a trial.", min=1)
    ] = None,
    round_number: Annotated[int, typer.Option("--round", help="A further round adds to those before it.", min=1)] = 1,
    for_shortfall: Annotated[
        bool, typer.Option("--for-shortfall", help="Ask for what the stage balance found missing.")
    ] = False,
    concurrency: Annotated[int, typer.Option(help="Requests in flight.", min=1)] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request is sent again.")] = 60.0,
    prices: Annotated[tuple[float, float], typer.Option(help="Money for a million tokens read and written.", min=0)] = (
        0,
        0,
    ),
    max_cost: Annotated[float | None, typer.Option(help="The run stops before it costs more.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the first prompts and the estimate.")] = False,
    as_batch: Annotated[
        bool, typer.Option("--batch", help="Through the Batch API: half the price, within a day.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    restart: Restart = False,
) -> None:
    """Have samples written for the labels that lack rows; the key is OPENAI_API_KEY's."""
    from data_build.stages import generate as stage
    from data_build.stages import generated_rows as kept

    if rows is not None:
        kept.take(build, say, rows, limit=limit, restart=restart)
        return
    missing = stage.shortfall(build, round_number, restart) if for_shortfall else None
    stage.run(
        build,
        say,
        model,
        base_url=base_url,
        mode=mode,
        response_format=response_format,
        omit=omit or (),
        samples=samples,
        limit=limit,
        missing=missing,
        round_number=round_number,
        concurrency=concurrency,
        timeout=timeout,
        prices=prices,
        max_cost=max_cost,
        dry_run=dry_run,
        as_batch=as_batch,
        seed=seed,
        restart=restart,
    )


@app.command()
def verify(
    build: Build,
    alignment: Annotated[
        Literal["probability", "precision", "intended"],
        typer.Option(
            help="Gate: the teacher's probability (the paper's); its precision on validation; or, for generated rows, "
            "whether it sees the label they were asked for, with tweets by probability."
        ),
    ] = "probability",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="What the gate asks for.")] = 0.7,
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Give rows the labels that the teacher is sure of; keep validation and test texts out."""
    from data_build.stages import verify as stage

    stage.run(build, say, alignment=alignment, threshold=threshold, limit=limit, restart=restart)
