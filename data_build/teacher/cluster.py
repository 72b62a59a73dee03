"""Run the teacher on a Ray cluster, in actors that load it once (https://docs.ray.io/en/latest/data/data.html)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

import data_build
import evenmood
from evenmood.data.teacher import Runtime, Teacher
from evenmood.distributed.ray_cluster import connect, one_actor_per_processor


def scores(
    chunks: Iterable[tuple[str, int, list[str]]], teacher: str, runtime: Runtime, batch_size: int, address: str | None
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Compute the teacher's probabilities of chunks of texts, in any order.

    Chunks, batches and probabilities are the same as without a cluster. The teacher must be a Hub id, or
    a folder with the same path on every node.

    Args:
        chunks: Shard name, number within the shard, and texts of each chunk.
        teacher: See `Teacher`.
        runtime: See `Teacher`.
        batch_size: See `Teacher`.
        address: Address of the cluster; by default, one is started on this machine.

    Yields:
        Shard name and number of a chunk, and its probabilities: float32 of shape (n, 28).
    """
    with connect(address, [Path(data_build.__file__).parent]) as ray:
        blocks = [
            ray.put(pyarrow.table({"shard": [shard], "number": [number], "texts": [texts]}))
            for shard, number, texts in chunks
        ]
        scored_chunks = ray.data.from_arrow_refs(blocks).map_batches(
            TeacherActor,
            fn_constructor_args=(teacher, runtime, batch_size),
            batch_size=None,
            batch_format="pyarrow",
            **one_actor_per_processor(ray, len(blocks), gpu=True),
        )
        for batch in scored_chunks.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in range(batch.num_rows):
                scores = np.asarray(batch["scores"][row].values, np.float32).reshape(-1, len(evenmood.LABELS))
                yield batch["shard"][row].as_py(), batch["number"][row].as_py(), scores


class TeacherActor:
    """Ray actor that loads the teacher when it receives its first chunk."""

    def __init__(self, teacher: str, runtime: Runtime, batch_size: int) -> None:
        """Store the arguments of `Teacher`."""
        self._arguments: dict[str, Any] = {"model": teacher, "runtime": runtime, "batch_size": batch_size}
        self._teacher: Teacher | None = None

    def __call__(self, batch: Any) -> Any:
        """Replace the texts of each chunk with their flattened probabilities."""
        self._teacher = self._teacher or Teacher(**self._arguments)
        scores = [self._teacher.probabilities(texts).ravel() for texts in batch["texts"].to_pylist()]
        column = pyarrow.array(scores, pyarrow.list_(pyarrow.float32()))
        return pyarrow.table({"shard": batch["shard"], "number": batch["number"], "scores": column})
