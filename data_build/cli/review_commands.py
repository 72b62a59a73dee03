"""Commands of the review: annotator, review, audit, votes, resolve."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from data_build.cli.commands import Build, Limit, Restart, app, say

Task = Annotated[Literal["review", "audit"], typer.Option(help="Which votes.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines too.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; a free one from 7860 on if left out.")]
Seed = Annotated[int, typer.Option(help="Random seed")]


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
    from data_build.annotation.votes import Votes

    people = Votes(build, "review")
    adjudicator = adjudicator or people.people().get(name.strip(), False)
    people.add_person(name.strip(), passphrase, adjudicator=adjudicator)
    say(f"{name.strip()} may come in" + (" and settle ties" if adjudicator else ""))


@app.command()
def review(build: Build, limit: Limit = None, host: Host = "127.0.0.1", port: Port = None, seed: Seed = 0) -> None:
    """Open the app in which five annotators read the verified rows."""
    from data_build.annotation import annotate
    from data_build.stages import review as stage

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
    from data_build.annotation import annotate
    from data_build.stages import review as stage

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

    from data_build.annotation import agreement
    from data_build.annotation.votes import Votes
    from data_build.stages import review as stage

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
    from data_build.stages import review as stage

    stage.resolve(build, say, restart=restart)
