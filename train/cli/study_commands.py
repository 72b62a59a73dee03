"""Commands that compare many models: seeds, ablate, peers."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from evenmood.data.splits import GOEMOTIONS
from evenmood.errors import UsageError
from train.cli.commands import app, config_flags, say
from train.config import PAPER, TrainConfig


@app.command()
def seeds(
    folders: Annotated[list[Path], typer.Argument(help="Model folders that differ in their seed alone.")],
    against: Annotated[list[Path] | None, typer.Option(help="Folder of a second group; given anew for each.")] = None,
    against_plain: Annotated[
        bool, typer.Option("--against-plain", help="Compare with the same models without misspellings.")
    ] = False,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Split to score.")] = "validation",
    data: Annotated[str | None, typer.Option(help="Data set; their own one if left out.")] = None,
    typos: Annotated[float, typer.Option(min=0, max=1, help="Share of words misspelt for a second reading.")] = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="File for the figures; else the first group's folders and cards.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
) -> None:
    """Mean figures of a configuration over several seeds, with intervals over texts and seeds."""
    from evenmood.model.model_folder import figure_text
    from evenmood.tables.table_files import check_output
    from train.evaluation.seeds import keep, over_seeds, plain_copies

    if against and against_plain:
        raise UsageError("--against names other models, --against-plain copies of the same; choose one")
    if out:
        check_output(str(out), overwrite)  # before minutes of scoring, not after them
    with TemporaryDirectory() as scratch:
        other = plain_copies(folders, Path(scratch)) if against_plain else against
        content = over_seeds([folders, *([other] if other else [])], split, say, data=data, typos=typos)
    for group in content["groups"]:
        print(f"{', '.join(group['folders'])} on {split}, {content['rows']:,} texts")
        for kind in ("figures", "misspelt", "drop"):
            for name, figure in group.get(kind, {}).items():
                print(f"  {'' if kind == 'figures' else kind + ' '}{name}: {figure_text(figure)}")
    if "typos_kept" in content:
        print(f"the first group's drop of macro-F1 is {figure_text(content['typos_kept'])} of the second's")
    keep(content, folders, out)


@app.command()
@partial(config_flags, without=("data", "pooling", "seed", "thresholds"))
def ablate(
    build: Annotated[Path, typer.Option(help="Build folder of the data set, with the stage balance.")],
    config: TrainConfig,
    out: Annotated[Path, typer.Option(help="Folder of the models; repeated, the command goes on.")] = Path(
        "models/ablation"
    ),
    seeds: Annotated[int, typer.Option(help="Runs of each arm, with the seeds from 0 on.")] = 5,
    arms: Annotated[
        list[str] | None, typer.Option(help="An arm, given anew for each; all but all-sources if left out.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/experiments.json"),
    document: Annotated[Path, typer.Option(help="Document to write.")] = Path("docs/experiments.md"),
    report_only: Annotated[bool, typer.Option("--report-only", help="Train nothing; do the statistics again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start large downloads without asking.")] = False,
) -> None:
    """The paper's experiments: balanced or not, attention or average, over several seeds, and their report.

    Thresholds are tuned by the paper's rule, `grid`.
    """
    from train.network.backend import choose_backend

    choose_backend()
    from train.vectors.sources import confirm_download

    confirm_download(config.vectors, yes or report_only)
    from train.experiments import ablate as experiments
    from train.experiments.arms import DEFAULT_ARMS

    experiments.ablate(
        build,
        out,
        replace(config, thresholds=PAPER.thresholds),
        say,
        arms=arms or DEFAULT_ARMS,
        seeds=seeds,
        results=results,
        document=document,
        report_only=report_only,
    )


@app.command()
def windows(
    folders: Annotated[list[Path], typer.Argument(help="Model folders that differ in their seed alone.")],
    out: Annotated[Path, typer.Option(help="File for the figures.")] = Path("results/windows.json"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
) -> None:
    """Compare rules that combine the windows of long texts."""
    from evenmood.tables.table_files import check_output
    from train.evaluation.window_study import study, table, write_study

    check_output(str(out), overwrite)
    content = study(folders)
    write_study(content, out)
    print(table(content))


@app.command()
def peers(
    models: Annotated[
        list[str], typer.Argument(help="fast, accurate, model folders, or ONNX exports; folders or Hub ids")
    ],
    out: Annotated[Path, typer.Option(help="JSON file to write")],
    data: Annotated[str, typer.Option(help="Data set with the 28 labels")] = GOEMOTIONS,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Split to score")] = "test",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out")] = False,
) -> None:
    """Score models of any origin on the same texts, with thresholds tuned on validation.

    Example: python -m train peers fast accurate SamLowe/roberta-base-go_emotions-onnx --out peers.json
    """
    from evenmood.model.model_folder import write_text
    from train.evaluation.peers import peers as compare

    if out.exists() and not overwrite:
        raise UsageError(f"output exists: {out} (use --overwrite)")
    write_text(out, json.dumps(compare(models, data, split, say), indent=1) + "\n")
    say(f"{out}: {len(models)} models")
