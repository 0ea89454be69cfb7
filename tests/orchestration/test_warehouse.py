"""Publishing, and the lock that names its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration import lock, warehouse


def fill(path: Path, rows: int) -> None:
    with warehouse.connect(path) as con:
        for schema in ("marts", "raw_crm", "ops"):
            con.execute(f"create schema if not exists {schema}")
        con.execute(f"create or replace table marts.m as select range as i from range({rows})")
        con.execute("create or replace view marts.v as select i + 1 as j from marts.m")
        con.execute("create or replace table raw_crm.secret as select 1 as i")
        con.execute("create or replace table ops.loads as select 1 as i")
        con.execute("create or replace table ops.quarantine as select 1 as i")


def test_published_is_a_copy_of_what_readers_may_see(tmp_path: Path) -> None:
    fill(tmp_path / "w.duckdb", 3)
    with warehouse.connect(tmp_path / "w.duckdb") as con:
        rows = warehouse.publish(con, tmp_path / "out" / "p.duckdb")
    assert rows == {"marts.m": 3, "marts.v": 3, "ops.loads": 1}
    with warehouse.read_published(tmp_path / "out" / "p.duckdb") as con:
        found = con.execute(
            "select table_schema, table_name, table_type from information_schema.tables order by all"
        ).fetchall()
        version = con.execute(
            "select tags['storage_version'] from duckdb_databases() where not internal"
        )
        assert "v1.4" in str(version.fetchall()[0][0])
    assert found == [
        ("marts", "m", "BASE TABLE"), ("marts", "v", "BASE TABLE"), ("ops", "loads", "BASE TABLE"),
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p.duckdb"]


def test_a_reader_keeps_what_it_has_open_while_a_new_file_is_published(tmp_path: Path) -> None:
    target = tmp_path / "p.duckdb"
    fill(tmp_path / "w.duckdb", 3)
    with warehouse.connect(tmp_path / "w.duckdb") as con:
        warehouse.publish(con, target)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    assert reader.stdout.readline() == "3\n"
    fill(tmp_path / "w.duckdb", 5)
    with warehouse.connect(tmp_path / "w.duckdb") as con:
        warehouse.publish(con, target)
    out, _ = reader.communicate("again\n", timeout=30)
    assert out == "3\n"
    with warehouse.read_published(target) as con:
        assert con.execute("select count(*) from marts.m").fetchall() == [(5,)]


READER = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
print(con.execute("select count(*) from marts.m").fetchall()[0][0], flush=True)
sys.stdin.readline()
print(con.execute("select count(*) from marts.m").fetchall()[0][0], flush=True)
"""


def test_nothing_published_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="mainstem run"),
        warehouse.read_published(tmp_path / "p.duckdb"),
    ):
        pass


def test_names_are_quoted() -> None:
    with duckdb.connect() as con:
        name = warehouse.quote('a"; drop table x; --')
        con.execute(f"create table {name} (i int)")
        assert con.execute("select table_name from information_schema.tables").fetchall() == [
            ('a"; drop table x; --',)
        ]


def test_the_lock_names_its_holder_and_goes_with_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys, time; from pathlib import Path; from orchestration import lock\n"
    code += (
        "with lock.hold(Path(sys.argv[1]), 'a long run'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    found = lock.holder(path)
    assert found is not None
    assert (found["purpose"], found["pid"]) == ("a long run", holder.pid)
    with pytest.raises(lock.BusyError, match=f"a long run.*{holder.pid}"), lock.hold(path, "mine"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(timeout=10)
    assert lock.holder(path) is None
    with lock.hold(path, "mine"):
        assert lock.holder(path) is not None
