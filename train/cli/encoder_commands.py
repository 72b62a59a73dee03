"""Commands for the accurate model: prune, average, encoder, dequantize."""

from pathlib import Path
from typing import Annotated

import typer

from evenmood.cli.help import INPUT, MODEL, OUTPUT
from train.cli.commands import Overwrite, app, log


@app.command()
def prune(
    base: Annotated[str, typer.Option(help="Folder or Hub id of a BERT encoder (safetensors)", rich_help_panel=MODEL)],
    texts: Annotated[
        list[str],
        typer.Option(
            metavar="SOURCE",
            help="Text file, Sentiment140 CSV or data set in which to count word pieces; repeatable",
            rich_help_panel=INPUT,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Encoder folder, for teacher --base", rich_help_panel=OUTPUT)],
    size: Annotated[int, typer.Option(min=1000, help="Size of the vocabulary", rich_help_panel=MODEL)] = 12_000,
    overwrite: Overwrite = False,
) -> None:
    """Prune an encoder's vocabulary to the most frequent word pieces of texts, before fine-tuning.

    Example: python -m train prune --base models/teacher --texts data_build/written --out models/pruned
    """
    from train.distillation.label import Source, read_texts
    from train.encoder.vocabulary import prune as write_pruned

    samples = [read_texts(Source(name, ()), log) for name in texts]
    tokens = write_pruned(base, samples, size, out, overwrite=overwrite)
    log(f"{out}: {tokens:,} tokens; next: python -m train teacher --base {out} --out …")


@app.command()
def average(
    teachers: Annotated[list[Path], typer.Argument(help="Folders written by the command teacher, with other seeds")],
    out: Annotated[Path, typer.Option(help="Teacher folder", rich_help_panel=OUTPUT)],
    overwrite: Overwrite = False,
) -> None:
    """Average the weights of teachers that differ only in their seed.

    Example: python -m train average models/teacher-0 models/teacher-1 --out models/teacher
    """
    from train.encoder.average import average as write_average

    record = write_average(teachers, out, overwrite=overwrite)
    macro_f1 = record["validation"]["macro_f1"]["value"]
    log(f"{out}: validation macro-F1 {macro_f1:.3f}; next: python -m train encoder {out} --out …")


@app.command()
def encoder(
    teacher: Annotated[Path, typer.Argument(help="Folder written by the command teacher")],
    out: Annotated[Path, typer.Option(help="Model folder", rich_help_panel=OUTPUT)],
    terms: Annotated[
        Path | None, typer.Option(help="Markdown for the license section of the card", rich_help_panel=INPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a fine-tuned encoder as a quantized model folder, with thresholds tuned on the validation split.

    Example: python -m train encoder models/teacher --out models/accurate
    """
    from train.encoder.export import export

    quantization = export(teacher, out, log, terms=terms, overwrite=overwrite)
    for split in ("validation", "everyday"):
        if split in quantization:
            before, after = quantization[split]["macro_f1_float32"], quantization[split]["macro_f1_int8"]
            log(f"{split}: macro-F1 {before:.4f} in float32, {after:.4f} quantized")
    log(f"{out}: {sum(quantization['bytes'].values()) / 1e6:.1f} MB; next: python -m train evaluate {out} --split test")


@app.command()
def dequantize(
    model: Annotated[str, typer.Argument(help="accurate, a folder written by the command encoder, or a Hub id")],
    out: Annotated[Path, typer.Option(help="Encoder folder, for teacher --base", rich_help_panel=OUTPUT)],
    overwrite: Overwrite = False,
) -> None:
    """Write an accurate model as a transformers encoder, to continue its training.

    Example: python -m train dequantize accurate --out models/base
    """
    from train.encoder.dequantize import dequantize as write_dequantized

    write_dequantized(model, out, overwrite=overwrite)
    log(f"{out}: encoder; next: python -m train teacher --base {out} --out …")
