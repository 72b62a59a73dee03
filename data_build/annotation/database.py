"""SQLite annotation database: schema and transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from evenmood.errors import DataError

FILE, CREATION_LOCK = "votes.sqlite", ".votes.lock"
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS annotators (
  name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL, adjudicator INTEGER NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS queue (
  task TEXT, position INTEGER, id TEXT, text TEXT NOT NULL, text_hash TEXT NOT NULL, predicted TEXT NOT NULL,
  PRIMARY KEY (task, id)
)""",
    """CREATE TABLE IF NOT EXISTS shown (
  task TEXT, id TEXT, annotator TEXT, shown_at REAL NOT NULL, saw_predictions INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (task, id, annotator)
)""",
    """CREATE TABLE IF NOT EXISTS votes (
  task TEXT, id TEXT, text_hash TEXT, annotator TEXT, labels TEXT NOT NULL, unsure INTEGER NOT NULL,
  saw_predictions INTEGER NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (task, id, text_hash, annotator)
)""",
    """CREATE TABLE IF NOT EXISTS decisions (
  task TEXT, id TEXT, text_hash TEXT, adjudicator TEXT NOT NULL, labels TEXT NOT NULL, created_at REAL NOT NULL,
  PRIMARY KEY (task, id, text_hash)
)""",
    "CREATE TABLE IF NOT EXISTS origins (task TEXT PRIMARY KEY, origin TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS queue_position ON queue (task, position)",
)


def create_database(build: Path) -> Path:
    """Create the annotation database in the build folder if it does not exist, and return its path.

    Raises:
        DataError: The file is empty or corrupt.
    """
    build.mkdir(parents=True, exist_ok=True)
    path = build / FILE
    # The file is briefly empty while another process creates it.
    with FileLock(build / CREATION_LOCK):
        if path.exists() and not path.stat().st_size:
            raise _corrupt_file_error(path, "the file is empty")
        with open_database(path) as database:
            for statement in SCHEMA:
                database.execute(statement)
    return path


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection and run the block in one write transaction: commit on success, roll back on an exception.

    Raises:
        DataError: The file is locked, read-only or corrupt, or the disk is full.
    """
    database = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise DataError(f"cannot use {path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise _corrupt_file_error(path, str(error)) from None
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    finally:
        database.close()


def _corrupt_file_error(path: Path, reason: str) -> DataError:
    build = path.parent
    return DataError(
        f"{path} is corrupt ({reason}); restore a backup; without one, delete the file, add the annotators "
        f"(python -m data_build annotator {build} NAME), refill the queue (python -m data_build review {build}), "
        f"import the exported votes (python -m data_build votes {build} --import FILE), and run: "
        f"python -m data_build resolve {build} --restart"
    )
