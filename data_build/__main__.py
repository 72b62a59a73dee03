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
Limit = Annotated[int | None, typer.Option(help="Rows to take; all of them if left out.", min=1)]
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
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Read GoEmotions' official split, check it, and keep it as it is."""
    from data_build import goemotions as stage

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
    from data_build import sentiment140 as stage

    stage.run(build, say, tweets, limit=limit, min_words=min_words, max_words=max_words, restart=restart)


@app.command()
def feedback(
    build: Build,
    rows: Annotated[str, typer.Option(help="Folder where the demo keeps feedback, or the Hub data set it goes to.")],
    limit: Limit = None,
    restart: Restart = False,
) -> None:
    """Take what visitors of the demo said of its answers, with their consent; verify wants the teacher to agree."""
    from data_build import feedback as stage

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
    from data_build import written as stage

    more = stage.Extra(extra, text_column, label_column) if extra else None
    stage.run(build, say, rows or stage.ROWS, extra=more, limit=limit, restart=restart)


@app.command("resolve-written")
def resolve_written(
    texts: Annotated[list[Path], typer.Argument(help="JSON Lines of text, labels (main one first), domain, writer.")],
    votes: Annotated[Path, typer.Option(help="Votes of annotators on some of them: id, annotator, labels, sample.")],
    data: Annotated[str, typer.Option(help="Data set whose validation texts the control is drawn from.")] = GOEMOTIONS,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("data_build/written/train.parquet"),
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/written.json"),
) -> None:
    """Drop written texts that repeat others, and give those that were annotated the majority's labels."""
    from data_build.written_votes import resolve as write

    write(texts, votes, data, out, results, say)


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
    from data_build import relabel as stage

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
        Literal["structured", "lines"], typer.Option(help="A chat with a JSON schema, or a completion, a text a line.")
    ] = "structured",
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
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    restart: Restart = False,
) -> None:
    """Have samples written for the labels that lack rows; the key is OPENAI_API_KEY's."""
    from data_build import generate as stage
    from data_build import kept

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
    from data_build import verify as stage

    stage.run(build, say, alignment=alignment, threshold=threshold, limit=limit, restart=restart)


Task = Annotated[Literal["review", "audit"], typer.Option(help="Which votes.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines too.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; a free one from 7860 on if left out.")]
Seed = Annotated[int, typer.Option(help="Seed of every draw.")]


@app.command()
def annotator(
    build: Build,
    name: Annotated[str, typer.Argument(help="Annotator to let in; one who is there gets the new passphrase.")],
    passphrase: Annotated[
        str,
        typer.Option(prompt=True, confirmation_prompt=True, hide_input=True, envvar="EVENMOOD_PASSPHRASE"),
    ],
    adjudicator: Annotated[bool, typer.Option("--adjudicator", help="May settle ties.")] = False,
) -> None:
    """Let somebody into the app of the stages review and audit."""
    from data_build.votes import Votes

    people = Votes(build, "review")
    adjudicator = adjudicator or people.people().get(name.strip(), False)
    people.add_person(name.strip(), passphrase, adjudicator=adjudicator)
    say(f"{name.strip()} may come in" + (" and settle ties" if adjudicator else ""))


@app.command()
def review(build: Build, limit: Limit = None, host: Host = "127.0.0.1", port: Port = None, seed: Seed = 0) -> None:
    """Open the app in which five annotators read the verified rows."""
    from data_build import annotate
    from data_build import review as stage

    annotate.launch(stage.fill(build, limit, seed), host, port)


@app.command()
def audit(
    build: Build,
    rows: Annotated[int, typer.Option(help="Rows to draw.", min=1)] = 1_000,
    host: Host = "127.0.0.1",
    port: Port = None,
    seed: Seed = 0,
) -> None:
    """Open the app in which annotators check random rows of the balanced set."""
    from data_build import annotate
    from data_build import review as stage

    annotate.launch(stage.fill_audit(build, rows, seed), host, port)


@app.command()
def votes(
    build: Build,
    task: Task = "review",
    take: Annotated[Path | None, typer.Option("--import", help="Take the votes of a CSV or Parquet file in.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write all votes as CSV or Parquet.")] = None,
) -> None:
    """Say how far annotators agree; take votes in, or write them out."""
    import json

    from data_build import agreement
    from data_build import review as stage
    from data_build.votes import Votes

    if take is not None:
        say(f"{take}: {stage.take(build, task, take):,} votes taken")
    if export is not None:
        say(f"{export}: {stage.export(build, task, export):,} votes written")
    figures = agreement.measure(Votes(build, task).all())
    figures |= {"audit": stage.audited(build)} if task == "audit" else {}
    print(json.dumps(figures, indent=1, ensure_ascii=False))


@app.command()
def resolve(build: Build, restart: Restart = False) -> None:
    """Give the reviewed rows the labels of the majority, or the adjudicator's."""
    from data_build import review as stage

    stage.resolve(build, say, restart=restart)


@app.command()
def balance(
    build: Build,
    target: Annotated[
        int | None, typer.Option(help="Rows per label; the largest that every label reaches if left out.")
    ] = None,
    ratio: Annotated[float, typer.Option(help="Most frequent label for each row of the rarest, at most.")] = 1.5,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    restart: Restart = False,
) -> None:
    """Choose rows so that the labels' counts are even."""
    from data_build import balance as stage

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
    """Write the results file, the figures and the document of a build."""
    from data_build import report as stage

    stage.run(build, say, results, document, generated)


@app.command()
def figures(
    build: Build,
    out: Annotated[Path, typer.Option(help="Folder to write the pictures into.")] = Path("docs/figures/dataset"),
) -> None:
    """Draw the figures of the balanced rows alone."""
    from data_build import report as stage

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
