"""Commands of the accurate model: prune, encoder."""

from pathlib import Path
from typing import Annotated

import typer

from train.cli.commands import app, say


@app.command()
def prune(
    base: Annotated[str, typer.Option(help="Folder or Hub id of a BERT encoder with safetensors weights")],
    texts: Annotated[
        list[str],
        typer.Option(metavar="SOURCE", help="Text file, Sentiment140 CSV or data set to count pieces in, repeatable"),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; `teacher --base` reads it")],
    size: Annotated[int, typer.Option(min=1000, help="Tokens of the new vocabulary")] = 12_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out")] = False,
) -> None:
    """Prune an encoder's vocabulary to the word pieces that texts need, before `teacher`.

    Example: python -m train prune --base models/teacher --texts data_build/written --out models/pruned
    """
    from train.distillation.label import Source, read_texts
    from train.encoder.vocabulary import prune as write_pruned

    samples = [read_texts(Source(name, ()), say) for name in texts]
    tokens = write_pruned(base, samples, size, out, overwrite=overwrite)
    say(f"{out}: {tokens:,} tokens; next: python -m train teacher --base {out} --out …")


@app.command()
def encoder(
    teacher: Annotated[Path, typer.Argument(help="Folder that `teacher` wrote")],
    out: Annotated[Path, typer.Option(help="Model folder to write")],
    calibration_texts: Annotated[
        int, typer.Option(min=1, help="Training texts of each data set that activations are scaled on")
    ] = 256,
    terms: Annotated[Path | None, typer.Option(help="Markdown file for the card's section on licence")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing --out")] = False,
) -> None:
    """Export a fine-tuned encoder as an int8 model folder, with thresholds tuned on validation.

    Example: python -m train encoder models/teacher --out models/accurate
    """
    from train.encoder.export import EncoderConfig, export

    config = EncoderConfig(str(teacher), calibration_texts, None if terms is None else str(terms))
    moved = export(config, out, say, overwrite=overwrite)
    for split in ("validation", "everyday"):
        if split in moved:
            before, after = moved[split]["macro_f1_float32"], moved[split]["macro_f1_int8"]
            say(f"{split}: macro-F1 {before:.4f} in float32, {after:.4f} as stored")
    say(f"{out}: {sum(moved['bytes'].values()) / 1e6:.1f} MB; next: python -m train evaluate {out} --split test")
