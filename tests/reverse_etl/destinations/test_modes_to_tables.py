"""Whole syncs into a SQLite file and into folders: what the engine and a destination do together."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Runner, Warehouse

    from reverse_etl.declarations import Sync


@pytest.fixture
def db(tmp_path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(tmp_path / "crm.db", isolation_level=None)
    con.execute(
        "CREATE TABLE people (customer_id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT, cart TEXT)"
    )
    return con


@pytest.fixture
def to_db(run: Runner, tmp_path: Path, db: sqlite3.Connection) -> Any:
    def sync(**changes: Any) -> Sync:
        connection = {"path": str(tmp_path / "crm.db"), "table": "people"}
        return run.sync(name="people", destination="sqlite", connection=connection, **changes)

    return sync


def people(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT customer_id, email, cart FROM people ORDER BY 1").fetchall()


def test_mirror_ends_right_and_one_bad_row_is_one_dead_letter(
    run: Runner, warehouse: Warehouse, db: sqlite3.Connection, to_db: Any
) -> None:
    for number in range(9):
        warehouse.add(f"c{number}", cart_value="12.50")
    warehouse.people["c5"]["email"] = "c1@example.com"
    result = run(to_db(batch_rows=9))
    assert (result.rows_added, result.rows_rejected) == (8, 1)
    assert [row[0] for row in people(db)] == [f"c{n}" for n in range(9) if n != 5]
    assert people(db)[0] == ("c0", "c0@example.com", "12.50")
    ((reason,),) = run.rows("SELECT last_error FROM sync_state WHERE status = 'rejected'")
    assert "people.email" in reason
    assert "c1@example" not in reason
    warehouse.people["c5"]["email"] = "c5@example.com"
    warehouse.people["c0"]["consent"] = "withdrawn"
    del warehouse.people["c2"]
    result = run(to_db(batch_rows=9))
    assert (result.rows_added, result.rows_removed) == (1, 2)
    assert [row[0] for row in people(db)] == ["c1", "c3", "c4", "c5", "c6", "c7", "c8"]
    assert run(to_db(batch_rows=9)).requests == 0


def test_replace_is_one_session(
    run: Runner, warehouse: Warehouse, db: sqlite3.Connection, to_db: Any
) -> None:
    db.execute("INSERT INTO people VALUES ('theirs', 'x', 'x', 'x')")
    for number in range(5):
        warehouse.add(f"c{number}")
    result = run(to_db(mode="replace"))
    assert (result.status, result.rows_added) == ("succeeded", 5)
    assert [row[0] for row in people(db)] == [f"c{n}" for n in range(5)]
    warehouse.people["c3"]["consent"] = "withdrawn"
    run(to_db(mode="replace"))
    assert [row[0] for row in people(db)] == ["c0", "c1", "c2", "c4"]
    assert run(to_db(mode="replace")).requests == 0


def test_update_only_and_add_only(
    run: Runner, warehouse: Warehouse, db: sqlite3.Connection, to_db: Any
) -> None:
    db.execute("INSERT INTO people VALUES ('c1', 'x', 'x', 'x')")
    for number in range(3):
        warehouse.add(f"c{number}")
    result = run(to_db(mode="update_only"))
    assert result.rows_pending == 0
    assert people(db) == [("c1", "c1@example.com", "1.00")]


def test_files_of_every_mode(run: Runner, warehouse: Warehouse, tmp_path: Path) -> None:
    for number in range(5):
        warehouse.add(f"c{number}")
    for mode, format in (("mirror", "csv"), ("replace", "parquet")):
        sync = run.sync(
            name=f"people_{mode}", destination="files", mode=mode,
            connection={"path": str(tmp_path / "lake"), "format": format},
        )  # fmt: skip
        assert run(sync).rows_added == 5
        assert run(sync).requests == 0
    assert len(list((tmp_path / "lake" / "people_mirror").rglob("*.csv"))) == 3
    current = json.loads((tmp_path / "lake/people_replace/current.json").read_text())
    assert (current["rows"], len(current["files"])) == (5, 3)
