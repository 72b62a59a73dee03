"""Many machines: the teacher on a Ray cluster, as actors that load it once (https://docs.ray.io/en/latest/data/data.html)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

import evenmood
from evenmood.teacher import Runtime, Teacher

SHARE = 0.5
"""Of a processor that an actor asks for; there is one actor for each. So those of a lost node find room elsewhere."""


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
    import ray

    packages = [str(Path(evenmood.__file__).parent), str(Path(__file__).parent)]
    ray.init(
        address=address,
        runtime_env={"py_modules": packages},
        log_to_driver=False,
        **({} if address else {"include_dashboard": False}),
    )
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        blocks = [
            ray.put(pyarrow.table({"shard": [shard], "number": [number], "texts": [texts]}))
            for shard, number, texts in chunks
        ]
        held = ray.cluster_resources()
        kind = "num_gpus" if held.get("GPU") else "num_cpus"
        count = int(held.get("GPU") or held["CPU"])
        labelled = ray.data.from_arrow_refs(blocks).map_batches(
            Labeller,
            fn_constructor_args=(teacher, runtime, batch_size),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=max(1, min(count, len(blocks)))),
            **{kind: SHARE},
        )
        for batch in labelled.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in range(batch.num_rows):
                found = np.asarray(batch["scores"][row].values, np.float32).reshape(-1, len(evenmood.LABELS))
                yield batch["shard"][row].as_py(), batch["number"][row].as_py(), found
    finally:
        ray.shutdown()


class Labeller:
    """An actor: it loads the teacher once, and labels chunk after chunk."""

    def __init__(self, teacher: str, runtime: Runtime, batch_size: int) -> None:
        """Load the teacher."""
        self._teacher = Teacher(teacher, runtime=runtime, batch_size=batch_size)

    def __call__(self, batch: Any) -> Any:
        """Chunks with the probabilities in place of the texts, flattened."""
        found = [self._teacher.probabilities(texts).ravel() for texts in batch["texts"].to_pylist()]
        column = pyarrow.array(found, pyarrow.list_(pyarrow.float32()))
        return pyarrow.table({"shard": batch["shard"], "number": batch["number"], "scores": column})
