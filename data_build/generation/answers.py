"""All answers to a shard's requests: many in flight, each kept as it comes, and within a budget."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from data_build.generation import batch
from data_build.generation.generator import Answer, Generator, GeneratorError, read_answers
from data_build.generation.prompts import Request


class Budget:
    """Tokens and money so far, those of earlier runs included."""

    def __init__(self, folder: Path, prices: tuple[float, float], limit: float | None) -> None:
        """Take the stage's folder, the prices of a million tokens read and written, and what may be spent."""
        self._prices, self._limit, self._answers = prices, limit, 0
        self.tokens = {"prompt": 0, "completion": 0}
        for path in folder.glob("answers-*.jsonl"):
            for answer in read_answers(path):
                self.add(answer)

    @property
    def spent(self) -> float:
        """Money so far."""
        return (self.tokens["prompt"] * self._prices[0] + self.tokens["completion"] * self._prices[1]) / 1e6

    def left(self, running: int) -> bool:
        """Whether one more request may be sent, when those that run cost what the others did on average."""
        average = self.spent / self._answers if self._answers else 0.0
        return self._limit is None or self.spent + (running + 1) * average <= self._limit

    def add(self, answer: Answer) -> None:
        """Take one more answer."""
        self._answers += 1
        self.tokens["prompt"] += answer.prompt_tokens
        self.tokens["completion"] += answer.completion_tokens


class Trial:
    """The first answers of a run: while none of them is usable they are held back, and so are asked for again."""

    def __init__(self, limit: int) -> None:
        """Take the number of unusable answers at which a run stops."""
        self._limit, self._unusable, self.passed = limit, list[Answer](), False

    def add(self, answer: Answer) -> list[Answer]:
        """Take one more answer; return those to keep.

        Raises:
            GeneratorError: None of the first answers is usable.
        """
        self.passed |= bool(answer.texts)
        if self.passed:
            held, self._unusable = self._unusable, []
            return [*held, answer]
        self._unusable.append(answer)
        if len(self._unusable) >= self._limit:
            raise unusable(self._unusable)
        return []


def unusable(answers: Sequence[Answer]) -> GeneratorError:
    """The error for answers that all give no texts."""
    reasons = Counter(answer.finish_reason for answer in answers)
    advice = "; for a model that reasons: --omit max_completion_tokens" if set(reasons) == {"length"} else ""
    return GeneratorError(
        f"none of the first {len(answers)} answers is usable "
        f"({', '.join(f'{count} {reason}' for reason, count in reasons.items())}){advice}; "
        f"the first begins: {answers[0].begins or '(nothing)'}"
    )


def ask_all(
    folder: Path,
    name: str,
    part: Sequence[Request],
    generator: Generator,
    concurrency: int,
    budget: Budget,
    trial: Trial,
    answered: Callable[[], None] = lambda: None,
) -> dict[int, Answer]:
    """Have a shard's requests answered, but for those that an earlier run has answered; each is written as it comes.

    Args:
        folder: The stage's.
        name: The shard's.
        part: Its requests.
        generator: Asks them.
        concurrency: Requests in flight.
        budget: Says when to stop.
        trial: Says whether the run has had a usable answer.
        answered: Called after each new answer.

    Returns:
        Answers by their request's number.

    Raises:
        GeneratorError: The endpoint refuses or is gone, the money is spent, or no answer is usable; what was answered
            is kept.
    """
    path = folder / f"answers-{name}.jsonl"
    found = {answer.number: answer for answer in read_answers(folder / batch.ANSWERS_FILE)}
    found |= {answer.number: answer for answer in read_answers(path)}
    trial.passed |= any(answer.texts for answer in found.values())
    todo = [request for request in part if request.number not in found]
    failure: BaseException | None = None
    with path.open("a", encoding="utf-8") as kept, ThreadPoolExecutor(concurrency) as pool:
        running: set[Future[Answer]] = set()

        def keep(done: Iterable[Future[Answer]]) -> BaseException | None:
            """Write what was answered; what went wrong with one of the others."""
            failure = None
            for future in done:
                if error := future.exception():
                    failure = error
                    continue
                answer = future.result()
                found[answer.number] = answer
                budget.add(answer)
                answered()
                try:
                    kept.writelines(ready.to_line() for ready in trial.add(answer))
                except GeneratorError as error:
                    failure = error
                kept.flush()
            return failure

        try:
            while (todo and not failure) or running:
                while todo and not failure and len(running) < concurrency:
                    if not budget.left(len(running)):
                        failure = GeneratorError(f"--max-cost is reached ({budget.spent:.2f}); raise it to go on")
                        break
                    running.add(pool.submit(generator.ask, todo.pop(0)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                failure = keep(done) or failure
                if failure:
                    generator.stop()
        except BaseException:  # interrupted: what is in flight is paid for, and is waited for
            generator.stop()
            keep(wait(running).done)
            raise
    if failure:
        raise failure
    return found
