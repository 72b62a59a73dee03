"""Annotators, the queue of rows, votes and decisions."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from data_build.annotation.database import create_database, open_database
from data_build.annotation.majority import ANNOTATORS, Item, Result, Vote, count_votes, majority, normalize_labels
from evenmood.errors import DataError, UsageError

Task = Literal["review", "audit"]
RESERVATION_SECONDS = 30 * 60
"""Seconds for which a row stays reserved for an annotator to whom it was shown."""
MIN_PASSPHRASE = 8


class Votes:
    """Votes of one task, in a SQLite file that several processes can use concurrently."""

    def __init__(self, build: Path, task: Task) -> None:
        """Open the file in the build folder, or create it.

        Raises:
            DataError: The file is empty or corrupt.
        """
        self.path, self.task = create_database(build), task

    def add_annotator(self, name: str, passphrase: str, *, adjudicator: bool = False) -> None:
        """Add an annotator, or replace an annotator's passphrase.

        Raises:
            UsageError: The name is empty, or the passphrase is too short.
        """
        if not name.strip():
            raise UsageError("the annotator's name is empty")
        if len(passphrase) < MIN_PASSPHRASE:
            raise UsageError(
                f"the passphrase has {len(passphrase)} characters; choose one with at least {MIN_PASSPHRASE} characters"
            )
        salt = secrets.token_bytes(16)
        with open_database(self.path) as database:
            database.execute(
                "INSERT OR REPLACE INTO annotators VALUES (?, ?, ?, ?)",
                (name, salt, _hash(passphrase, salt), int(adjudicator)),
            )

    def authenticate(self, name: str, passphrase: str) -> bool:
        """Return whether the annotator exists and has this passphrase."""
        with open_database(self.path) as database:
            row = database.execute("SELECT salt, hash FROM annotators WHERE name = ?", (name,)).fetchone()
        salt, expected = row or (b"", b"")
        return secrets.compare_digest(_hash(passphrase, salt), expected)

    def annotators(self) -> dict[str, bool]:
        """Return the names of all annotators, and whether each is an adjudicator."""
        with open_database(self.path) as database:
            return {name: bool(flag) for name, flag in database.execute("SELECT name, adjudicator FROM annotators")}

    def set_queue(self, rows: Iterable[Mapping[str, Any]], origin: str = "") -> int:
        """Replace the queue; existing votes on the same texts remain valid.

        Args:
            rows: `id`, `text`, `text_hash` and `labels` of each row, in annotation order.
            origin: Hash of the manifest of the stage that the rows come from.

        Returns:
            Number of rows in the queue.

        Raises:
            DataError: Two rows share an id.
        """
        rows = list(rows)
        ids = Counter(row["id"] for row in rows)
        if duplicate_ids := [row_id for row_id, count in ids.items() if count > 1]:
            raise DataError(
                f"duplicate ids among the rows to {self.task}: {duplicate_ids[0]!r}"
                + (f" and {len(duplicate_ids) - 1:,} more" if len(duplicate_ids) > 1 else "")
                + "; run the earlier stages again with --restart"
            )
        queue = [
            (self.task, position, row["id"], row["text"], row["text_hash"], json.dumps(row["labels"]))
            for position, row in enumerate(rows)
        ]
        with open_database(self.path) as database:
            earlier_hashes = dict(database.execute("SELECT id, text_hash FROM queue WHERE task = ?", (self.task,)))
            changed_ids = [
                row["id"] for row in rows if earlier_hashes.get(row["id"], row["text_hash"]) != row["text_hash"]
            ]
            # Annotators who were shown the previous text of an id have seen neither its new text nor its new labels.
            database.executemany(
                "DELETE FROM shown WHERE task = ? AND id = ?", [(self.task, row_id) for row_id in changed_ids]
            )
            database.execute("DELETE FROM queue WHERE task = ?", (self.task,))
            database.executemany("INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)", queue)
            database.execute("INSERT OR REPLACE INTO origins VALUES (?, ?)", (self.task, origin))
        return len(queue)

    def origin(self) -> str:
        """Return the `origin` of the queue; empty if there is no queue."""
        with open_database(self.path) as database:
            row = database.execute("SELECT origin FROM origins WHERE task = ?", (self.task,)).fetchone()
        return row[0] if row else ""

    def voted_rows(self) -> set[tuple[str, str]]:
        """Return the id and text hash of each row with a vote, in the queue or not."""
        with open_database(self.path) as database:
            return set(database.execute("SELECT DISTINCT id, text_hash FROM votes WHERE task = ?", (self.task,)))

    def text_hashes(self) -> dict[str, str]:
        """Return the text hash of each row in the queue, by id."""
        with open_database(self.path) as database:
            return dict(database.execute("SELECT id, text_hash FROM queue WHERE task = ?", (self.task,)))

    def next(self, annotator: str) -> Item | None:
        """Return and reserve the next row for an annotator; None if there is none.

        A row already shown to the annotator comes first. Votes and reservations both count towards the five annotators
        of a row, so that no row gets more votes than needed.
        """
        now = time.time()
        parameters = {
            "task": self.task,
            "annotator": annotator,
            "expired": now - RESERVATION_SECONDS,
            "needed": ANNOTATORS,
        }
        with open_database(self.path) as database:
            row = database.execute(
                """
                WITH own AS (SELECT votes.* FROM votes JOIN queue USING (task, id, text_hash) WHERE task = :task)
                SELECT queue.id, text, predicted FROM queue
                LEFT JOIN shown AS own_shown
                  ON own_shown.task = queue.task AND own_shown.id = queue.id AND own_shown.annotator = :annotator
                WHERE queue.task = :task
                  AND NOT EXISTS (SELECT 1 FROM own WHERE own.id = queue.id AND own.annotator = :annotator)
                  AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.task = :task AND decisions.id = queue.id
                    AND decisions.text_hash = queue.text_hash)
                  AND (
                    (SELECT COUNT(*) FROM own WHERE own.id = queue.id)
                    + (SELECT COUNT(*) FROM shown WHERE shown.task = :task AND shown.id = queue.id
                       AND shown_at > :expired AND annotator != :annotator
                       AND NOT EXISTS (SELECT 1 FROM own WHERE own.id = shown.id AND own.annotator = shown.annotator))
                  ) < :needed
                ORDER BY own_shown.shown_at IS NULL, position LIMIT 1
                """,
                parameters,
            ).fetchone()
            if row is None:
                return None
            self._reserve(database, row[0], annotator, now)
            return Item(row[0], row[1], _labels(row[2]))

    def reveal(self, row_id: str, annotator: str) -> tuple[int, ...]:
        """Return the predicted labels of a row, and record that the annotator has seen them."""
        with open_database(self.path) as database:
            database.execute(
                "UPDATE shown SET saw_predictions = 1 WHERE task = ? AND id = ? AND annotator = ?",
                (self.task, row_id, annotator),
            )
            row = database.execute(
                "SELECT predicted FROM queue WHERE task = ? AND id = ?", (self.task, row_id)
            ).fetchone()
            return _labels(row[0]) if row else ()

    def vote(self, vote: Vote) -> None:
        """Store a vote, replacing an earlier one of the annotator on the row.

        Raises:
            UsageError: The row is not in the queue, was not shown to the annotator, or has all its votes; or the vote
                has neither labels nor `unsure`.
        """
        with open_database(self.path) as database:
            shown = database.execute(
                "SELECT saw_predictions FROM shown WHERE task = ? AND id = ? AND annotator = ?",
                (self.task, vote.id, vote.annotator),
            ).fetchone()
            self._store(database, replace(vote, saw_predictions=vote.saw_predictions or bool(shown and shown[0])))
            if shown is None:
                raise UsageError(f"row {vote.id} was not shown to {vote.annotator}; request the next row first")

    def import_votes(self, votes: Iterable[Vote]) -> int:
        """Store all votes, or none; existing votes are replaced.

        Returns:
            Number of votes.

        Raises:
            UsageError: As for `vote`, except that rows need not have been shown; the message names the vote's number.
        """
        number = 0
        with open_database(self.path) as database:
            for number, vote in enumerate(votes, 1):
                try:
                    self._store(database, vote)
                except UsageError as error:
                    raise UsageError(f"vote {number}: {error}") from None
        return number

    def _store(self, database: sqlite3.Connection, vote: Vote) -> None:
        labels = normalize_labels(vote.labels)
        if not vote.annotator.strip():
            raise UsageError("the annotator's name is empty")
        if not labels and not vote.unsure:
            raise UsageError("no label is selected; select at least one (neutral is a label), or vote unsure")
        text_hash = self._queued_hash(database, vote.id)
        (others,) = database.execute(
            "SELECT COUNT(*) FROM votes WHERE task = ? AND id = ? AND text_hash = ? AND annotator != ?",
            (self.task, vote.id, text_hash, vote.annotator),
        ).fetchone()
        if others >= ANNOTATORS:
            raise UsageError(f"row {vote.id} already has {ANNOTATORS} votes; it needs no more")
        columns = (vote.annotator, json.dumps(labels), int(vote.unsure), int(vote.saw_predictions), time.time())
        database.execute(
            "INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self.task, vote.id, text_hash, *columns)
        )

    def _reserve(self, database: sqlite3.Connection, row_id: str, annotator: str, now: float) -> None:
        database.execute(
            "INSERT INTO shown VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET shown_at = excluded.shown_at",
            (self.task, row_id, annotator, now),
        )

    def undo(self, annotator: str) -> Item | None:
        """Delete an annotator's last vote and return its row; None if there is none."""
        with open_database(self.path) as database:
            row = database.execute(
                "SELECT id, text, predicted, text_hash FROM votes JOIN queue USING (task, id, text_hash) "
                "WHERE task = ? AND annotator = ? "
                "AND (id, text_hash) NOT IN (SELECT id, text_hash FROM decisions WHERE task = ?) "
                "ORDER BY created_at DESC LIMIT 1",
                (self.task, annotator, self.task),
            ).fetchone()
            if row is None:
                return None
            database.execute(  # votes on an earlier text of the same id stay
                "DELETE FROM votes WHERE task = ? AND id = ? AND text_hash = ? AND annotator = ?",
                (self.task, row[0], row[3], annotator),
            )
            self._reserve(database, row[0], annotator, time.time())
            return Item(row[0], row[1], _labels(row[2]))

    def progress(self, annotator: str) -> dict[str, int]:
        """Count the rows, the rows with all votes, and the annotator's own votes."""
        with open_database(self.path) as database:
            rows, complete_rows, own_votes = database.execute(
                """
                SELECT (SELECT COUNT(*) FROM queue WHERE task = :task),
                  (SELECT COUNT(*) FROM (SELECT id FROM votes JOIN queue USING (task, id, text_hash) WHERE task = :task
                    GROUP BY id HAVING COUNT(*) >= :needed)),
                  (SELECT COUNT(*) FROM votes JOIN queue USING (task, id, text_hash)
                    WHERE task = :task AND annotator = :annotator)
                """,
                {"task": self.task, "annotator": annotator, "needed": ANNOTATORS},
            ).fetchone()
        return {"rows": rows, "complete_rows": complete_rows, "own_votes": own_votes}

    def next_tie(self, adjudicator: str) -> Item | None:
        """Return the first open row that the adjudicator has not voted on, with its vote counts."""
        own = {vote.id for vote in self.all_votes() if vote.annotator == adjudicator}
        ties = {row_id: result for row_id, result in self.results().items() if result.resolution == "open"}
        with open_database(self.path) as database:
            for row_id, text, predicted in database.execute(
                "SELECT id, text, predicted FROM queue WHERE task = ? ORDER BY position", (self.task,)
            ):
                if row_id in ties and row_id not in own:
                    return Item(row_id, text, _labels(predicted), ties[row_id].counts)
        return None

    def decide(self, row_id: str, adjudicator: str, labels: Sequence[int]) -> None:
        """Store the adjudicator's labels for an open row; without labels, the row is discarded.

        Raises:
            UsageError: The row is unknown or not open, or the annotator is not an adjudicator.
        """
        indices = normalize_labels(labels)
        if not self.annotators().get(adjudicator):
            raise UsageError(
                f"{adjudicator} is not an adjudicator; add one with: "
                f"python -m data_build annotator {self.path.parent} NAME --adjudicator"
            )
        result = self.results().get(row_id)
        not_open = UsageError(f"row {row_id} is not open for adjudication; choose another row")
        if result is None or result.resolution != "open":
            raise not_open
        with open_database(self.path) as database:
            inserted = database.execute(
                "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?)",
                (self.task, row_id, self._queued_hash(database, row_id), adjudicator, json.dumps(indices), time.time()),
            )
            if not inserted.rowcount:  # another adjudicator decided in the meantime
                raise not_open

    def all_votes(self) -> list[Vote]:
        """Return all votes on rows in the queue, in queue order and by annotator."""
        with open_database(self.path) as database:
            rows = database.execute(
                "SELECT id, annotator, labels, unsure, saw_predictions "
                "FROM votes JOIN queue USING (task, id, text_hash) WHERE task = ? ORDER BY position, annotator",
                (self.task,),
            )
            return [
                Vote(row_id, annotator, _labels(labels), bool(unsure), bool(saw_predictions))
                for row_id, annotator, labels, unsure, saw_predictions in rows
            ]

    def results(self) -> dict[str, Result]:
        """Return the result of each row that has all its votes, by id."""
        by_row: dict[str, list[Vote]] = {}
        for vote in self.all_votes():
            by_row.setdefault(vote.id, []).append(vote)
        with open_database(self.path) as database:
            decisions = {
                row_id: _labels(labels)
                for row_id, labels in database.execute(
                    "SELECT id, labels FROM decisions JOIN queue USING (task, id, text_hash) WHERE task = ?",
                    (self.task,),
                )
            }
        return {
            row_id: Result(decisions[row_id], count_votes(votes), "adjudicated")
            if row_id in decisions
            else majority(votes)
            for row_id, votes in by_row.items()
            if len(votes) >= ANNOTATORS
        }

    def predicted_labels(self) -> dict[str, tuple[int, ...]]:
        """Return the labels of the queued rows before the review, by id."""
        with open_database(self.path) as database:
            rows = database.execute("SELECT id, predicted FROM queue WHERE task = ? ORDER BY position", (self.task,))
            return {row_id: _labels(labels) for row_id, labels in rows}

    def _queued_hash(self, database: sqlite3.Connection, row_id: str) -> str:
        """Return the text hash of a row in the queue.

        Raises:
            UsageError: The row is not in the queue.
        """
        row = database.execute("SELECT text_hash FROM queue WHERE task = ? AND id = ?", (self.task, row_id)).fetchone()
        if row is None:
            raise UsageError(f"unknown row {row_id}: it is not in the {self.task} queue; use the id of a queued row")
        return str(row[0])


def _labels(cell: Any) -> tuple[int, ...]:
    """Parse the label indices in a database cell; raise `sqlite3.DataError` if the cell is corrupt."""
    try:
        return tuple(normalize_labels(json.loads(cell)))
    except (TypeError, ValueError, UsageError):
        raise sqlite3.DataError(f"invalid labels: {cell!r}") from None


def _hash(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=2**14, r=8, p=1)
