"""Send the requests of a shard concurrently, save each completion as it arrives, and stay within the budget."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from data_build.generation import batch
from data_build.generation.generator import Completion, Generator, GeneratorError, read_completions
from data_build.generation.prompts import Request


class Budget:
    """Tokens and cost so far, including those of earlier runs."""

    def __init__(self, folder: Path, prices: tuple[float, float], limit: float | None) -> None:
        """Add up the tokens of earlier runs.

        Args:
            folder: Folder of the stage.
            prices: Prices per million prompt tokens and per million completion tokens.
            limit: Maximum cost; unlimited if None.
        """
        self._prices, self._limit, self._completion_count = prices, limit, 0
        self.tokens = {"prompt": 0, "completion": 0}
        for path in folder.glob("completions-*.jsonl"):
            for completion in read_completions(path):
                self.add(completion)

    @property
    def spent(self) -> float:
        """Cost so far."""
        return (self.tokens["prompt"] * self._prices[0] + self.tokens["completion"] * self._prices[1]) / 1e6

    def allows_another(self, running: int) -> bool:
        """Return whether the budget allows another request, if it and the running requests cost the average."""
        average = self.spent / self._completion_count if self._completion_count else 0.0
        return self._limit is None or self.spent + (running + 1) * average <= self._limit

    def add(self, completion: Completion) -> None:
        """Add the tokens of a completion."""
        self._completion_count += 1
        self.tokens["prompt"] += completion.prompt_tokens
        self.tokens["completion"] += completion.completion_tokens


class Trial:
    """Buffer for a run's first completions, released once one is usable; otherwise a later run repeats the requests."""

    def __init__(self, limit: int) -> None:
        """Set the number of unusable completions after which the run stops."""
        self._limit, self._unusable, self.passed = limit, list[Completion](), False

    def add(self, completion: Completion) -> list[Completion]:
        """Check a completion, and return those to save.

        Raises:
            GeneratorError: None of the first completions is usable.
        """
        self.passed |= bool(completion.texts)
        if self.passed:
            earlier_completions, self._unusable = self._unusable, []
            return [*earlier_completions, completion]
        self._unusable.append(completion)
        if len(self._unusable) >= self._limit:
            raise unusable_error(self._unusable)
        return []


def unusable_error(completions: Sequence[Completion]) -> GeneratorError:
    """Return the error for completions without texts."""
    reasons = Counter(completion.finish_reason for completion in completions)
    advice = "; for a reasoning model, use --omit max_completion_tokens" if set(reasons) == {"length"} else ""
    return GeneratorError(
        f"none of the first {len(completions)} responses is usable "
        f"({', '.join(f'{count} {reason}' for reason, count in reasons.items())}){advice}; "
        f"the first response begins: {completions[0].excerpt or '(empty)'}"
    )


def request_completions(
    folder: Path,
    name: str,
    requests: Sequence[Request],
    generator: Generator,
    concurrency: int,
    budget: Budget,
    trial: Trial,
    on_completion: Callable[[], None] = lambda: None,
) -> dict[int, Completion]:
    """Send the requests of a shard that have no completion yet, and save each completion as it arrives.

    Args:
        folder: Folder of the stage.
        name: Name of the shard.
        requests: Requests of the shard.
        generator: Client for the endpoint.
        concurrency: Concurrent requests.
        budget: Tokens and cost so far.
        trial: Check of the first completions.
        on_completion: Called after each new completion.

    Returns:
        Completions by request number.

    Raises:
        GeneratorError: The endpoint fails, the budget is exhausted, or no completion is usable; completions received so
            far are saved.
    """
    path = folder / f"completions-{name}.jsonl"
    completions = {completion.number: completion for completion in read_completions(folder / batch.COMPLETIONS_FILE)}
    completions |= {completion.number: completion for completion in read_completions(path)}
    trial.passed |= any(completion.texts for completion in completions.values())
    pending = [request for request in requests if request.number not in completions]
    failure: BaseException | None = None
    with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(concurrency) as pool:
        running: set[Future[Completion]] = set()

        def save(futures: Iterable[Future[Completion]]) -> BaseException | None:
            """Save the completions; return the last error, if any."""
            failure = None
            for future in futures:
                if error := future.exception():
                    failure = error
                    continue
                completion = future.result()
                completions[completion.number] = completion
                budget.add(completion)
                on_completion()
                try:
                    file.writelines(checked.to_line() for checked in trial.add(completion))
                except GeneratorError as error:
                    failure = error
                file.flush()
            return failure

        try:
            while (pending and not failure) or running:
                while pending and not failure and len(running) < concurrency:
                    if not budget.allows_another(len(running)):
                        failure = GeneratorError(
                            f"the budget of --max-cost is exhausted (cost so far: {budget.spent:.2f}); "
                            "raise --max-cost to continue"
                        )
                        break
                    running.add(pool.submit(generator.complete, pending.pop(0)))
                finished_requests, running = wait(running, return_when=FIRST_COMPLETED)
                failure = save(finished_requests) or failure
                if failure:
                    generator.stop()
        except BaseException:  # interrupted: wait for the running requests, since they are paid for
            generator.stop()
            save(wait(running).done)
            raise
    if failure:
        raise failure
    return completions
