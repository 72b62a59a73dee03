"""Commands of the human review: annotator, review, audit, votes, resolve."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from data_build.cli.commands import Build, Limit, Restart, Seed, app, log
from evenmood.cli.help import ADVANCED, INPUT, OUTPUT

Task = Annotated[Literal["review", "audit"], typer.Option(help="Task that the votes belong to", rich_help_panel=INPUT)]
Host = Annotated[
    str, typer.Option(help="Address to listen on; 0.0.0.0 accepts other machines", rich_help_panel=ADVANCED)
]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; default: the first free one from 7860", rich_help_panel=ADVANCED)
]


@app.command()
def annotator(
    build: Build,
    name: Annotated[str, typer.Argument(help="Name of the annotator")],
    passphrase: Annotated[
        str,
        typer.Option(
            prompt=True,
            confirmation_prompt=True,
            hide_input=True,
            envvar="EVENMOOD_PASSPHRASE",
            help="At least 8 characters",
        ),
    ],
    adjudicator: Annotated[bool, typer.Option("--adjudicator", help="Allow the annotator to settle ties")] = False,
) -> None:
    """Add an annotator, or change an annotator's passphrase.

    Example: python -m data_build annotator data/build ada
    """
    from data_build.annotation.votes import Votes

    name = name.strip()
    votes = Votes(build, "review")
    adjudicator = adjudicator or votes.annotators().get(name, False)
    votes.add_annotator(name, passphrase, adjudicator=adjudicator)
    log(f"{name} can log in" + (" and settle ties" if adjudicator else ""))


@app.command()
def review(build: Build, limit: Limit = None, host: Host = "127.0.0.1", port: Port = None, seed: Seed = 0) -> None:
    """Open the annotation app to review the verified rows.

    Example: python -m data_build review data/build --limit 2000

    Five annotators label each row.
    """
    from data_build.annotation import annotate
    from data_build.stages import review as stage

    annotate.launch(stage.fill_review_queue(build, limit, seed), host, port)


@app.command()
def audit(
    build: Build,
    rows: Annotated[int, typer.Option(help="Number of random rows to audit", min=1, rich_help_panel=INPUT)] = 1_000,
    host: Host = "127.0.0.1",
    port: Port = None,
    seed: Seed = 0,
) -> None:
    """Open the annotation app to audit random rows of the balanced set.

    Example: python -m data_build audit data/build --rows 1000

    Five annotators label each row.
    """
    from data_build.annotation import annotate
    from data_build.stages import review as stage

    annotate.launch(stage.fill_audit_queue(build, rows, seed), host, port)


@app.command()
def votes(
    build: Build,
    task: Task = "review",
    import_file: Annotated[
        Path | None, typer.Option("--import", help="Import votes from a CSV or Parquet file", rich_help_panel=INPUT)
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write all votes to a CSV or Parquet file", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Print inter-annotator agreement; import or export votes.

    Example: python -m data_build votes data/build --export votes.csv
    """
    import json

    from data_build.annotation import agreement
    from data_build.annotation.votes import Votes
    from data_build.stages import review as stage

    if import_file is not None:
        log(f"{import_file}: {stage.import_votes(build, task, import_file):,} votes imported")
    if export is not None:
        log(f"{export}: {stage.export_votes(build, task, export):,} votes written")
    statistics = agreement.measure(Votes(build, task).all_votes())
    statistics |= {"audit": stage.audit_result(build)} if task == "audit" else {}
    print(json.dumps(statistics, indent=1, ensure_ascii=False))


@app.command()
def resolve(build: Build, restart: Restart = False) -> None:
    """Label the reviewed rows by majority vote.

    Example: python -m data_build resolve data/build

    Ties wait for an adjudicator's decision.
    """
    from data_build.stages import review as stage

    stage.resolve(build, log, restart=restart)
