"""Many machines: the teacher on a Ray cluster, as actors that load it once (https://docs.ray.io/en/latest/data/data.html)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

import data_build
import evenmood
from evenmood.data.teacher import Runtime, Teacher
from evenmood.distributed.ray_cluster import joined, one_for_each_processor


def scores(
    chunks: Iterable[tuple[str, int, list[str]]], teacher: str, runtime: Runtime, batch_size: int, address: str | None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """The teacher's probabilities of chunks of texts, in whatever order they come back.

    A chunk is the same as without a cluster, so its batches are, and so are the probabilities. The teacher has to be a
    Hub id, or a folder that every node sees under the same path.

    Args:
        chunks: Shard, number within it, and the texts that the teacher reads at a time.
        teacher: As in `Teacher`.
        runtime: As in `Teacher`.
        batch_size: As in `Teacher`.
        address: Of a cluster; one of this machine alone is started if left out.

    Yields:
        Shard and number of a chunk, and its probabilities: float32 of shape (n, 28).
    """
    with joined(address, [Path(data_build.__file__).parent]) as ray:
        blocks = [
            ray.put(pyarrow.table({"shard": [shard], "number": [number], "texts": [texts]}))
            for shard, number, texts in chunks
        ]
        labelled = ray.data.from_arrow_refs(blocks).map_batches(
            Labeller,
            fn_constructor_args=(teacher, runtime, batch_size),
            batch_size=None,
            batch_format="pyarrow",
            **one_for_each_processor(ray, len(blocks), gpu=True),
        )
        for batch in labelled.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in range(batch.num_rows):
                found = np.asarray(batch["scores"][row].values, np.float32).reshape(-1, len(evenmood.LABELS))
                yield batch["shard"][row].as_py(), batch["number"][row].as_py(), found


class Labeller:
    """An actor: it loads the teacher once, when it has a first chunk, and labels chunk after chunk."""

    def __init__(self, teacher: str, runtime: Runtime, batch_size: int) -> None:
        """Note what to load."""
        self._arguments: dict[str, Any] = {"model": teacher, "runtime": runtime, "batch_size": batch_size}
        self._teacher: Teacher | None = None

    def __call__(self, batch: Any) -> Any:
        """Chunks with the probabilities in place of the texts, flattened."""
        self._teacher = self._teacher or Teacher(**self._arguments)
        found = [self._teacher.probabilities(texts).ravel() for texts in batch["texts"].to_pylist()]
        column = pyarrow.array(found, pyarrow.list_(pyarrow.float32()))
        return pyarrow.table({"shard": batch["shard"], "number": batch["number"], "scores": column})
