"""Commands that compare several models: seeds, ablate, windows, peers."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from evenmood.cli.help import ADVANCED, INPUT, OUTPUT
from evenmood.data.splits import GOEMOTIONS
from evenmood.errors import UsageError
from train.cli.commands import Overwrite, Yes, app, config_flags, log
from train.config import PAPER, TrainConfig


@app.command()
def seeds(
    folders: Annotated[list[Path], typer.Argument(help="Model folders that differ only in their seed")],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Model folder of a second group to compare with; repeatable", rich_help_panel=INPUT),
    ] = None,
    against_plain: Annotated[
        bool,
        typer.Option(
            "--against-plain",
            help="Compare with copies of the models whose tokenizers lack misspellings",
            rich_help_panel=INPUT,
        ),
    ] = False,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Split to score", rich_help_panel=INPUT)
    ] = "validation",
    data: Annotated[str | None, typer.Option(help="Data set; default: the models'", rich_help_panel=INPUT)] = None,
    typos: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of words to misspell for a second evaluation", rich_help_panel=ADVANCED),
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file; default: the first group's folders and cards", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compute mean metrics over seeds, with bootstrap intervals over texts and seeds.

    Example: python -m train seeds models/seed-0 models/seed-1 models/seed-2
    """
    from evenmood.model.model_folder import format_metric
    from evenmood.tables.table_files import check_output
    from train.evaluation.seeds import copies_without_misspellings, over_seeds, write_results
    from train.release.card import AVERAGES

    if against and against_plain:
        raise UsageError("--against and --against-plain are mutually exclusive; choose one")
    if out:
        check_output(str(out), overwrite)  # fail before scoring, not after it
    with TemporaryDirectory() as scratch:
        other = copies_without_misspellings(folders, Path(scratch)) if against_plain else against
        content = over_seeds([folders, *([other] if other else [])], split, log, data=data, typos=typos)
    titles = dict(AVERAGES)
    for group in content["groups"]:
        print(f"{', '.join(group['folders'])} on {split}, {content['rows']:,} texts")
        for kind in ("metrics", "misspelled", "drop"):  # keys of the results file
            for name, metric in group.get(kind, {}).items():
                print(f"  {'' if kind == 'metrics' else kind + ' '}{titles[name]}: {format_metric(metric)}")
    if "relative_drop" in content:
        print(f"macro-F1 drop of the first group relative to the second's: {format_metric(content['relative_drop'])}")
    write_results(content, folders, out)


@app.command()
@partial(config_flags, without=("data", "pooling", "seed", "thresholds"))
def ablate(
    build: Annotated[Path, typer.Option(help="Build folder with the stage balance", rich_help_panel=INPUT)],
    config: TrainConfig,
    out: Annotated[
        Path, typer.Option(help="Folder of the models; existing runs are resumed", rich_help_panel=OUTPUT)
    ] = Path("models/ablation"),
    seeds: Annotated[int, typer.Option(help="Runs per arm, with seeds from 0", rich_help_panel=INPUT)] = 5,
    arms: Annotated[
        list[str] | None,
        typer.Option(help="Arm to run; repeatable; default: all except all-sources", rich_help_panel=INPUT),
    ] = None,
    results: Annotated[Path, typer.Option(help="Results file (JSON)", rich_help_panel=OUTPUT)] = Path(
        "results/experiments.json"
    ),
    document: Annotated[Path, typer.Option(help="Markdown document", rich_help_panel=OUTPUT)] = Path(
        "docs/experiments.md"
    ),
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="Recompute the statistics without training", rich_help_panel=ADVANCED),
    ] = False,
    yes: Yes = False,
) -> None:
    """Run the paper's experiments over several seeds: balanced or not, attention or average pooling.

    Example: python -m train ablate --build data/build --seeds 5

    Thresholds are tuned by the paper's method, grid.
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
        log,
        arms=arms or DEFAULT_ARMS,
        seeds=seeds,
        results=results,
        document=document,
        report_only=report_only,
    )


@app.command()
def windows(
    folders: Annotated[list[Path], typer.Argument(help="Model folders that differ only in their seed")],
    out: Annotated[Path, typer.Option(help="Results file (JSON)", rich_help_panel=OUTPUT)] = Path(
        "results/windows.json"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Compare rules for combining the windows of long texts.

    Example: python -m train windows models/seed-0 models/seed-1
    """
    from evenmood.tables.table_files import check_output
    from train.evaluation.window_study import study, table, write_study

    check_output(str(out), overwrite)
    content = study(folders)
    write_study(content, out)
    print(table(content))


@app.command()
def peers(
    models: Annotated[
        list[str], typer.Argument(help="fast, accurate, model folders or ONNX exports (folders or Hub ids)")
    ],
    out: Annotated[Path, typer.Option(help="JSON file", rich_help_panel=OUTPUT)],
    data: Annotated[str, typer.Option(help="Data set with the 28 labels", rich_help_panel=INPUT)] = GOEMOTIONS,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Split to score", rich_help_panel=INPUT)
    ] = "test",
    overwrite: Overwrite = False,
) -> None:
    """Evaluate models of any origin on the same texts, with thresholds tuned on the validation split.

    Example: python -m train peers fast accurate SamLowe/roberta-base-go_emotions-onnx --out peers.json
    """
    from evenmood.model.model_folder import write_text
    from train.evaluation.peers import peers as compare

    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; choose another name, or use --overwrite")
    write_text(out, json.dumps(compare(models, data, split, log), indent=1) + "\n")
    log(f"{out}: {len(models)} models")
