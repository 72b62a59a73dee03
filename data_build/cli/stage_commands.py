"""Commands that import, label, generate and verify rows: goemotions to verify."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from data_build.cli.commands import TEACHER, Build, Limit, Restart, Seed, app, log
from evenmood.cli.help import ADVANCED, INPUT, MODEL, OUTPUT
from evenmood.data.splits import GOEMOTIONS


@app.command()
def goemotions(
    build: Build,
    data: Annotated[
        str, typer.Option(help="Hub id, folder of TSV files, or folder of Parquet files", rich_help_panel=INPUT)
    ] = GOEMOTIONS,
    any_size: Annotated[
        bool,
        typer.Option("--any-size", help="Accept splits that differ in size from GoEmotions", rich_help_panel=INPUT),
    ] = False,
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Import the official GoEmotions splits unchanged.

    Example: python -m data_build goemotions data/build
    """
    from data_build.stages import goemotions as stage

    stage.run(build, log, data, any_size=any_size, limit=limit, restart=restart)


@app.command()
def sentiment140(
    build: Build,
    tweets: Annotated[
        str,
        typer.Option(help="CSV file (six columns, or a header with text), or Hub id", rich_help_panel=INPUT),
    ] = "stanfordnlp/sentiment140",
    limit: Limit = None,
    min_words: Annotated[
        int, typer.Option(help="Minimum length of a cleaned tweet, words", rich_help_panel=ADVANCED)
    ] = 3,
    max_words: Annotated[
        int, typer.Option(help="Maximum length of a cleaned tweet, words", rich_help_panel=ADVANCED)
    ] = 60,
    restart: Restart = False,
) -> None:
    """Import cleaned, deduplicated tweets.

    Example: python -m data_build sentiment140 data/build --tweets tweets.csv
    """
    from data_build.stages import sentiment140 as stage

    stage.run(build, log, tweets, limit=limit, min_words=min_words, max_words=max_words, restart=restart)


@app.command()
def feedback(
    build: Build,
    rows: Annotated[
        str, typer.Option(help="Feedback folder of the demo, or Hub data set it uploads to", rich_help_panel=INPUT)
    ],
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Import feedback that demo visitors agreed to share.

    Example: python -m data_build feedback data/build --rows OWNER/FEEDBACK

    The stage verify keeps only the labels that the teacher confirms.
    """
    from data_build.stages import feedback as stage

    stage.run(build, log, rows, limit=limit, restart=restart)


@app.command()
def written(
    build: Build,
    rows: Annotated[
        Path | None,
        typer.Option(help="Parquet file of texts and labels; default: the written texts", rich_help_panel=INPUT),
    ] = None,
    extra: Annotated[
        str | None,
        typer.Option(help="Hub id of a similar data set to add, e.g. alex-shvets/EmoPillars", rich_help_panel=INPUT),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Text column of --extra", rich_help_panel=INPUT)] = "text",
    label_column: Annotated[str, typer.Option(help="Label column of --extra", rich_help_panel=INPUT)] = "labels",
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Import the written texts: texts that language models wrote for training.

    Example: python -m data_build written data/build
    """
    from data_build.stages import written as stage

    data_set = stage.Extra(extra, text_column, label_column) if extra else None
    stage.run(build, log, rows or stage.ROWS, extra=data_set, limit=limit, restart=restart)


@app.command("resolve-written")
def resolve_written(
    texts: Annotated[
        list[Path], typer.Argument(help="JSON Lines files: text, labels (main label first), domain, writer")
    ],
    votes: Annotated[Path, typer.Option(help="Votes (Parquet): id, annotator, labels, sample", rich_help_panel=INPUT)],
    data: Annotated[
        str, typer.Option(help="Data set with the held-out texts and the control sample", rich_help_panel=INPUT)
    ] = GOEMOTIONS,
    audit: Annotated[
        Path | None,
        typer.Option(help="Audit (Parquet): id, reasonable (true or false)", rich_help_panel=INPUT),
    ] = None,
    out: Annotated[Path, typer.Option(help="Parquet file to write", rich_help_panel=OUTPUT)] = Path(
        "data_build/written/train.parquet"
    ),
    results: Annotated[Path, typer.Option(help="Results file (JSON)", rich_help_panel=OUTPUT)] = Path(
        "results/written.json"
    ),
) -> None:
    """Resolve the votes on the written texts.

    Example: python -m data_build resolve-written texts.jsonl --votes votes.parquet

    Texts are deduplicated; annotated texts get the majority labels.
    """
    from data_build.written.written_votes import resolve as write

    write(texts, votes, data, out, results, log, audit)


@app.command()
def relabel(
    build: Build,
    limit: Limit = None,
    teacher: Annotated[
        str, typer.Option(help="Folder or Hub id of a classifier with the 28 labels", rich_help_panel=MODEL)
    ] = TEACHER,
    runtime: Annotated[
        Literal["torch", "onnx"], typer.Option(help="Runtime of the teacher", rich_help_panel=MODEL)
    ] = "torch",
    batch_size: Annotated[int, typer.Option(help="Texts per batch", rich_help_panel=MODEL)] = 64,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="Evaluate the teacher on validation and test", rich_help_panel=OUTPUT),
    ] = False,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This process, or a Ray cluster", rich_help_panel=ADVANCED)
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="Cluster address for --engine ray; default: this machine", rich_help_panel=ADVANCED),
    ] = None,
    restart: Restart = False,
) -> None:
    """Compute the teacher's label probabilities.

    Example: python -m data_build relabel data/build --evaluate
    """
    from data_build.stages import relabel as stage

    stage.run(
        build,
        log,
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
    rows: Annotated[
        Path | None,
        typer.Option(help="Import generated rows from this Parquet file; send no requests", rich_help_panel=INPUT),
    ] = None,
    model: Annotated[str, typer.Option(help="Model name at the endpoint", rich_help_panel=MODEL)] = "gpt-4o-mini",
    base_url: Annotated[
        str | None, typer.Option(help="Base URL of the endpoint; default: OpenAI", rich_help_panel=MODEL)
    ] = None,
    mode: Annotated[
        Literal["structured", "lines"],
        typer.Option(
            help="Chat completions in JSON, or text completions with one text per line", rich_help_panel=MODEL
        ),
    ] = "structured",
    samples: Annotated[int, typer.Option(help="Texts to request", min=1, rich_help_panel=OUTPUT)] = 20_000,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of texts to request, or of rows to import from --rows; default: all",
            min=1,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    round_number: Annotated[
        int, typer.Option("--round", help="Round number; each round adds rows", min=1, rich_help_panel=OUTPUT)
    ] = 1,
    for_shortfall: Annotated[
        bool,
        typer.Option(
            "--for-shortfall",
            help="Request only the rows that labels are missing for the target of balance",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    prices: Annotated[
        tuple[float, float],
        typer.Option(
            help="Price per million prompt tokens and per million completion tokens",
            min=0,
            rich_help_panel="Cost",
        ),
    ] = (0, 0),
    max_cost: Annotated[
        float | None, typer.Option(help="Budget; requires --prices; default: unlimited", rich_help_panel="Cost")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the first prompts and the estimated cost", rich_help_panel="Cost"),
    ] = False,
    as_batch: Annotated[
        bool,
        typer.Option("--batch", help="Use the Batch API: half the price, up to 24 hours", rich_help_panel="Cost"),
    ] = False,
    response_format: Annotated[
        Literal["json_schema", "json_object", "text"] | None,
        typer.Option(help="Format of chat completions; default: json_schema", rich_help_panel=ADVANCED),
    ] = None,
    omit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARAMETER",
            help="Request parameter that the server rejects: seed, max_completion_tokens, "
            "max_tokens, temperature or stop; repeatable",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Concurrent requests", min=1, rich_help_panel=ADVANCED)] = 8,
    timeout: Annotated[float, typer.Option(help="Timeout of a request, seconds", rich_help_panel=ADVANCED)] = 60.0,
    seed: Seed = 0,
    restart: Restart = False,
) -> None:
    """Generate texts for rare labels.

    Example: python -m data_build generate data/build --samples 2000 --dry-run

    Requests go to an OpenAI-compatible endpoint; OPENAI_API_KEY holds the API key.
    """
    from data_build.stages import generate as stage
    from data_build.stages import generated_rows

    if rows is not None:
        generated_rows.import_rows(build, log, rows, limit=limit, restart=restart)
        return
    shortfall = stage.read_shortfall(build, round_number, restart) if for_shortfall else None
    stage.run(
        build,
        log,
        model,
        base_url=base_url,
        mode=mode,
        response_format=response_format,
        omit=omit or (),
        samples=samples,
        limit=limit,
        shortfall=shortfall,
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
    limit: Limit = None,
    alignment: Annotated[
        Literal["probability", "precision", "intended"],
        typer.Option(
            help="Acceptance rule: teacher probability, teacher precision on validation, or agreement with the "
            "requested label",
            rich_help_panel=MODEL,
        ),
    ] = "probability",
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum probability or precision, 0 to 1", rich_help_panel=MODEL)
    ] = 0.7,
    restart: Restart = False,
) -> None:
    """Keep the labels that the teacher confirms.

    Example: python -m data_build verify data/build --alignment intended

    Duplicates and near-duplicates of validation and test texts are dropped.
    """
    from data_build.stages import verify as stage

    stage.run(build, log, alignment=alignment, threshold=threshold, limit=limit, restart=restart)
