"""Commands of distillation: teacher, augment, label."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from evenmood.data.splits import GOEMOTIONS
from evenmood.errors import UsageError
from train.cli.commands import app, say


@app.command()
def teacher(
    base: Annotated[str, typer.Option(help="Folder or Hub id of a transformers encoder with safetensors weights.")],
    out: Annotated[Path, typer.Option(help="Folder to write; `label` and `data_build relabel` read it.")],
    data: Annotated[str, typer.Option(help="Data set to train on.")] = GOEMOTIONS,
    extra: Annotated[str | None, typer.Option(help="Further training texts, a data set as --data.")] = None,
    extra_repeats: Annotated[int, typer.Option(help="Times that each extra text is read in an epoch.")] = 2,
    fold: Annotated[
        str | None, typer.Option(metavar="K/N", help="Leave out part K of N of the extra texts, for cross-validation.")
    ] = None,
    soft_targets: Annotated[
        str | None, typer.Option(help="Another teacher's probabilities of the training split, as `label` writes them.")
    ] = None,
    label_share: Annotated[float, typer.Option(help="Share of the labels where there are soft targets.")] = 0.5,
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
    from train.distillation.encoder import TeacherConfig
    from train.distillation.teacher import train_teacher

    config = TeacherConfig(
        base=base,
        data=data,
        extra=extra,
        extra_repeats=extra_repeats,
        fold=fold,
        soft_targets=soft_targets,
        label_share=label_share,
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
def augment(
    out: Annotated[Path, typer.Option(help="Text file to write, a text a line; `label` reads it.")],
    encoder: Annotated[str, typer.Option(help="Folder or Hub id of an encoder that says which words are near.")],
    data: Annotated[str, typer.Option(help="Data set whose training split is varied.")] = GOEMOTIONS,
    copies: Annotated[int, typer.Option(min=1, help="Texts drawn from each text.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what lies at --out.")] = False,
) -> None:
    """Write further texts like those of the training split, for a teacher to label."""
    from train.distillation.augment import augment as write_texts

    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists; choose another --out, or add --overwrite")
    say(f"{out}: {write_texts(data, encoder, out, copies, seed, say):,} texts; next: python -m train label")


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
    from train.distillation.label import label as write_targets
    from train.distillation.label import parse_source

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
