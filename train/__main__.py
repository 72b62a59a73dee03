"""Train, evaluate, bundle and push: `python -m train fit --help`."""

import inspect
import re
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, get_origin

import typer

from evenmood.command import run
from evenmood.errors import UsageError
from evenmood.splits import GOEMOTIONS
from train.config import TrainConfig

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def config_flags(command: Any, without: tuple[str, ...] = ()) -> Any:
    """Give a command one flag for each field of `TrainConfig`, with its default and its help from the docstring.

    Args:
        command: The command; it gets the options as `config`.
        without: Fields that the command sets itself.
    """
    helps = dict(re.findall(r"^ {4,8}(\w+): (.+)$", inspect.cleandoc(TrainConfig.__doc__ or ""), re.MULTILINE))
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    flags, offered = [], [field for field in fields(TrainConfig) if field.name not in without]
    for field in offered:
        kind = list[str] if get_origin(field.type) is tuple else field.type
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        names = [f"--{field.name.replace('_', '-')}"]
        if kind is bool:
            names = [f"{names[0]}/--no-{names[0][2:]}"]
        option = Annotated[kind, typer.Option(*names, help=helps[field.name])]  # type: ignore[valid-type]
        flags.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option))

    def with_flags(**options: Any) -> None:
        chosen = {field.name: options.pop(field.name) for field in offered}
        chosen |= {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
        command(**options, config=TrainConfig(**chosen))

    with_flags.__name__, with_flags.__doc__ = command.__name__, command.__doc__
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in own if p.name != "config"] + flags
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags


@app.command()
@config_flags
def fit(
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    config: TrainConfig,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    log: Annotated[Path | None, typer.Option(help="Add options and validation figures to this log.")] = None,
    note: Annotated[str, typer.Option(help="What the log says the run is for.")] = "",
) -> None:
    """Train on the training split, tune thresholds on validation, write the model folder."""
    from evenmood.model_folder import check_target
    from train.backend import choose_backend

    check_target(out, overwrite)  # before hours of training, not after them
    choose_backend()
    from train.fit import fit as train_model

    train_model(config, out, say, overwrite=overwrite, restart=restart)
    if log:
        from train.quality_log import add_run

        add_run(out, config, note, log)
    figures = read_brief(out, "validation")
    say(f"{out}: validation macro-F1 {figures['macro_f1']['value']:.3f}, micro-F1 {figures['micro_f1']['value']:.3f}")
    say(f"next: evenmood --model {out} 'some text', or python -m train evaluate {out} --split test")


@app.command()
@config_flags
def vectors(
    out: Annotated[Path, typer.Option(help="File of vectors to write, .vec.")],
    config: TrainConfig,
) -> None:
    """Write the word vectors that a fit with these options starts from, as fastText's text file: for other fits."""
    from train.backend import choose_backend

    if out.suffix != ".vec":
        raise UsageError(f"--out is {out}; the file is a .vec")
    out.parent.mkdir(parents=True, exist_ok=True)
    choose_backend()
    from train.fit import read_data, vocabulary_makers, words_by_id
    from train.vectors import write_vec

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
    from train.quality_log import write_document

    say(f"{out}: {write_document(log, out)} runs")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Split to score.")] = "validation",
    data: Annotated[str | None, typer.Option(help="Data set; its own one if left out.")] = None,
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
        from train.transfer import run_transfer

        options: dict[str, Any] = {"text_column": text_column, "label_column": label_column, "labels_are": labels_are}
        options |= {"all_labels": all_labels, "tune_split": tune_split, "tune_data": tune_data}
        print(run_transfer(str(folder), data, split, mapping, options, json_file, overwrite, save))
        return
    given = [text_column, label_column, tune_split, tune_data, json_file, save, all_labels, labels_are != "auto"]
    if any(given):
        raise UsageError("that option is for other labels than the model's own: name a --mapping too")
    from evenmood.model_folder import figure_text
    from train.card import AVERAGES
    from train.evaluate import evaluate as score_folder

    figures = score_folder(folder, split, data)
    print(f"{split}: {figures['tuned']['rows']:,} texts, tuned thresholds | at 0.5")
    for name, title in AVERAGES:
        print(f"{title:24} {figure_text(figures['tuned'][name]):24} | {figure_text(figures['at_0.5'][name])}")
    without = figures.get("tuned_without_overlap")
    if without:
        print(f"macro-F1 {figure_text(without['macro_f1'])} on the {without['rows']:,} texts of no earlier split")


@app.command()
def label(
    texts: Annotated[
        list[str],
        typer.Option(
            metavar="SOURCE[=FILE.npz:NAME[+FILE.npz:NAME]]",
            help="Text file with a tweet a line, Sentiment140's CSV, or data set (its training split); after the = "
            "arrays of probabilities that are there already, a row for each text. May be repeated.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write: text and 28 probabilities.")],
    teacher: Annotated[
        list[str] | None, typer.Option(help="Folder or Hub id; labels every source. May be repeated: the mean counts.")
    ] = None,
    official: Annotated[
        str, typer.Option(help="Data set whose validation and test texts no added text may nearly equal.")
    ] = GOEMOTIONS,
    runtime: Annotated[Literal["torch", "onnx"], typer.Option(help="What the teachers run on.")] = "torch",
    batch_size: Annotated[int, typer.Option(min=1, help="Texts that go through a teacher at a time.")] = 64,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Give texts the mean probabilities of one or more teachers: soft targets for a distillation."""
    from train.label import label as write_targets
    from train.label import parse_source

    write_targets(
        [parse_source(given) for given in texts],
        teacher or [],
        out,
        official,
        say,
        runtime=runtime,
        batch_size=batch_size,
        restart=restart,
        overwrite=overwrite,
    )


@app.command()
def augment(
    out: Annotated[Path, typer.Option(help="Text file to write, a text a line; `label` reads it.")],
    encoder: Annotated[str, typer.Option(help="Folder or Hub id of an encoder that says which words are near.")],
    data: Annotated[str, typer.Option(help="Data set whose training split is varied.")] = GOEMOTIONS,
    copies: Annotated[int, typer.Option(min=1, help="Texts drawn from each text.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Write further texts like those of the training split, for a teacher to label."""
    from train.augment import augment as write_texts

    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists; choose another --out, or add --overwrite")
    say(f"{out}: {write_texts(data, encoder, out, copies, seed, say):,} texts; next: python -m train label")


@app.command()
def thresholds(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    data: Annotated[str | None, typer.Option(help="Data set; its own one if left out.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times that the rows are dealt anew.")] = 10,
) -> None:
    """Compare ways to tune thresholds and to calibrate, by cross-validation on validation alone."""
    from train.threshold_study import study, table

    print("\n".join(table(study(folder, data, repeats))))


@app.command()
def teacher(
    base: Annotated[str, typer.Option(help="Folder or Hub id of a transformers encoder with safetensors weights.")],
    out: Annotated[Path, typer.Option(help="Folder to write; `label` and `data_build relabel` read it.")],
    data: Annotated[str, typer.Option(help="Data set to train on.")] = GOEMOTIONS,
    epochs: Annotated[int, typer.Option(help="Passes over the training split; the best one is kept.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Texts a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The encoder's highest; 5e-5 for 110 million weights.")] = 2e-4,
    head_factor: Annotated[float, typer.Option(help="How many times that the classification head's is.")] = 5.0,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which the learning rate rises.")] = 0.05,
    weight_decay: Annotated[float, typer.Option(help="AdamW's.")] = 0.01,
    max_tokens: Annotated[int, typer.Option(help="Word pieces that a text is cut to.")] = 128,
    weights: Annotated[Literal["float16", "float32"], typer.Option(help="Format of the stored weights.")] = "float16",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Fine-tune an encoder for the 28 labels: a teacher of one's own."""
    from train.encoder import TeacherConfig
    from train.teacher import train_teacher

    config = TeacherConfig(
        base=base,
        data=data,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        head_factor=head_factor,
        warmup=warmup,
        weight_decay=weight_decay,
        max_tokens=max_tokens,
        weights=weights,
        seed=seed,
    )
    figures = train_teacher(config, out, say, restart=restart, overwrite=overwrite)["validation"]
    say(f"{out}: validation macro-F1 {figures['macro_f1']['value']:.3f}, micro-F1 {figures['micro_f1']['value']:.3f}")


@app.command()
def robustness(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    data: Annotated[str | None, typer.Option(help="Data set; its own one if left out.")] = None,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Split to perturb.")] = "validation",
    out: Annotated[Path | None, typer.Option(help="File for the figures; else the model folder and its card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
) -> None:
    """Measure what typos, casing, negation, names, identity terms and sarcasm do to a model's answers."""
    from train.robustness import run_robustness

    print(run_robustness(str(folder), data, split, out, overwrite))


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
) -> None:
    """Mean figures of a configuration over several seeds, with intervals over texts and seeds."""
    from evenmood.model_folder import figure_text
    from train.seeds import keep, over_seeds, plain_copies

    if against and against_plain:
        raise UsageError("--against names other models, --against-plain copies of the same; choose one")
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
def bundle(
    folders: Annotated[list[Path], typer.Argument(help="Model folders, evaluated on validation and test.")],
    package: Annotated[Path, typer.Option(help="Folder of the default model.")] = Path("evenmood/default_model"),
    results: Annotated[Path, typer.Option(help="Results file to write.")] = Path("results/default_model.json"),
    terms: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Markdown for the card's section on licence.")
    ] = None,
) -> None:
    """Make the best model folder by validation the default: copy what predicts, and keep its figures as a file."""
    from train.bundle import best_of
    from train.bundle import bundle as make_default

    say(make_default(best_of(folders), package, results, terms))


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    repo: Annotated[str, typer.Argument(help="Hub repository, namespace/name; created if there is none.")],
    private: Annotated[bool | None, typer.Option(help="Whether a new repository is private.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch; created if there is none.")] = None,
    message: Annotated[str, typer.Option(help="First line of the commit.")] = "Upload evenmood model",
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
) -> None:
    """Upload a model folder to the Hub in one commit; the token is HF_TOKEN's or the one of `hf auth login`."""
    from evenmood import EmotionClassifier, ModelError
    from train.card import check_card

    if not folder.is_dir():
        raise ModelError(f"no folder {folder}")
    classifier = EmotionClassifier.from_pretrained(folder)
    check_card(folder)
    made = classifier.push_to_hub(repo, private=private, revision=revision, commit_message=message, create_pr=create_pr)
    if not made.changed:
        say(f"nothing has changed since commit {made.commit[:8]}: no new one was made")
    print(made.url)


Repo = Annotated[str, typer.Argument(help="Model repository on the Hub to push to, namespace/name.")]
Private = Annotated[bool | None, typer.Option(help="Whether a new repository is private.")]
Test = Annotated[bool, typer.Option("--test", help="Read the test split too, for the report.")]


@app.command()
@config_flags
def remote(
    repo: Repo,
    config: TrainConfig,
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("evenmood-model"),
    test: Test = False,
    private: Private = None,
    save_minutes: Annotated[float, typer.Option(help="Shortest time between two uploads of the unfinished run.")] = 5.0,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Fit and push, with the unfinished run kept on the Hub: killed and run again anywhere, it goes on."""
    from train.backend import choose_backend

    choose_backend()
    from train import remote as machine

    made = machine.train(
        config,
        repo,
        out,
        say,
        test=test,
        private=private,
        save_minutes=save_minutes,
        restart=restart,
        overwrite=overwrite,
    )
    print(made.url)


@app.command()
@config_flags
def job(
    repo: Repo,
    config: TrainConfig,
    flavor: Annotated[str, typer.Option(help="Hardware, as `hf jobs hardware` lists it.")] = "t4-small",
    timeout: Annotated[str, typer.Option(help="After which the job is stopped.")] = "3h",
    test: Test = False,
    private: Private = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run; else it goes on.")] = False,
) -> None:
    """Rent a GPU on the Hub that fits and pushes; run again after it died, it goes on."""
    from train import remote as machine

    options = [
        *(["--test"] if test else []),
        *([] if private is None else ["--private" if private else "--no-private"]),
    ]
    print(machine.start(config, repo, say, flavor, timeout, options, restart))


@app.command()
@partial(config_flags, without=("data", "pooling", "seed"))
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
) -> None:
    """The paper's experiments: balanced or not, attention or average, over several seeds, and their report."""
    from train.backend import choose_backend

    choose_backend()
    from train import ablate as experiments
    from train.arms import DEFAULT_ARMS

    experiments.ablate(
        build,
        out,
        config,
        say,
        arms=arms or DEFAULT_ARMS,
        seeds=seeds,
        results=results,
        document=document,
        report_only=report_only,
    )


def read_brief(folder: Path, split: str) -> Any:
    """The figures of a split that `emotions.json` carries."""
    from evenmood.model_folder import read_info

    return read_info(folder).metrics[split]


def main() -> None:
    """Run the command line."""
    run(app, "python -m train")


if __name__ == "__main__":
    main()
