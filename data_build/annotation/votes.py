"""What annotators say of rows: kept in SQLite, counted by majority, measured for agreement."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from data_build.annotation.majority import ANNOTATORS, Item, Result, Vote, checked, counts_of, majority
from evenmood.errors import DataError, UsageError

Task = Literal["review", "audit"]
FILE, CREATION_LOCK = "votes.sqlite", ".votes.lock"
HELD = 30 * 60
"""Seconds for which a row stays with the annotator who was shown it."""
MIN_PASSPHRASE = 8
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS people (
  name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL, adjudicator INTEGER NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS queue (
  task TEXT, place INTEGER, id TEXT, text TEXT NOT NULL, text_hash TEXT NOT NULL, machine TEXT NOT NULL,
  PRIMARY KEY (task, id)
)""",
    """CREATE TABLE IF NOT EXISTS shown (
  task TEXT, id TEXT, annotator TEXT, since REAL NOT NULL, saw_machine INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (task, id, annotator)
)""",
    """CREATE TABLE IF NOT EXISTS votes (
  task TEXT, id TEXT, text_hash TEXT, annotator TEXT, labels TEXT NOT NULL, unsure INTEGER NOT NULL,
  saw_machine INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (task, id, text_hash, annotator)
)""",
    """CREATE TABLE IF NOT EXISTS decisions (
  task TEXT, id TEXT, text_hash TEXT, adjudicator TEXT NOT NULL, labels TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (task, id, text_hash)
)""",
    "CREATE TABLE IF NOT EXISTS origins (task TEXT PRIMARY KEY, origin TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS queue_place ON queue (task, place)",
)


class Votes:
    """The votes of one task; any number of processes may have the file open."""

    def __init__(self, build: Path, task: Task) -> None:
        """Open the file in the build folder; it is made if there is none.

        Raises:
            DataError: The file is empty or damaged.
        """
        build.mkdir(parents=True, exist_ok=True)
        self.path, self.task = build / FILE, task
        with FileLock(build / CREATION_LOCK):  # a file that another process has just created is empty for a moment
            if self.path.exists() and not self.path.stat().st_size:
                raise self._damaged("the file is empty")
            with self._open() as database:
                for statement in SCHEMA:
                    database.execute(statement)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction of its own; what it committed survives a power cut."""
        database = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise DataError(f"{self.path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        finally:
            database.close()

    def _damaged(self, reason: str) -> DataError:
        build = self.path.parent
        return DataError(
            f"{self.path} is damaged ({reason}); restore a copy of it, or remove it, take exported votes in with: "
            f"python -m data_build votes {build} --import FILE, and run: python -m data_build resolve {build} --restart"
        )

    def add_person(self, name: str, passphrase: str, *, adjudicator: bool = False) -> None:
        """Let somebody in; who is there already gets the new passphrase.

        Raises:
            UsageError: The name is empty, or the passphrase short.
        """
        if not name.strip() or len(passphrase) < MIN_PASSPHRASE:
            raise UsageError(f"a name, and a passphrase of at least {MIN_PASSPHRASE} characters, are needed")
        salt = secrets.token_bytes(16)
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)",
                (name, salt, _hashed(passphrase, salt), int(adjudicator)),
            )

    def lets_in(self, name: str, passphrase: str) -> bool:
        """Whether name and passphrase belong together."""
        with self._open() as database:
            found = database.execute("SELECT salt, hash FROM people WHERE name = ?", (name,)).fetchone()
        salt, expected = found or (b"", b"")
        return secrets.compare_digest(_hashed(passphrase, salt), expected)

    def people(self) -> dict[str, bool]:
        """Everybody's name, and whether they adjudicate."""
        with self._open() as database:
            return {name: bool(flag) for name, flag in database.execute("SELECT name, adjudicator FROM people")}

    def fill(self, rows: Iterable[Mapping[str, Any]], origin: str = "") -> int:
        """Put rows (`id`, `text`, `text_hash`, `labels`) into the queue; votes on the same texts stay.

        Args:
            rows: In the order in which they are read.
            origin: Hash of what they were taken from.

        Returns:
            Rows in the queue.

        Raises:
            DataError: Two rows share an id.
        """
        rows = list(rows)
        ids = Counter(row["id"] for row in rows)
        if repeated := [name for name, count in ids.items() if count > 1]:
            raise DataError(
                f"{len(repeated):,} ids appear more than once among the rows to {self.task}: {repeated[0]!r}"
            )
        content = [
            (self.task, place, row["id"], row["text"], row["text_hash"], json.dumps(row["labels"]))
            for place, row in enumerate(rows)
        ]
        with self._open() as database:
            before = dict(database.execute("SELECT id, text_hash FROM queue WHERE task = ?", (self.task,)))
            changed = [row["id"] for row in rows if before.get(row["id"], row["text_hash"]) != row["text_hash"]]
            # Who was shown the id's other text has not seen this one, nor the machine's labels of it.
            database.executemany("DELETE FROM shown WHERE task = ? AND id = ?", [(self.task, name) for name in changed])
            database.execute("DELETE FROM queue WHERE task = ?", (self.task,))
            database.executemany("INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)", content)
            database.execute("INSERT OR REPLACE INTO origins VALUES (?, ?)", (self.task, origin))
        return len(content)

    def origin(self) -> str:
        """Hash of what the queue was taken from."""
        with self._open() as database:
            found = database.execute("SELECT origin FROM origins WHERE task = ?", (self.task,)).fetchone()
        return found[0] if found else ""

    def voted(self) -> set[tuple[str, str]]:
        """Id and text hash of every row that anybody has voted on, in the queue or not."""
        with self._open() as database:
            return set(database.execute("SELECT DISTINCT id, text_hash FROM votes WHERE task = ?", (self.task,)))

    def hashes(self) -> dict[str, str]:
        """The text hash of each row in the queue, by id."""
        with self._open() as database:
            return dict(database.execute("SELECT id, text_hash FROM queue WHERE task = ?", (self.task,)))

    def next(self, annotator: str) -> Item | None:
        """The row that an annotator reads next: the one last shown, or the first that lacks a reader.

        A row counts those who have voted and those who were shown it within the last half hour, so that it gets five
        readers and no more.
        """
        now = time.time()
        own = {"task": self.task, "annotator": annotator, "since": now - HELD, "readers": ANNOTATORS}
        with self._open() as database:
            found = database.execute(
                """
                WITH own AS (SELECT votes.* FROM votes JOIN queue USING (task, id, text_hash) WHERE task = :task)
                SELECT queue.id, text, machine FROM queue
                LEFT JOIN shown AS mine
                  ON mine.task = queue.task AND mine.id = queue.id AND mine.annotator = :annotator
                WHERE queue.task = :task
                  AND NOT EXISTS (SELECT 1 FROM own WHERE own.id = queue.id AND own.annotator = :annotator)
                  AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.task = :task AND decisions.id = queue.id
                    AND decisions.text_hash = queue.text_hash)
                  AND (
                    (SELECT COUNT(*) FROM own WHERE own.id = queue.id)
                    + (SELECT COUNT(*) FROM shown WHERE shown.task = :task AND shown.id = queue.id
                       AND since > :since AND annotator != :annotator
                       AND NOT EXISTS (SELECT 1 FROM own WHERE own.id = shown.id AND own.annotator = shown.annotator))
                  ) < :readers
                ORDER BY mine.since IS NULL, place LIMIT 1
                """,
                own,
            ).fetchone()
            if found is None:
                return None
            self._show(database, found[0], annotator, now)
            return Item(found[0], found[1], _labels(found[2]))

    def reveal(self, name: str, annotator: str) -> tuple[int, ...]:
        """The machine's labels of a row; that they were looked at is kept with the vote."""
        with self._open() as database:
            database.execute(
                "UPDATE shown SET saw_machine = 1 WHERE task = ? AND id = ? AND annotator = ?",
                (self.task, name, annotator),
            )
            found = database.execute(
                "SELECT machine FROM queue WHERE task = ? AND id = ?", (self.task, name)
            ).fetchone()
            return _labels(found[0]) if found else ()

    def vote(self, vote: Vote) -> None:
        """Keep a vote; a second one of the same annotator on the same row replaces the first.

        Raises:
            UsageError: The row is not in the queue, was not shown to this annotator, or has its readers; or no label
                was given by one who is sure.
        """
        with self._open() as database:
            shown = database.execute(
                "SELECT saw_machine FROM shown WHERE task = ? AND id = ? AND annotator = ?",
                (self.task, vote.id, vote.annotator),
            ).fetchone()
            self._keep(database, replace(vote, saw_machine=vote.saw_machine or bool(shown and shown[0])))
            if shown is None:
                raise UsageError(f"{vote.id} was not shown to {vote.annotator}; ask for the next row")

    def take(self, votes: Iterable[Vote]) -> int:
        """Take votes from elsewhere, all or none of them; one that is here already is replaced.

        Returns:
            Votes taken.

        Raises:
            UsageError: As in `vote`; the message says which vote.
        """
        number = 0
        with self._open() as database:
            for number, vote in enumerate(votes, 1):  # how many there were is told at the end
                try:
                    self._keep(database, vote)
                except UsageError as error:
                    raise UsageError(f"vote {number}: {error}") from None
        return number

    def _keep(self, database: sqlite3.Connection, vote: Vote) -> None:
        labels = checked(vote.labels)
        if not vote.annotator.strip():
            raise UsageError("a vote needs its annotator's name")
        if not labels and not vote.unsure:
            raise UsageError("choose a label (neutral is one), or say that you are unsure")
        digest = self._expect(database, vote.id)
        (others,) = database.execute(
            "SELECT COUNT(*) FROM votes WHERE task = ? AND id = ? AND text_hash = ? AND annotator != ?",
            (self.task, vote.id, digest, vote.annotator),
        ).fetchone()
        if others >= ANNOTATORS:
            raise UsageError(f"{vote.id} has its {ANNOTATORS} readers already")
        said = (vote.annotator, json.dumps(labels), int(vote.unsure), int(vote.saw_machine), time.time())
        database.execute(
            "INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self.task, vote.id, digest, *said)
        )

    def _show(self, database: sqlite3.Connection, name: str, annotator: str, now: float) -> None:
        database.execute(
            "INSERT INTO shown VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET since = excluded.since",
            (self.task, name, annotator, now),
        )

    def undo(self, annotator: str) -> Item | None:
        """Take back an annotator's last vote, and show the row again; None where there is none to take back."""
        with self._open() as database:
            found = database.execute(
                "SELECT id, text, machine, text_hash FROM votes JOIN queue USING (task, id, text_hash) WHERE task = ? "
                "AND annotator = ? AND (id, text_hash) NOT IN (SELECT id, text_hash FROM decisions WHERE task = ?) "
                "ORDER BY at DESC LIMIT 1",
                (self.task, annotator, self.task),
            ).fetchone()
            if found is None:
                return None
            database.execute(  # of this text alone: the id may have had another one
                "DELETE FROM votes WHERE task = ? AND id = ? AND text_hash = ? AND annotator = ?",
                (self.task, found[0], found[3], annotator),
            )
            self._show(database, found[0], annotator, time.time())
            return Item(found[0], found[1], _labels(found[2]))

    def progress(self, annotator: str) -> dict[str, int]:
        """How many rows there are, how many have all their votes, and one's own votes."""
        with self._open() as database:
            rows, voted, own = database.execute(
                """
                SELECT (SELECT COUNT(*) FROM queue WHERE task = :task),
                  (SELECT COUNT(*) FROM (SELECT id FROM votes JOIN queue USING (task, id, text_hash) WHERE task = :task
                    GROUP BY id HAVING COUNT(*) >= :readers)),
                  (SELECT COUNT(*) FROM votes JOIN queue USING (task, id, text_hash)
                    WHERE task = :task AND annotator = :annotator)
                """,
                {"task": self.task, "annotator": annotator, "readers": ANNOTATORS},
            ).fetchone()
        return {"rows": rows, "voted": voted, "mine": own}

    def next_tie(self, adjudicator: str) -> Item | None:
        """The first row without an outcome that the adjudicator has not voted on, with what was voted."""
        own = {vote.id for vote in self.all() if vote.annotator == adjudicator}
        waiting = {name: result for name, result in self.results().items() if result.resolution == "open"}
        with self._open() as database:
            for name, text, machine in database.execute(
                "SELECT id, text, machine FROM queue WHERE task = ? ORDER BY place", (self.task,)
            ):
                if name in waiting and name not in own:
                    return Item(name, text, _labels(machine), waiting[name].counts)
        return None

    def decide(self, name: str, adjudicator: str, labels: Sequence[int]) -> None:
        """Settle a row; without labels it is thrown out.

        Raises:
            UsageError: There is no such row, the name is no adjudicator's, or nothing is to be settled.
        """
        given = checked(labels)
        if not self.people().get(adjudicator):
            raise UsageError(f"{adjudicator} is no adjudicator")
        result = self.results().get(name)
        if result is None or result.resolution != "open":
            raise UsageError(f"{name} waits for no adjudicator")
        with self._open() as database:
            made = database.execute(
                "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?)",
                (self.task, name, self._expect(database, name), adjudicator, json.dumps(given), time.time()),
            )
            if not made.rowcount:  # another adjudicator was faster
                raise UsageError(f"{name} waits for no adjudicator")

    def all(self) -> list[Vote]:
        """All votes on rows of the queue, in a fixed order."""
        with self._open() as database:
            found = database.execute(
                "SELECT id, annotator, labels, unsure, saw_machine FROM votes JOIN queue USING (task, id, text_hash) "
                "WHERE task = ? ORDER BY place, annotator",
                (self.task,),
            )
            return [Vote(name, who, _labels(labels), bool(un), bool(saw)) for name, who, labels, un, saw in found]

    def results(self) -> dict[str, Result]:
        """What came of each row that all its annotators have read, by id."""
        by_row: dict[str, list[Vote]] = {}
        for vote in self.all():
            by_row.setdefault(vote.id, []).append(vote)
        with self._open() as database:
            decided = {
                name: _labels(labels)
                for name, labels in database.execute(
                    "SELECT id, labels FROM decisions JOIN queue USING (task, id, text_hash) WHERE task = ?",
                    (self.task,),
                )
            }
        return {
            name: Result(decided[name], counts_of(held), "adjudicated") if name in decided else majority(held)
            for name, held in by_row.items()
            if len(held) >= ANNOTATORS
        }

    def machine(self) -> dict[str, tuple[int, ...]]:
        """The labels that the rows of the queue carried before anybody read them, by id."""
        with self._open() as database:
            found = database.execute("SELECT id, machine FROM queue WHERE task = ? ORDER BY place", (self.task,))
            return {name: _labels(labels) for name, labels in found}

    def _expect(self, database: sqlite3.Connection, name: str) -> str:
        """The text hash of a row in the queue."""
        found = database.execute("SELECT text_hash FROM queue WHERE task = ? AND id = ?", (self.task, name)).fetchone()
        if found is None:
            raise UsageError(f"{name} is not among the rows to {self.task}")
        return str(found[0])


def _labels(cell: Any) -> tuple[int, ...]:
    """Label numbers of a cell; `sqlite3.DataError` where it holds none, as for a damaged page."""
    try:
        return tuple(checked(json.loads(cell)))
    except (TypeError, ValueError, UsageError):
        raise sqlite3.DataError(f"labels is {cell!r}") from None


def _hashed(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=2**14, r=8, p=1)
