"""Commands for distillation: teacher, augment, label."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from evenmood.cli.help import ADVANCED, INPUT, MODEL, OUTPUT, TRAINING
from evenmood.data.splits import GOEMOTIONS
from evenmood.errors import UsageError
from train.cli.commands import Overwrite, Restart, Seed, app, log


@app.command()
def teacher(
    base: Annotated[
        str,
        typer.Option(help="Folder or Hub id of a transformers encoder (safetensors)", rich_help_panel=MODEL),
    ],
    out: Annotated[Path, typer.Option(help="Teacher folder, for label and data_build", rich_help_panel=OUTPUT)],
    data: Annotated[str, typer.Option(help="Data set to train on", rich_help_panel=INPUT)] = GOEMOTIONS,
    extra: Annotated[
        str | None, typer.Option(help="Additional training data, as for --data", rich_help_panel=INPUT)
    ] = None,
    extra_repeats: Annotated[
        int, typer.Option(help="Repetitions of the additional data per epoch", rich_help_panel=INPUT)
    ] = 2,
    fold: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Hold out part K of N of the additional data", rich_help_panel=INPUT),
    ] = None,
    soft_targets: Annotated[
        list[str] | None,
        typer.Option(
            help="Parquet file written by train label, for the training split or unlabeled texts; repeatable",
            rich_help_panel=INPUT,
        ),
    ] = None,
    label_share: Annotated[
        float, typer.Option(help="Weight of the labels in a blended target, 0 to 1", rich_help_panel=INPUT)
    ] = 0.5,
    epochs: Annotated[int, typer.Option(help="Number of epochs; the best one is kept", rich_help_panel=TRAINING)] = 5,
    batch_size: Annotated[int, typer.Option(help="Texts per batch", rich_help_panel=TRAINING)] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="Peak learning rate of the encoder", rich_help_panel=TRAINING)
    ] = 2e-4,
    head_factor: Annotated[
        float,
        typer.Option(
            help="Learning rate of the classification head, relative to the encoder's", rich_help_panel=ADVANCED
        ),
    ] = 5.0,
    warmup: Annotated[float, typer.Option(help="Share of warmup steps, 0 to 1", rich_help_panel=ADVANCED)] = 0.05,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW", rich_help_panel=ADVANCED)] = 0.01,
    max_tokens: Annotated[int, typer.Option(help="Maximum text length in word pieces", rich_help_panel=MODEL)] = 128,
    weights: Annotated[
        Literal["float16", "float32"], typer.Option(help="Format of the stored weights", rich_help_panel=MODEL)
    ] = "float16",
    seed: Seed = 0,
    restart: Restart = False,
    overwrite: Overwrite = False,
) -> None:
    """Fine-tune an encoder for the 28 labels, as a teacher for distillation or an accurate model.

    Example: python -m train teacher --base models/pruned --out models/teacher
    """
    from train.distillation.encoder import TeacherConfig
    from train.distillation.teacher import train_teacher

    config = TeacherConfig(
        base=base,
        data=data,
        extra=extra,
        extra_repeats=extra_repeats,
        fold=fold,
        soft_targets=tuple(soft_targets or ()),
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
    metrics = train_teacher(config, out, log, restart=restart, overwrite=overwrite)["validation"]
    log(f"{out}: validation macro-F1 {metrics['macro_f1']['value']:.3f}, micro-F1 {metrics['micro_f1']['value']:.3f}")


@app.command()
def augment(
    out: Annotated[Path, typer.Option(help="Text file with one text per line", rich_help_panel=OUTPUT)],
    encoder: Annotated[
        str, typer.Option(help="Folder or Hub id of an encoder for word similarity", rich_help_panel=MODEL)
    ],
    data: Annotated[
        str, typer.Option(help="Data set whose training split is augmented", rich_help_panel=INPUT)
    ] = GOEMOTIONS,
    copies: Annotated[int, typer.Option(min=1, help="Variants per text", rich_help_panel=OUTPUT)] = 5,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Augment the training texts by replacing and removing words, for a teacher to label.

    Example: python -m train augment --encoder models/teacher --out varied.txt
    """
    from train.distillation.augment import augment as write_texts

    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; choose another name, or use --overwrite")
    log(f"{out}: {write_texts(data, encoder, out, copies, seed, log):,} texts; next: python -m train label")


@app.command()
def label(
    texts: Annotated[
        list[str],
        typer.Option(
            metavar="SOURCE[=FILE.npz:NAME[+FILE.npz:NAME]]",
            help="Text file (one per line), Sentiment140 CSV or data set; =FILE.npz:NAME adds existing probabilities; "
            "repeatable",
            rich_help_panel=INPUT,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file with text and 28 probabilities", rich_help_panel=OUTPUT)],
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or Hub id of a teacher; repeatable: probabilities are averaged", rich_help_panel=MODEL
        ),
    ] = None,
    official: Annotated[
        str,
        typer.Option(help="Data set whose validation and test texts are excluded", rich_help_panel=INPUT),
    ] = GOEMOTIONS,
    runtime: Annotated[
        Literal["torch", "onnx"], typer.Option(help="Runtime of the teachers", rich_help_panel=ADVANCED)
    ] = "torch",
    batch_size: Annotated[int, typer.Option(min=1, help="Texts per batch", rich_help_panel=ADVANCED)] = 64,
    restart: Restart = False,
    overwrite: Overwrite = False,
) -> None:
    """Write soft targets for distillation: the mean probabilities of one or more teachers.

    Example: python -m train label --texts tweets.txt --teacher models/teacher --out soft.parquet
    """
    from train.distillation.label import label as write_targets
    from train.distillation.label import parse_source

    write_targets(
        [parse_source(source) for source in texts],
        teacher or [],
        out,
        official,
        log,
        runtime=runtime,
        batch_size=batch_size,
        restart=restart,
        overwrite=overwrite,
    )
