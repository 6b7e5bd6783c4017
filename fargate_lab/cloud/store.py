"""Documents on disk. A `put` that has returned survives a kill of the process or of the machine."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, scope, key)
) WITHOUT ROWID
"""


class StoreError(Exception):
    """The state folder cannot be written or read; the text says which and what to do."""


class Store:
    """A small document store: (kind, scope, key) → JSON object, in one SQLite file.

    kind is what it is (`task`, `image`), scope whose it is (`account/region`), key its name.
    Safe to use from many threads; keys list in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # FULL: a commit reaches the disk before it is acknowledged.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The state file {path} cannot be opened ({error}). "
                "Check that its folder is writable and the disk is not full, "
                "or choose another with --state-dir."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All puts and deletes inside become durable together, or not at all. May be nested."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._execute("BEGIN IMMEDIATE")
                yield
                if self._depth == 1:
                    self._execute("COMMIT")
            except BaseException:
                # Also after a COMMIT that failed: the next change must find no open transaction.
                if self._depth == 1 and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def put(self, kind: str, scope: str, key: str, document: dict[str, Any]) -> None:
        """Write a document, replacing what stood there."""
        body = json.dumps(document, separators=(",", ":"))
        with self.transaction():
            self._execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", kind, scope, key, body
            )

    def get(self, kind: str, scope: str, key: str) -> dict[str, Any] | None:
        """The document, or None."""
        rows = self._execute(
            "SELECT body FROM documents WHERE kind=? AND scope=? AND key=?", kind, scope, key
        )
        return json.loads(rows[0][0]) if rows else None

    def delete(self, kind: str, scope: str, key: str) -> bool:
        """Remove a document; whether there was one."""
        with self.transaction():
            before = self._db.total_changes
            self._execute(
                "DELETE FROM documents WHERE kind=? AND scope=? AND key=?", kind, scope, key
            )
            return self._db.total_changes > before

    def items(self, kind: str, scope: str, prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
        """All (key, document) of a kind in a scope whose key begins with prefix, by key."""
        rows = self._execute(
            "SELECT key, body FROM documents WHERE kind=? AND scope=? AND key>=? AND key<? "
            "ORDER BY key",
            kind,
            scope,
            prefix,
            # No key has a character above the last one of Unicode.
            prefix + "\U0010ffff",
        )
        return [(key, json.loads(body)) for key, body in rows]

    def scopes(self, kind: str) -> list[str]:
        """The scopes that hold documents of a kind."""
        return [
            r[0] for r in self._execute("SELECT DISTINCT scope FROM documents WHERE kind=?", kind)
        ]

    def close(self) -> None:
        """Close the file; further use is an error."""
        with self._lock:
            self._db.close()

    def _execute(self, sql: str, *values: str) -> list[tuple[str, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(
                    f"The state file {self.path} cannot be used ({error}). Check that the disk is "
                    "not full and the folder is writable; what was acknowledged before is kept."
                ) from error
