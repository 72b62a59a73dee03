"""Commands that train and evaluate a model: fit, vectors, log, evaluate, export, thresholds, robustness, bundle."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evenmood.cli.help import ADVANCED, INPUT, OUTPUT
from evenmood.errors import DataError, UsageError
from train.cli.commands import Overwrite, Restart, Yes, app, config_flags, log
from train.config import TrainConfig

EVERYDAY = "everyday"


@app.command()
@config_flags
def fit(
    out: Annotated[Path, typer.Option(help="Model folder", rich_help_panel=OUTPUT)],
    config: TrainConfig,
    overwrite: Overwrite = False,
    run_log: Annotated[
        Path | None, typer.Option("--log", help="JSON Lines file to log the run to", rich_help_panel=OUTPUT)
    ] = None,
    note: Annotated[str, typer.Option(help="Note on the run in the log", rich_help_panel=OUTPUT)] = "",
    restart: Restart = False,
    yes: Yes = False,
) -> None:
    """Train a model on the training split, and tune its thresholds on the validation split.

    Example: python -m train fit --vectors self --out models/mine
    """
    from evenmood.model.model_folder import check_target
    from train.network.backend import choose_backend

    check_target(out, overwrite)  # fail before training, not after it
    choose_backend()
    from train.distillation.soft_targets import check_soft_targets
    from train.fitting.checkpoint import Checkpoint
    from train.vectors.sources import confirm_download

    check_soft_targets(config)
    confirm_download(config.vectors, yes or (not restart and Checkpoint.has_vectors(out)))
    from train.fitting.fit import fit as train_model  # importing Keras takes seconds: ask for confirmation first

    train_model(config, out, log, overwrite=overwrite, restart=restart)
    if run_log:
        from train.release.quality_log import add_run

        add_run(out, config, note, run_log)
    metrics = read_metrics(out, "validation")
    log(f"{out}: validation macro-F1 {metrics['macro_f1']['value']:.3f}, micro-F1 {metrics['micro_f1']['value']:.3f}")
    log(f"next: evenmood --model {out} 'some text', or python -m train evaluate {out} --split test")


@app.command()
@config_flags
def vectors(
    out: Annotated[Path, typer.Option(help="Vectors file (.vec)", rich_help_panel=OUTPUT)],
    config: TrainConfig,
    yes: Yes = False,
) -> None:
    """Write the initial word vectors of a run as a fastText text file, to share them between runs.

    Example: python -m train vectors --vectors self --out vectors.vec
    """
    from train.network.backend import choose_backend

    if out.suffix != ".vec":
        raise UsageError(f"--out is {out}; expected a .vec file")
    out.parent.mkdir(parents=True, exist_ok=True)
    choose_backend()
    from train.distillation.soft_targets import check_soft_targets
    from train.vectors.sources import confirm_download, write_vec

    check_soft_targets(config)
    confirm_download(config.vectors, yes)
    from train.fitting.fit import read_data, vocabulary_makers, words_by_id

    train, _, train_set = read_data(config, log)
    make_tokenizer, load = vocabulary_makers(config, train, train_set, log)
    tokenizer = make_tokenizer()
    write_vec(out, words_by_id(tokenizer), load(tokenizer))
    log(f"{out}: {out.stat().st_size / 1e6:.0f} MB; next: python -m train fit --vectors {out} ...")


@app.command("log")
def write_log(
    run_log: Annotated[Path, typer.Option("--log", help="Log written by fit --log", rich_help_panel=INPUT)] = Path(
        "results/quality-log.jsonl"
    ),
    out: Annotated[Path, typer.Option(help="Markdown document", rich_help_panel=OUTPUT)] = Path("docs/quality-log.md"),
) -> None:
    """Write a document of all logged runs, with their options and validation metrics.

    Example: python -m train log --log runs.jsonl --out runs.md
    """
    from train.release.quality_log import write_document

    log(f"{out}: {write_document(run_log, out)} runs")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Model folder")],
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Split to score", rich_help_panel=INPUT)
    ] = "validation",
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set, or everyday for the everyday benchmark; default: the model's", rich_help_panel=INPUT
        ),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="Mapping of other labels: JSON file, ekman, sentiment or tweet_emotion", rich_help_panel=INPUT
        ),
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Column with the texts; requires --mapping; default: detected", rich_help_panel=INPUT),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column with the labels, or a,b,c of 0 and 1; requires --mapping; default: detected",
            rich_help_panel=INPUT,
        ),
    ] = None,
    labels_are: Annotated[
        Literal["auto", "mapping", "goemotions"],
        typer.Option(
            help="What labels in the data refer to: the mapping, GoEmotions, or detect; requires --mapping",
            rich_help_panel=INPUT,
        ),
    ] = "auto",
    all_labels: Annotated[
        bool,
        typer.Option(
            "--all-labels", help="Keep labels without texts in the data; requires --mapping", rich_help_panel=ADVANCED
        ),
    ] = False,
    tune_split: Annotated[
        str | None,
        typer.Option(help="Split to tune thresholds on; requires --mapping; default: none", rich_help_panel=ADVANCED),
    ] = None,
    tune_data: Annotated[
        str | None, typer.Option(help="Data set to tune thresholds on; requires --mapping", rich_help_panel=ADVANCED)
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="JSON file for all metrics; requires --mapping", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
    save: Annotated[
        bool,
        typer.Option(
            "--save", help="Also save the metrics in the model folder; requires --mapping", rich_help_panel=OUTPUT
        ),
    ] = False,
) -> None:
    """Evaluate a model on a split, and write the metrics and a log entry to its folder.

    Example: python -m train evaluate models/mine --split test

    With --mapping, any labeled data set is scored in the mapping's labels,
    and nothing is written unless requested.
    """
    if mapping is not None:
        from train.transfer.evaluation import run_transfer

        options: dict[str, Any] = {"text_column": text_column, "label_column": label_column, "labels_are": labels_are}
        options |= {"all_labels": all_labels, "tune_split": tune_split, "tune_data": tune_data}
        print(run_transfer(str(folder), data, split, mapping, options, json_file, overwrite, save))
        return
    if data == EVERYDAY:
        from train.evaluation.everyday import score_everyday, table

        if split == "train":
            raise UsageError("--split is train; expected validation or test with --data everyday")
        print(table(score_everyday(folder, split)))
        return
    transfer_options = {
        "--text-column": text_column,
        "--label-column": label_column,
        "--tune-split": tune_split,
        "--tune-data": tune_data,
        "--json": json_file,
        "--save": save,
        "--all-labels": all_labels,
        "--labels-are": labels_are != "auto",
    }
    if unsupported := [name for name, value in transfer_options.items() if value]:
        raise UsageError(f"{unsupported[0]} requires --mapping")
    from evenmood.model.model_folder import format_metric
    from train.evaluation.evaluate import evaluate as score_folder
    from train.release.card import AVERAGES

    metrics = score_folder(folder, split, data)
    print(f"{split}: {metrics['tuned']['rows']:,} texts, tuned thresholds | thresholds of 0.5")
    for name, title in AVERAGES:
        print(f"{title:24} {format_metric(metrics['tuned'][name]):24} | {format_metric(metrics['at_0.5'][name])}")
    disjoint = metrics.get("tuned_without_overlap")
    if disjoint:
        print(
            f"macro-F1 {format_metric(disjoint['macro_f1'])} on the {disjoint['rows']:,} texts not in an earlier split"
        )


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="Model folder with Keras files")]) -> None:
    """Re-export model.onnx from a model's Keras files.

    Example: python -m train export models/mine
    """
    from evenmood.model.model_folder import KERAS_FILES, ONNX_FILE, TOKENIZER_FILE, check_files
    from train.network.backend import choose_backend

    check_files(folder, (*KERAS_FILES, TOKENIZER_FILE))
    choose_backend()
    import keras

    from train.network.export import export_onnx

    bits = json.loads((folder / "training" / "config.json").read_text(encoding="utf-8"))["embedding_bits"]
    part = folder / f"{ONNX_FILE}.part"
    try:
        network = keras.saving.load_model(folder)
    except Exception as error:  # a truncated file raises various exceptions of Keras and h5py
        raise DataError(
            f"{folder}: Keras cannot load the network ({error}); the folder may be corrupt: train the model again"
        ) from error
    try:
        export_onnx(network, part, bits, tokenizer=(folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(folder / ONNX_FILE)
    log(f"{folder / ONNX_FILE}: {(folder / ONNX_FILE).stat().st_size / 1e6:.1f} MB")


@app.command()
def thresholds(
    folder: Annotated[Path, typer.Argument(help="Model folder")],
    data: Annotated[str | None, typer.Option(help="Data set; default: the model's", rich_help_panel=INPUT)] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Repetitions of the cross-validation", rich_help_panel=ADVANCED)
    ] = 10,
) -> None:
    """Compare threshold and calibration methods by cross-validation on the validation split.

    Example: python -m train thresholds models/mine
    """
    from train.evaluation.threshold_study import study, table

    print("\n".join(table(study(folder, data, repeats))))


@app.command()
def robustness(
    folder: Annotated[Path, typer.Argument(help="Model folder")],
    data: Annotated[str | None, typer.Option(help="Data set; default: the model's", rich_help_panel=INPUT)] = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Split to perturb", rich_help_panel=INPUT)
    ] = "validation",
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file; default: the model folder and its card", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure robustness to typos, casing, negation, names, identity terms and sarcasm.

    Example: python -m train robustness models/mine --split test
    """
    from train.evaluation.robustness import run_robustness

    print(run_robustness(str(folder), data, split, out, overwrite))


@app.command()
def bundle(
    folders: Annotated[list[Path], typer.Argument(help="Model folders evaluated on validation and test")],
    package: Annotated[Path, typer.Option(help="Folder of the bundled model", rich_help_panel=OUTPUT)] = Path(
        "evenmood/default_model"
    ),
    results: Annotated[Path, typer.Option(help="Results file (JSON)", rich_help_panel=OUTPUT)] = Path(
        "results/default_model.json"
    ),
    terms: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Markdown for the license section of the card", rich_help_panel=INPUT
        ),
    ] = None,
) -> None:
    """Bundle the model with the best validation macro-F1 into the package, and write its results file.

    Example: python -m train bundle models/seed-0 models/seed-1
    """
    from train.release.bundle import best_of
    from train.release.bundle import bundle as make_default

    log(make_default(best_of(folders), package, results, terms))


def read_metrics(folder: Path, split: str) -> Any:
    """Read the metrics of a split from `emotions.json`."""
    from evenmood.model.model_folder import read_info

    return read_info(folder).metrics[split]
