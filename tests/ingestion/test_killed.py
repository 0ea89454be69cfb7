"""SIGKILL at random moments of a load, then the load again: as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import duckdb

#: Each kill is a process that has to start: a thorough round is MAINSTEM_KILLS=20.
KILLS = int(os.environ.get("MAINSTEM_KILLS", "5"))
ROOT = Path(__file__).resolve().parents[2]
LOAD = textwrap.dedent("""
    import sys
    from datetime import datetime
    from pathlib import Path
    import duckdb
    from ingestion import declarations, fetch, ledger, load
    root, database = Path(sys.argv[1]), sys.argv[2]
    tables = declarations.read(root / "staging").tables
    print("started", flush=True)
    with duckdb.connect(database) as con:
        ledger.ensure(con, tables)
        for table in tables:
            files = fetch.fetch(table, project_root=root, downloads=root / "d", env={})
            load.load(con, table, files, run_id="r", now=datetime(2026, 7, 1))
""")
YAML = """
sources:
  - name: crm
    tables:
      - name: keyed
        config: {meta: {ingest: {connector: files, location: "drop/*.csv", key: [id]}}}
        columns: [{name: id, data_type: integer}, {name: name, data_type: varchar}]
      - name: snapshot
        config: {meta: {ingest: {connector: files, location: "drop/*.csv", key: [id], mode: snapshot}}}
        columns: [{name: id, data_type: integer}, {name: name, data_type: varchar}]
      - name: keyless
        config: {meta: {ingest: {connector: files, location: "drop/*.csv"}}}
        columns: [{name: id, data_type: integer}, {name: name, data_type: varchar}]
"""


def run(root: Path, database: Path, kill_after: float | None = None) -> float:
    """Run the load, killed after so many seconds if it is still going; how long it took."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD, str(root), str(database)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    start = time.perf_counter()
    try:
        code = process.wait(60 if kill_after is None else kill_after)
        assert code == 0
    except subprocess.TimeoutExpired:
        assert kill_after is not None, "the load hangs"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    process.stdout.close()
    return time.perf_counter() - start


def tables(database: Path) -> list[list[tuple]]:
    with duckdb.connect(str(database), read_only=True) as con:
        queries = [
            "from raw_crm.keyed order by all",
            "from raw_crm.keyless order by all",
            "from raw_crm.snapshot order by all",
            "from ops.drift order by all",
            "select * exclude (finished_at) from ops.loads order by all",
            "from ops.quarantine order by all",
        ]
        return [con.execute(query).fetchall() for query in queries]


def test_a_load_killed_at_random_moments_ends_as_one_that_was_not(tmp_path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "_crm.yml").write_text(YAML)
    (tmp_path / "drop").mkdir()
    for n in (1, 2):
        lines = [f"{i},name {i % 7000}" for i in range(n * 500, n * 500 + 60_000)] + ["x,bad"]
        (tmp_path / "drop" / f"{n}.csv").write_text("id,name\n" + "\n".join(lines) + "\n")
    whole = run(tmp_path, tmp_path / "whole.duckdb")
    chance = random.Random(7)
    killed = tmp_path / "killed.duckdb"
    for _ in range(KILLS):
        run(tmp_path, killed, kill_after=chance.uniform(0.05, 0.8) * whole)
    run(tmp_path, killed)
    assert tables(killed) == tables(tmp_path / "whole.duckdb")
    assert [len(found) > 0 for found in tables(killed)] == [True, True, True, False, True, True]
