"""The `evenmood report` command: an HTML page about a table of texts."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from evenmood.cli.help import INPUT, OUTPUT
from evenmood.cli.options import (
    Column,
    Delimiter,
    Encoding,
    InputKind,
    MessageCounter,
    Model,
    Quiet,
    Revision,
    Sheet,
    SkipBad,
    check_kinds,
    load,
    progress_bar,
)
from evenmood.errors import UsageError

READ_ROWS = 5000
"""Rows per chunk; larger chunks are faster to count."""


def report(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="CSV, TSV, JSON Lines, Parquet, Excel or .txt file; - for stdin")
    ],
    target: Annotated[str, typer.Argument(metavar="OUT", help="HTML file to write; - for stdout")],
    column: Column = "text",
    time: Annotated[
        str | None, typer.Option(help="Date or time column for the timeline", rich_help_panel=INPUT)
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Column with the groups to compare, such as product or country", rich_help_panel=INPUT),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Also write the statistics to this JSON file", rich_help_panel=OUTPUT)
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the page; default: the name of IN", rich_help_panel=OUTPUT)
    ] = None,
    note: Annotated[str | None, typer.Option(help="Note at the top of the page", rich_help_panel=OUTPUT)] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help="Date format, such as '%d/%m/%Y'; default: detected", rich_help_panel=INPUT),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Date shown on the page; default: today", rich_help_panel=OUTPUT),
    ] = None,
    input_format: InputKind = None,
    model: Model = None,
    revision: Revision = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files", rich_help_panel=OUTPUT)
    ] = False,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    quiet: Quiet = False,
) -> None:
    """Write an HTML report about the emotions in a table of texts.

    Example: evenmood report comments.csv report.html --time date --group product

    The page is self-contained and shows the share of each emotion, changes over
    time, differences between groups, typical texts and uncertain predictions.
    The table is streamed, so its size is not limited.
    """
    from evenmood import __version__
    from evenmood.report.counts import ScoredTexts
    from evenmood.report.dates import check_format
    from evenmood.report.page import ReportMetadata
    from evenmood.report.write import write_report
    from evenmood.tables import streams as tables
    from evenmood.tables.chunk import check_column
    from evenmood.tables.emotion_columns import texts_of
    from evenmood.tables.table_files import STREAM, check_output
    from evenmood.tables.text_format import check_delimiter, check_encoding

    kind = tables.format_of(source, input_format, "--input-format")
    targets = [target, *([json_file] if json_file else [])]
    if len({name if name == STREAM else str(Path(name).absolute()) for name in targets}) < len(targets):
        raise UsageError(f"{target} and --json {json_file} are the same file; choose another name for one")
    for name in targets:
        if Path(source).is_file() and Path(name).exists() and Path(source).samefile(name):
            raise UsageError(f"{name} is the input file; choose another name")
        check_output(name, overwrite)
    check_kinds(
        ("--encoding", encoding, kind, ("csv", "tsv", "jsonl", "txt")),
        ("--delimiter", delimiter, kind, ("csv",)),
        ("--sheet", sheet, kind, ("xlsx",)),
    )
    if time_format is not None:
        if time is None:
            raise UsageError("--time-format requires --time")
        check_format(time_format)
    encoding = check_encoding(encoding, "--encoding")
    delimiter = check_delimiter(delimiter, "--delimiter")
    classifier = load(model, revision)
    column = tables.find_column(source, kind, column, delimiter, encoding, sheet)
    time, group = (
        name and tables.find_column(source, kind, name, delimiter, encoding, sheet) for name in (time, group)
    )
    bad = MessageCounter()

    with ExitStack() as stack:
        advance = progress_bar(stack, quiet)

        def batches() -> Iterator[ScoredTexts]:
            rows = 0
            for chunk in tables.read_chunks(
                source,
                kind,
                column,
                bad.add if skip_bad else tables.raise_error,
                READ_ROWS,
                delimiter,
                encoding=encoding,
                allow_null=True,
                sheet=sheet,
            ):
                if kind != "jsonl":  # rows of JSON Lines may have different keys
                    for name in (time, group):
                        check_column(name, chunk.columns, source)
                texts = texts_of(chunk, column, kind)
                output = classifier.read(texts)
                yield ScoredTexts(
                    texts,
                    output.probabilities,
                    output.windows,
                    [row.get(time) for row in chunk.rows] if time else None,
                    [row.get(group) for row in chunk.rows] if group else None,
                )
                rows += len(texts)
                advance(rows, chunk.share_read)

        about = ReportMetadata(
            title=title or (Path(source).name if source != STREAM else "standard input"),
            model=model or "bundled model",
            version=__version__,
            text_column=column,
            group_column=group,
            note=note,
            day=day.date() if day else date.today(),
            metrics=classifier.info.metrics,
        )
        statistics = write_report(
            target,
            batches(),
            classifier.thresholds,
            about,
            json_target=json_file,
            time_format=time_format,
            overwrite=overwrite,
        )
    if statistics.missing:
        print(f"rows without a text, skipped: {statistics.missing:,} of {statistics.rows:,}", file=sys.stderr)
    if statistics.undated:
        print(f"texts without a valid date: {statistics.undated:,} of {statistics.texts:,}", file=sys.stderr)
    if bad.count:
        print(
            f"invalid rows skipped: {bad.count:,} of {statistics.rows + bad.count:,}; the first: {bad.first}",
            file=sys.stderr,
        )
