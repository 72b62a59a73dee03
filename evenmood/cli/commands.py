"""The `evenmood` command: classify a text, predict a table, report on it, describe a model."""

import difflib
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evenmood.cli.command import DEBUG_FLAG, as_utf8, can_print, prepare_streams, print_json, run
from evenmood.cli.help import ADVANCED, OUTPUT, CommandGroup
from evenmood.cli.options import (
    Column,
    Delimiter,
    Encoding,
    InputKind,
    Json,
    MessageCounter,
    Model,
    Quiet,
    Revision,
    Sheet,
    SkipBad,
    check_kinds,
    check_stdout,
    load,
    progress_bar,
)
from evenmood.cli.report_command import report
from evenmood.errors import UsageError
from evenmood.system.paths import expand_home

app = typer.Typer(
    cls=CommandGroup,
    help="Classify the emotions of texts: 28 labels, each with its own threshold.\n\n"
    "Example: evenmood 'Thank you so much!'",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="`evenmood TEXT` is short for `evenmood text TEXT`. --debug shows the traceback of an error.",
)
COMMANDS = ("text", "predict", "report", "info")
Format = Literal["csv", "tsv", "jsonl", "parquet", "xlsx"]
FLAGS = ("--proba", "--json", "--help")
"""Options of `evenmood text` without a value."""
VALUE_OPTIONS = ("--model", "--revision")
"""Options of `evenmood text` with a value."""
OPTION = re.compile(r"--[a-z][a-z-]*(=.*)?")
MIN_SIMILARITY = 0.85
"""Minimum difflib ratio at which a word is treated as a mistyped command."""


def _version(value: bool) -> None:
    if value:
        from evenmood import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """Define the options of the command itself."""


@app.command("text")
def classify(
    words: Annotated[
        list[str], typer.Argument(metavar="TEXT", help="One text; unquoted words are joined; - for standard input")
    ],
    model: Model = None,
    revision: Revision = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Show all labels, not only the predicted ones", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the emotions of one text.

    Example: evenmood text "Thank you so much!" --proba
    """
    check_stdout()
    if words == ["-"] and sys.stdin is None:
        raise UsageError("standard input is closed; give the text as an argument")
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if words == ["-"] else as_utf8(" ".join(words))
    classifier = load(model, revision)
    prediction = classifier.predict(text)
    by_label = prediction.probabilities
    if as_json:
        print_json(prediction.to_dict())
        return
    shown_labels = sorted(by_label, key=by_label.__getitem__, reverse=True) if proba else prediction.labels
    width, block = max(map(len, shown_labels)), "█" if can_print("█") else "#"
    for label in shown_labels:
        bar = block * round(by_label[label] * 20)
        mark = "*" if proba and label in prediction.labels else " " if proba else ""
        print(f"{label:{width}} {by_label[label]:5.2f} {mark} {bar:20} threshold {classifier.thresholds[label]:.2f}")
    if prediction.fallback:
        print(f"No label reaches its threshold; the most probable one is {prediction.labels[0]}.")


@app.command()
def predict(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="CSV, TSV, JSON Lines, Parquet, Excel or .txt file; - for stdin")
    ],
    target: Annotated[str, typer.Argument(metavar="[OUT]", help="File to write; - for stdout")] = "-",
    column: Column = "text",
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Format of OUT; default: from its file name; "
            "for stdout, that of IN (jsonl for Parquet, csv for Excel and text)",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    input_format: InputKind = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Restrict output to these labels, comma-separated: joy,anger", rich_help_panel=OUTPUT),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Add a column per label with its probability", rich_help_panel=OUTPUT)
    ] = False,
    emotions_only: Annotated[
        bool,
        typer.Option(
            "--emotions-only", help="Write only the output columns and the --id column", rich_help_panel=OUTPUT
        ),
    ] = False,
    id_column: Annotated[
        str | None, typer.Option("--id", help="Column to keep with --emotions-only", rich_help_panel=OUTPUT)
    ] = None,
    model: Model = None,
    revision: Revision = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it exists", rich_help_panel=OUTPUT)
    ] = False,
    skip_bad: SkipBad = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat rows without a text as invalid", rich_help_panel=ADVANCED)
    ] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    output_encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of OUT (CSV, TSV); default: that of IN if the formats match, else utf-8",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output_delimiter: Annotated[
        str | None,
        typer.Option(
            help="Delimiter of OUT (CSV); default: that of IN if it is CSV, else a comma", rich_help_panel=OUTPUT
        ),
    ] = None,
    quiet: Quiet = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Run in this process or on a Ray cluster (Parquet only)", rich_help_panel=ADVANCED),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="Cluster address for --engine ray; default: this machine", rich_help_panel=ADVANCED),
    ] = None,
) -> None:
    """Add emotion columns to a table.

    Example: evenmood predict comments.csv comments-with-emotions.csv

    Appends the columns emotions, emotion_probabilities and emotion_fallback.
    They are empty (CSV) or null (JSON Lines, Parquet) in rows without a text.
    The table is streamed, so its size is not limited.
    """
    from evenmood.tables import emotion_columns
    from evenmood.tables import streams as tables
    from evenmood.tables.table_files import STANDARD_OUTPUT, STREAM, check_output
    from evenmood.tables.text_format import TextFormat, check_delimiter, check_encoding

    target = STREAM if target in STANDARD_OUTPUT else target
    kind = tables.format_of(source, input_format, "--input-format")
    if output_format is None and target == STREAM:
        output_format = {"parquet": "jsonl", "xlsx": "csv", "txt": "csv"}.get(kind, kind)  # type: ignore[assignment]
    out_kind = tables.format_of(target, output_format, "--format")
    if out_kind == "txt":
        raise UsageError(f"{target}: a text file has no columns; use .csv, .tsv, .jsonl, .parquet or .xlsx")
    if Path(source).is_file() and Path(target).exists() and Path(source).samefile(target):
        raise UsageError(f"{target} is the input file; choose another name")
    check_output(target, overwrite)
    check_kinds(
        ("--encoding", encoding, kind, ("csv", "tsv", "jsonl", "txt")),
        ("--delimiter", delimiter, kind, ("csv",)),
        ("--sheet", sheet, kind, ("xlsx",)),
        ("--output-encoding", output_encoding, out_kind, ("csv", "tsv")),
        ("--output-delimiter", output_delimiter, out_kind, ("csv",)),
    )
    encoding = check_encoding(encoding, "--encoding")
    output_encoding = check_encoding(output_encoding, "--output-encoding")
    delimiter = check_delimiter(delimiter, "--delimiter")
    output_delimiter = check_delimiter(output_delimiter, "--output-delimiter")
    if engine == "ray" and (kind != "parquet" or out_kind != "parquet" or STREAM in (source, target)):
        raise UsageError("--engine ray requires Parquet files as input and output")
    if engine == "local" and ray_address:
        raise UsageError("--ray-address requires --engine ray")
    if id_column is not None and not emotions_only:
        raise UsageError("--id requires --emotions-only; by default all columns are kept")
    classifier = load(model, revision)
    selected_labels = _parse_labels(labels, classifier.labels)
    output_columns = emotion_columns.output_columns_of(selected_labels, proba)
    column = tables.find_column(source, kind, column, delimiter, encoding, sheet)
    input_columns = None
    if emotions_only:
        ids = [] if id_column is None else [id_column]
        input_columns = [tables.find_column(source, kind, name, delimiter, encoding, sheet) for name in ids]
    bad, suspicious = MessageCounter(), MessageCounter()
    count = long_texts = missing = 0
    text_format: TextFormat | None = None
    on_invalid = bad.add if skip_bad else tables.raise_error
    with ExitStack() as stack:
        advance = progress_bar(stack, quiet)
        if engine == "ray":
            from evenmood.distributed import ray_cluster as cluster

            model_name = str(expand_home(model).resolve()) if model and expand_home(model).is_dir() else model
            arguments = {"model": model_name, "revision": revision, "selected_labels": selected_labels, "proba": proba}
            pieces = cluster.predict_file(source, column, output_columns, arguments, ray_address, input_columns)
            count, missing = cluster.write_file(pieces, target, column, source, on_invalid, advance, overwrite, strict)
        else:
            job = emotion_columns.TableJob(
                source, kind, target, out_kind, column, selected_labels, proba, on_invalid, overwrite, strict
            )
            job = replace(job, input_columns=input_columns)
            job = replace(job, on_suspicious_row=suspicious.add, encoding=encoding, delimiter=delimiter, sheet=sheet)
            job = replace(job, output_encoding=output_encoding, output_delimiter=output_delimiter)
            for progress in emotion_columns.predict_table(classifier, job):
                if progress.text_format and text_format is None:
                    text_format = progress.text_format
                    if described := text_format.describe(kind):
                        print(f"{source}: read as {described}", file=sys.stderr)
                count += progress.rows
                long_texts += progress.long_texts
                missing += progress.missing
                advance(count, progress.share_read)
    if long_texts:
        size = classifier.info.max_length
        print(f"texts of more than {size} tokens, split into overlapping windows: {long_texts:,}", file=sys.stderr)
    if missing:
        print(f"rows without a text, which got an empty prediction: {missing:,} of {count:,}", file=sys.stderr)
    if suspicious.count:
        print(
            f"rows that may contain several rows (a stray quotation mark?): {suspicious.count:,}; "
            f"the first: {suspicious.first}",
            file=sys.stderr,
        )
    if bad.count:
        print(f"invalid rows skipped: {bad.count:,} of {count + bad.count:,}; the first: {bad.first}", file=sys.stderr)


app.command()(report)


@app.command()
def info(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="fast, accurate, a folder or a Hub id; default: fast")
    ] = None,
    model: Model = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Describe a model: labels, thresholds, metrics, origin, size.

    Example: evenmood info accurate
    """
    check_stdout()
    if name and model:
        raise UsageError(f"two models: {name!r} and --model {model!r}; expected one")
    classifier = load(name or model, revision)
    about = classifier.info
    if as_json:
        print_json({**asdict(about), "bytes": classifier.file_sizes()})
        return
    from evenmood.labels import GROUP_OF
    from evenmood.model.model_folder import format_metric

    split = next((name for name in ("test", "validation") if name in about.metrics), None)
    metrics: Any = about.metrics[split] if split else {}
    per_label = metrics.get("per_label", {})
    size = sum(classifier.file_sizes().values()) / 1e6
    network = "attention" if about.attention else "average pooling" if about.kind == "bilstm" else about.kind
    windows = f"windows of {about.max_length} tokens"
    print(f"{classifier.folder}: {size:.1f} MB, {len(about.labels)} labels, {windows}, {network}")
    for key, title in (
        *(("data", "training data"), ("vectors", "word vectors"), ("base", "base model")),
        ("evenmood", "evenmood version"),
    ):
        if key in about.trained_from:
            print(f"{title}: {about.trained_from[key]}")
    for key, title in (("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"), ("macro_roc_auc", "macro ROC AUC")):
        if key in metrics:
            print(f"{title} on {split}: {format_metric(metrics[key])}")
    print(
        f"\n{'label':16}{'group':11}{'threshold':>9}"
        + (f"{'texts':>8}{'precision':>11}{'recall':>8}{'F1':>7}" * bool(per_label))
    )
    for label in about.labels:
        line = f"{label:16}{GROUP_OF.get(label, ''):11}{about.thresholds[label]:9.2f}"
        if label in per_label:
            row = per_label[label]
            line += f"{row['support']:8}{row['precision']:11.2f}{row['recall']:8.2f}{row['f1']:7.2f}"
        print(line)


def _parse_labels(labels: str | None, model_labels: Sequence[str]) -> list[str]:
    if labels is None:
        return list(model_labels)
    selected_labels = list(dict.fromkeys(label.strip() for label in labels.split(",") if label.strip()))
    unknown = [label for label in selected_labels if label not in model_labels]
    if unknown or not selected_labels:
        name = unknown[0] if unknown else labels
        raise UsageError(f"--labels: unknown label {name!r}; expected one of: {', '.join(model_labels)}")
    return selected_labels


def arguments_of(command_line: Sequence[str], piped: bool) -> list[str]:
    """Insert the default subcommand: `evenmood 'some text'` becomes `evenmood text 'some text'`.

    Args:
        command_line: Arguments as typed.
        piped: Whether standard input is not a terminal and may contain the text.

    Raises:
        UsageError: The first word looks like a mistyped command.
    """
    if not command_line:
        return ["text", "-"] if piped else []
    if command_line[0] in (*COMMANDS, "--version", "--help"):
        return list(command_line)
    options, words, remaining = [], [], list(command_line)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            words += remaining
            break
        if word in FLAGS or (OPTION.fullmatch(word) and word not in VALUE_OPTIONS):
            options.append(word)
        elif word in VALUE_OPTIONS:
            options += [word, *remaining[:1]]
            remaining = remaining[1:]
        else:
            words.append(word)
    similar = (
        difflib.get_close_matches(words[0], COMMANDS, 1, MIN_SIMILARITY) if words and "--" not in command_line else []
    )
    if similar:
        raise UsageError(
            f"unknown command {words[0]!r}; did you mean {similar[0]}? (to classify the word: evenmood text {words[0]})"
        )
    if not words and piped:
        words = ["-"]
    return ["text", *options, *(["--", *words] if words else [])]


def main() -> None:
    """Run the command line."""
    prepare_streams()
    command_line = [word for word in sys.argv[1:] if word != DEBUG_FLAG]
    debug = [DEBUG_FLAG] if len(command_line) < len(sys.argv) - 1 else []
    piped = sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty()
    try:
        arguments = arguments_of(command_line, piped)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run(app, "evenmood", [*debug, *arguments])
