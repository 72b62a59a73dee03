"""Average the weights of encoders that differ only in their seed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenmood import __version__
from evenmood.data.splits import load_split
from evenmood.errors import DataError, UsageError
from evenmood.model.model_folder import atomic_folder, check_target, write_text
from train.distillation.encoder import quiet, save_encoder
from train.distillation.teacher import RECORD_FILE, read_record, score_on_validation


def average(folders: Sequence[Path], out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a teacher folder whose weights are the mean of those of several teachers ("model soup").

    The teachers must be fine-tuned from the same weights with the same options, apart from the seed: the mean of
    unrelated networks is useless. Wortsman et al. 2022, https://arxiv.org/abs/2203.05482.

    Args:
        folders: At least two folders written by `python -m train teacher`.
        out: Teacher folder.
        overwrite: Whether to replace an existing folder.

    Returns:
        The content of `training.json`: that of the first folder, with the seeds as `averaged_seeds` in `config`, and
        validation metrics of the mean.

    Raises:
        UsageError: `out` exists, or fewer than two folders are passed.
        DataError: A folder is not a teacher folder, or options differ in more than the seed.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    check_target(out, overwrite)
    if len(folders) < 2:
        raise UsageError(f"{len(folders)} folder; expected at least two teacher folders to average")
    records = [read_record(folder) for folder in folders]
    config, base = records[0]["config"], records[0]["base"]
    for folder, record in zip(folders, records, strict=True):
        differing = [name for name in config if name != "seed" and record["config"].get(name) != config[name]]
        if differing or record["base"] != base:
            raise DataError(
                f"{folder}: options differ from {folders[0]}: {', '.join(differing or ['base'])}; expected the same "
                "options except the seed"
            )
    seeds = [record["config"]["seed"] for record in records]
    if len(set(seeds)) < len(seeds):
        raise DataError(f"duplicate seeds {', '.join(map(str, seeds))}; expected a different seed for each folder")
    states = [load_file(folder / "model.safetensors") for folder in folders]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}
    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(
            folders[0], dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    network.load_state_dict(mean)
    with atomic_folder(out, overwrite) as work_folder:
        save_encoder(network, config["weights"], work_folder)
        AutoTokenizer.from_pretrained(folders[0], trust_remote_code=False).save_pretrained(work_folder)
        record = {
            "evenmood": __version__,
            "config": {**config, "averaged_seeds": seeds},
            "base": base,
            "data": records[0]["data"],
            **score_on_validation(work_folder, load_split(config["data"], "validation")),
        }
        write_text(work_folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
    return record
