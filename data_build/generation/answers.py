"""All answers to a shard's requests: many in flight, each kept as it comes, and within a budget."""

from collections.abc import Iterable, Sequence
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


def ask_all(
    folder: Path, name: str, part: Sequence[Request], generator: Generator, concurrency: int, budget: Budget
) -> dict[int, Answer]:
    """Have a shard's requests answered, but for those that an earlier run has answered; each is written as it comes.

    Args:
        folder: The stage's.
        name: The shard's.
        part: Its requests.
        generator: Asks them.
        concurrency: Requests in flight.
        budget: Says when to stop.

    Returns:
        Answers by their request's number.

    Raises:
        GeneratorError: The endpoint refuses or is gone, or the money is spent; what was answered is kept.
    """
    path = folder / f"answers-{name}.jsonl"
    found = {answer.number: answer for answer in read_answers(folder / batch.ANSWERS_FILE)}
    found |= {answer.number: answer for answer in read_answers(path)}
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
                kept.write(answer.to_line())
                kept.flush()
                found[answer.number] = answer
                budget.add(answer)
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
