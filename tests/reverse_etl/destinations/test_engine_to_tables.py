"""Whole syncs into a SQLite file and into folders: what engine and destination promise together."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reverse_etl import destinations

if TYPE_CHECKING:
    from conftest import Runner, Warehouse

    from reverse_etl.declarations import Sync


@pytest.fixture
def db(tmp_path: Path) -> sqlite3.Connection:
    """A table that writes down every change to it."""
    con = sqlite3.connect(tmp_path / "crm.db", isolation_level=None)
    con.executescript("""
        CREATE TABLE people (customer_id TEXT PRIMARY KEY, email TEXT, name TEXT, cart TEXT);
        CREATE TABLE changes (kind TEXT, customer_id TEXT);
        CREATE TRIGGER i AFTER INSERT ON people
            BEGIN INSERT INTO changes VALUES ('insert', new.customer_id); END;
        CREATE TRIGGER u AFTER UPDATE ON people
            BEGIN INSERT INTO changes VALUES ('update', new.customer_id); END;
        CREATE TRIGGER d AFTER DELETE ON people
            BEGIN INSERT INTO changes VALUES ('delete', old.customer_id); END;
    """)
    return con


def to_db(run: Runner, path: Path, **changes: Any) -> Sync:
    connection = {"path": str(path / "crm.db"), "table": "people"}
    return run.sync(name="people", destination="sqlite", connection=connection, **changes)


KILLED = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
from reverse_etl import engine
from reverse_etl.declarations import Sync
from reverse_etl.destinations.sqlite import Sqlite
declared, published, ledger, when, moment = json.loads(sys.argv[1])
for key in ("fields", "required"):
    declared[key] = tuple(map(tuple, declared[key])) if key == "fields" else tuple(declared[key])
commit, commits = Sqlite.commit, []
def killed(self):
    commits.append(self._is_committing)
    if sum(commits) == when and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)
    if sum(commits) == when:
        os.kill(os.getpid(), signal.SIGKILL)
Sqlite.commit = killed
engine.run(Sync(**declared), published=Path(published), ledger=Path(ledger), run_id="killed",
           env={}, now=datetime(2026, 3, 1, 12))
"""


@pytest.mark.parametrize(("when", "moment"), [(1, "after"), (3, "before"), (4, "after")])
def test_a_sync_killed_around_a_commit_writes_every_row_once(
    run: Runner,
    warehouse: Warehouse,
    db: sqlite3.Connection,
    tmp_path: Path,
    when: int,
    moment: str,
) -> None:
    for number in range(8):
        warehouse.add(f"c{number}")
    sync = to_db(run, tmp_path)
    plain = {key: value for key, value in asdict(sync).items() if key != "guards"}
    told = json.dumps([plain, str(warehouse.publish()), str(run.ledger), when, moment])
    env = os.environ | {"PYTHONPATH": str(Path(destinations.__file__).parents[2])}
    process = subprocess.run([sys.executable, "-c", KILLED, told], env=env, timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL
    applied = 2 * (when if moment == "after" else when - 1)
    assert db.execute("SELECT count(*) FROM people").fetchall() == [(applied,)]
    result = run(sync)
    assert (result.status, result.rows_added) == ("succeeded", 8)
    every = [("insert", f"c{number}") for number in range(8)]
    assert db.execute("SELECT * FROM changes ORDER BY 2").fetchall() == every
    assert run(sync).requests == 0


def test_who_changes_leaves_or_withdraws_is_right_in_the_table(
    run: Runner, warehouse: Warehouse, db: sqlite3.Connection, tmp_path: Path
) -> None:
    for number in range(5):
        warehouse.add(f"c{number}", cart_value="12.50")
    sync = to_db(run, tmp_path)
    run(sync)
    warehouse.people["c0"]["consent"] = "withdrawn"
    warehouse.people["c1"]["first_name"] = "Zoë 🛒"
    del warehouse.people["c2"]
    run(sync)
    assert db.execute("SELECT customer_id, name, cart FROM people ORDER BY 1").fetchall() == [
        ("c1", "Zoë 🛒", "12.50"),
        ("c3", "Name3", "12.50"),
        ("c4", "Name4", "12.50"),
    ]


def test_files_hold_what_was_sent(run: Runner, warehouse: Warehouse, tmp_path: Path) -> None:
    for number in range(5):
        warehouse.add(f"c{number}")
    connection = {"path": str(tmp_path / "lake"), "format": "csv"}
    sync = run.sync(name="people", destination="files", connection=connection)
    assert run(sync).rows_added == 5
    assert run(sync).requests == 0
    assert len(list((tmp_path / "lake" / "people").rglob("*.csv"))) == 3
