"""Commands that train a model and score it: fit, vectors, log, evaluate, export, thresholds, robustness, bundle."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evenmood.errors import DataError, UsageError
from train.cli.commands import app, config_flags, say
from train.config import TrainConfig

EVERYDAY = "everyday"


@app.command()
@config_flags
def fit(
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    config: TrainConfig,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    log: Annotated[Path | None, typer.Option(help="Add options and validation figures to this log.")] = None,
    note: Annotated[str, typer.Option(help="What the log says the run is for.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Start large downloads without asking.")] = False,
) -> None:
    """Train on the training split, tune thresholds on validation, write the model folder."""
    from evenmood.model.model_folder import check_target
    from train.network.backend import choose_backend

    check_target(out, overwrite)  # before hours of training, not after them
    choose_backend()
    from train.distillation.soft_targets import check_soft_targets
    from train.fitting.checkpoint import Checkpoint
    from train.vectors.sources import confirm_download

    check_soft_targets(config)
    confirm_download(config.vectors, yes or (not restart and Checkpoint.has_vectors(out)))
    from train.fitting.fit import fit as train_model  # Keras takes seconds: after the question

    train_model(config, out, say, overwrite=overwrite, restart=restart)
    if log:
        from train.release.quality_log import add_run

        add_run(out, config, note, log)
    figures = read_brief(out, "validation")
    say(f"{out}: validation macro-F1 {figures['macro_f1']['value']:.3f}, micro-F1 {figures['micro_f1']['value']:.3f}")
    say(f"next: evenmood --model {out} 'some text', or python -m train evaluate {out} --split test")


@app.command()
@config_flags
def vectors(
    out: Annotated[Path, typer.Option(help="File of vectors to write, .vec.")],
    config: TrainConfig,
    yes: Annotated[bool, typer.Option("--yes", help="Start large downloads without asking.")] = False,
) -> None:
    """Write the word vectors that a fit with these options starts from, as fastText's text file: for other fits."""
    from train.network.backend import choose_backend

    if out.suffix != ".vec":
        raise UsageError(f"--out is {out}; the file is a .vec")
    out.parent.mkdir(parents=True, exist_ok=True)
    choose_backend()
    from train.distillation.soft_targets import check_soft_targets
    from train.vectors.sources import confirm_download, write_vec

    check_soft_targets(config)
    confirm_download(config.vectors, yes)
    from train.fitting.fit import read_data, vocabulary_makers, words_by_id

    train, _, learnt = read_data(config, say)
    make_tokenizer, load = vocabulary_makers(config, train, learnt, say)
    tokenizer = make_tokenizer()
    write_vec(out, words_by_id(tokenizer), load(tokenizer))
    say(f"{out}: {out.stat().st_size / 1e6:.0f} MB; next: python -m train fit --vectors {out} ...")


@app.command("log")
def write_log(
    log: Annotated[Path, typer.Option(help="Log that fit --log wrote.")] = Path("results/quality-log.jsonl"),
    out: Annotated[Path, typer.Option(help="Document to write.")] = Path("docs/quality-log.md"),
) -> None:
    """Write the document of all runs that were logged, each with its options and its figures on validation."""
    from train.release.quality_log import write_document

    say(f"{out}: {write_document(log, out)} runs")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Split to score.")] = "validation",
    data: Annotated[
        str | None,
        typer.Option(help="Data set, or `everyday` for the everyday benchmark; its own if left out."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Of other labels: a JSON file, or ekman, sentiment or tweet_emotion.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts; else found by its name.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the labels, or a,b,c of 0 and 1; else found by name.")
    ] = None,
    labels_are: Annotated[
        Literal["auto", "mapping", "goemotions"], typer.Option(help="Whose names and numbers the labels are.")
    ] = "auto",
    all_labels: Annotated[bool, typer.Option("--all-labels", help="Keep labels that no text of the data has.")] = False,
    tune_split: Annotated[
        str | None, typer.Option(help="Tune thresholds on this split; not tuned if left out.")
    ] = None,
    tune_data: Annotated[str | None, typer.Option(help="Tune thresholds on this data set.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all figures.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Keep the figures in the model folder too.")] = False,
) -> None:
    """Score a model folder on a split and write the figures into the folder; every run is logged there.

    With --mapping any labelled set is scored in the mapping's labels, and nothing is written unless asked for.
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
            raise UsageError("--data everyday has the splits validation and test")
        print(table(score_everyday(folder, split)))
        return
    given = [text_column, label_column, tune_split, tune_data, json_file, save, all_labels, labels_are != "auto"]
    if any(given):
        raise UsageError("that option is for other labels than the model's own: name a --mapping too")
    from evenmood.model.model_folder import figure_text
    from train.evaluation.evaluate import evaluate as score_folder
    from train.release.card import AVERAGES

    figures = score_folder(folder, split, data)
    print(f"{split}: {figures['tuned']['rows']:,} texts, tuned thresholds | at 0.5")
    for name, title in AVERAGES:
        print(f"{title:24} {figure_text(figures['tuned'][name]):24} | {figure_text(figures['at_0.5'][name])}")
    without = figures.get("tuned_without_overlap")
    if without:
        print(f"macro-F1 {figure_text(without['macro_f1'])} on the {without['rows']:,} texts of no earlier split")


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="Model folder with Keras's files.")]) -> None:
    """Write a model's model.onnx anew from Keras's files, as this version exports it; all else stays as it is."""
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
    except Exception as error:  # a cut file gives whatever Keras and h5py stumble over first
        raise DataError(f"{folder}: Keras cannot read the network, which may be damaged ({error})") from error
    try:
        export_onnx(network, part, bits, tokenizer=(folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(folder / ONNX_FILE)
    say(f"{folder / ONNX_FILE}: {(folder / ONNX_FILE).stat().st_size / 1e6:.1f} MB")


@app.command()
def thresholds(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    data: Annotated[str | None, typer.Option(help="Data set; its own one if left out.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times that the rows are dealt anew.")] = 10,
) -> None:
    """Compare ways to tune thresholds and to calibrate, by cross-validation on validation alone."""
    from train.evaluation.threshold_study import study, table

    print("\n".join(table(study(folder, data, repeats))))


@app.command()
def robustness(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    data: Annotated[str | None, typer.Option(help="Data set; its own one if left out.")] = None,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Split to perturb.")] = "validation",
    out: Annotated[Path | None, typer.Option(help="File for the figures; else the model folder and its card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
) -> None:
    """Measure what typos, casing, negation, names, identity terms and sarcasm do to a model's answers."""
    from train.evaluation.robustness import run_robustness

    print(run_robustness(str(folder), data, split, out, overwrite))


@app.command()
def bundle(
    folders: Annotated[list[Path], typer.Argument(help="Model folders, evaluated on validation and test.")],
    package: Annotated[Path, typer.Option(help="Folder of the bundled model")] = Path("evenmood/default_model"),
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/default_model.json"),
    terms: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Markdown for the card's section on licence.")
    ] = None,
) -> None:
    """Bundle the best model folder by validation: copy what predicts, and keep its figures as a file."""
    from train.release.bundle import best_of
    from train.release.bundle import bundle as make_default

    say(make_default(best_of(folders), package, results, terms))


def read_brief(folder: Path, split: str) -> Any:
    """The figures of a split that `emotions.json` carries."""
    from evenmood.model.model_folder import read_info

    return read_info(folder).metrics[split]
