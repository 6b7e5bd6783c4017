"""Documents on disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fargate_lab.cloud.store import Store, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.sqlite")


def test_what_is_put_is_there_for_the_next_one(tmp_path: Path) -> None:
    first = Store(tmp_path / "s.sqlite")
    first.put("task", "a/b", "1", {"x": [1, "ü"]})
    first.close()
    assert Store(tmp_path / "s.sqlite").get("task", "a/b", "1") == {"x": [1, "ü"]}


def test_kinds_and_scopes_are_apart(store: Store) -> None:
    store.put("task", "a/b", "1", {"n": 1})
    store.put("image", "a/b", "1", {"n": 2})
    store.put("task", "a/c", "1", {"n": 3})
    assert store.items("task", "a/b") == [("1", {"n": 1})]
    assert sorted(store.scopes("task")) == ["a/b", "a/c"]


def test_items_by_prefix_in_order(store: Store) -> None:
    for key in ("b@2", "a@1", "b@1", "ba@1", "c@1", "b", "b@\U0001f600"):
        store.put("k", "s", key, {})
    assert [k for k, _ in store.items("k", "s", "b@")] == ["b@1", "b@2", "b@\U0001f600"]


def test_delete_says_whether_there_was_one(store: Store) -> None:
    store.put("k", "s", "1", {})
    assert store.delete("k", "s", "1") is True
    assert store.delete("k", "s", "1") is False
    assert store.get("k", "s", "1") is None


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    def half() -> None:
        with store.transaction():
            store.put("k", "s", "1", {})
            with store.transaction():
                store.put("k", "s", "2", {})
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert store.items("k", "s") == []


def test_many_threads_write_at_once(store: Store) -> None:
    def write(n: int) -> None:
        for i in range(10):
            store.put("k", "s", f"{n}-{i}", {"n": n})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.items("k", "s")) == 80


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another with --state-dir"):
        Store(tmp_path / "file" / "s.sqlite")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"not a database, but long enough to be one" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "s.sqlite")


def test_an_acknowledged_put_survives_a_kill(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from fargate_lab.cloud.store import Store\n"
        "s = Store(Path(sys.argv[1])); s.put('k', 's', '1', {'n': 1}); os._exit(9)"
    )
    path = tmp_path / "s.sqlite"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 9
    assert Store(path).get("k", "s", "1") == {"n": 1}
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_commit_that_fails_is_undone(store: Store) -> None:
    """What could not be made durable is gone, and the next change works again."""

    store.put("k", "s", "0", {})
    store._execute("PRAGMA foreign_keys=ON")
    store._execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
    store._execute("CREATE TABLE b (a INTEGER REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED)")

    def refused() -> None:
        with store.transaction():
            store.put("k", "s", "1", {})
            # SQLite finds this out at COMMIT, as it does a full disk.
            store._execute("INSERT INTO b VALUES (7)")

    with pytest.raises(StoreError):
        refused()
    assert store.get("k", "s", "1") is None
    store.put("k", "s", "2", {})
    assert [key for key, _ in store.items("k", "s")] == ["0", "2"]
