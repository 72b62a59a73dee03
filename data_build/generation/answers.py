"""Send the requests of a shard concurrently, save each answer as it arrives, and stay within the budget."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from data_build.generation import batch
from data_build.generation.generator import Answer, Generator, GeneratorError, read_answers
from data_build.generation.prompts import Request


class Budget:
    """Tokens and cost so far, including those of earlier runs."""

    def __init__(self, folder: Path, prices: tuple[float, float], limit: float | None) -> None:
        """Sum up the answers of earlier runs.

        Args:
            folder: Folder of the stage.
            prices: Prices per million prompt tokens and per million completion tokens.
            limit: Maximum cost; None for no limit.
        """
        self._prices, self._limit, self._answers = prices, limit, 0
        self.tokens = {"prompt": 0, "completion": 0}
        for path in folder.glob("answers-*.jsonl"):
            for answer in read_answers(path):
                self.add(answer)

    @property
    def spent(self) -> float:
        """Cost so far."""
        return (self.tokens["prompt"] * self._prices[0] + self.tokens["completion"] * self._prices[1]) / 1e6

    def allows_another(self, running: int) -> bool:
        """Whether another request fits the budget, if it and the running ones have the average cost."""
        average = self.spent / self._answers if self._answers else 0.0
        return self._limit is None or self.spent + (running + 1) * average <= self._limit

    def add(self, answer: Answer) -> None:
        """Add the tokens of an answer."""
        self._answers += 1
        self.tokens["prompt"] += answer.prompt_tokens
        self.tokens["completion"] += answer.completion_tokens


class Trial:
    """Check of a run's first answers: none is saved until one is usable, so that a later run repeats the requests."""

    def __init__(self, limit: int) -> None:
        """Set the number of unusable answers after which the run stops."""
        self._limit, self._unusable, self.passed = limit, list[Answer](), False

    def add(self, answer: Answer) -> list[Answer]:
        """Check an answer, and return the answers to save.

        Raises:
            GeneratorError: None of the first answers is usable.
        """
        self.passed |= bool(answer.texts)
        if self.passed:
            earlier, self._unusable = self._unusable, []
            return [*earlier, answer]
        self._unusable.append(answer)
        if len(self._unusable) >= self._limit:
            raise unusable_error(self._unusable)
        return []


def unusable_error(answers: Sequence[Answer]) -> GeneratorError:
    """Return the error for answers without texts."""
    reasons = Counter(answer.finish_reason for answer in answers)
    advice = "; for a reasoning model, use --omit max_completion_tokens" if set(reasons) == {"length"} else ""
    return GeneratorError(
        f"none of the first {len(answers)} answers is usable "
        f"({', '.join(f'{count} {reason}' for reason, count in reasons.items())}){advice}; "
        f"the first answer begins: {answers[0].excerpt or '(empty)'}"
    )


def request_answers(
    folder: Path,
    name: str,
    part: Sequence[Request],
    generator: Generator,
    concurrency: int,
    budget: Budget,
    trial: Trial,
    on_answer: Callable[[], None] = lambda: None,
) -> dict[int, Answer]:
    """Send the requests of a shard that have no answer yet; each answer is saved as it arrives.

    Args:
        folder: Folder of the stage.
        name: Name of the shard.
        part: Requests of the shard.
        generator: Client of the endpoint.
        concurrency: Concurrent requests.
        budget: Tokens and cost so far.
        trial: Check of the first answers.
        on_answer: Called after each new answer.

    Returns:
        Answers by request number.

    Raises:
        GeneratorError: The endpoint fails, the budget is exhausted, or no answer is usable; answers received so far are
            saved.
    """
    path = folder / f"answers-{name}.jsonl"
    answers = {answer.number: answer for answer in read_answers(folder / batch.ANSWERS_FILE)}
    answers |= {answer.number: answer for answer in read_answers(path)}
    trial.passed |= any(answer.texts for answer in answers.values())
    pending = [request for request in part if request.number not in answers]
    failure: BaseException | None = None
    with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(concurrency) as pool:
        running: set[Future[Answer]] = set()

        def save(done: Iterable[Future[Answer]]) -> BaseException | None:
            """Save the answers; return the last error, if any."""
            failure = None
            for future in done:
                if error := future.exception():
                    failure = error
                    continue
                answer = future.result()
                answers[answer.number] = answer
                budget.add(answer)
                on_answer()
                try:
                    file.writelines(checked.to_line() for checked in trial.add(answer))
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
                    running.add(pool.submit(generator.ask, pending.pop(0)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                failure = save(done) or failure
                if failure:
                    generator.stop()
        except BaseException:  # interrupted: wait for the running requests, which are paid for
            generator.stop()
            save(wait(running).done)
            raise
    if failure:
        raise failure
    return answers
