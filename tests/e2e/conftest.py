"""The road, run as a user runs it: the installed command, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import filelock
import pytest

from benchmarks.projects import ROOT, copy_project, environment

MAINSTEM = str(Path(sys.executable).parent / "mainstem")
LIMIT_SECONDS = 300

# SCHEMA: what may differ between two runs on the same input.
VOLATILE = {
    "load_id", "run_id", "sync_run_id", "loaded_at", "started_at", "finished_at", "changed_at", "entered_at",
    "synced_at", "sent_at", "first_failed_at", "idempotency_key", "history_id", "booked_at", "assigned_at",
}  # fmt: skip
VOLATILE_IN_IDENTITY = {"valid_from", "valid_to", "created_at"}


@dataclass
class Road:
    """A project, and a MAINSTEM_HOME of its own."""

    project: Path
    home: Path
    variables: dict[str, str]
    first: dict[str, Any] = field(default_factory=dict)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [MAINSTEM, *arguments],
            env={**environment(self.project, self.home), **self.variables},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            cwd=self.project,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done

    def run(self, expect: int = 0) -> dict[str, Any]:
        """`mainstem run --json`; what it reports."""
        done = self.command("run", "--json", check=False)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        return dict(json.loads(done.stdout))

    def run_and_kill(self, at: str, after_seconds: float = 0.0) -> None:
        """Start a run and kill it (SIGKILL) that long after its progress says `at`."""
        process = subprocess.Popen(
            [MAINSTEM, "run"],
            env={**environment(self.project, self.home), **self.variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.project,
        )
        assert process.stderr is not None
        said = []
        late = threading.Timer(LIMIT_SECONDS, process.kill)
        late.start()
        for line in process.stderr:
            said.append(line)
            if at in line:
                break
        else:
            pytest.fail(f"the run never said {at!r}:\n{''.join(said)}")
        late.cancel()
        time.sleep(after_seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        process.stderr.close()

    @contextmanager
    def dagster(self) -> Iterator[Any]:
        """Dagster's instance of this home."""
        import dagster as dg

        folder = str(self.home / "dagster")
        with (
            mock.patch.dict(os.environ, {"DAGSTER_HOME": folder}),
            dg.DagsterInstance.get() as instance,
        ):
            yield instance

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the published file."""
        with duckdb.connect(
            str(self.home / "published" / "mainstem.duckdb"), read_only=True
        ) as con:
            return con.execute(sql).fetchall()

    def ids(self) -> dict[str, str]:
        """Node to customer."""
        return dict(self.query("select node_key, customer_id from identity.crosswalk"))

    def owners(self, events: Iterable[dict[str, Any]]) -> dict[str, str | None]:
        """Whose each message of the web's log is, found by hand: the login's; of a device on which
        several people logged in, whose login came last (a visit is of who logs in in it first, and
        what came before any is of the first); else the device's own."""
        ids = self.ids()
        by_device: dict[str, list[tuple[datetime, str, str | None]]] = defaultdict(list)
        for event in events:
            at = datetime.fromisoformat(event["timestamp"]).replace(tzinfo=None)
            login = str(event.get("userId") or "").strip().lower() or None
            by_device[event["anonymousId"]].append((at, event["messageId"], login))
        found: dict[str, str | None] = {}
        for device, happened in by_device.items():
            changes, visit_from, last, is_open = [], datetime.min, datetime.min, False
            for at, _, login in sorted(happened):
                if at - last >= timedelta(minutes=30):
                    visit_from, is_open = at, True
                last = at
                who = login and (ids.get(f"shop:{login.upper()}") or login)
                if who and (not changes or changes[-1][1] != who):
                    changes.append((visit_from if is_open else at, who))
                is_open = is_open and not who
            is_shared = len({who for _, who in changes}) > 1
            for at, message, login in happened:
                own = ids.get(f"shop:{login.upper()}") if login else None
                if not own and is_shared:
                    held = [who for since, who in changes if since <= at] or [changes[0][1]]
                    own = held[-1] if held[-1].startswith("cus_") else None
                found[message] = own or ids.get(f"anon:{device}")
        return found

    def published(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every published table without what may differ from run to run, rows in one order."""
        columns: dict[str, list[str]] = {}
        for schema, table, column in self.query(
            """
            select table_schema, table_name, column_name from information_schema.columns
            where table_schema not in ('information_schema', 'pg_catalog')
            order by table_schema, table_name, ordinal_position
            """
        ):
            volatile = VOLATILE | (VOLATILE_IN_IDENTITY if schema == "identity" else set())
            if column not in volatile:
                columns.setdefault(f'"{schema}"."{table}"', []).append(f'"{column}"')
        return {
            table: self.query(f"select {', '.join(names)} from {table} order by all")
            for table, names in columns.items()
        }


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Road:
    """The sample company after its first run, from an empty MAINSTEM_HOME.

    All processes of a test run share one; nobody changes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    road = Road(ROOT, shared / "road", {})
    report = shared / "road.json"
    with filelock.FileLock(shared / "road.lock", timeout=LIMIT_SECONDS):
        if not report.exists():
            report.write_text(json.dumps(road.run()), encoding="utf-8")
    road.first = json.loads(report.read_text(encoding="utf-8"))
    return road


@pytest.fixture
def elsewhere(tmp_path: Path) -> Road:
    """A copy of the project to change, with an empty MAINSTEM_HOME."""
    return Road(copy_project(tmp_path / "project"), tmp_path / "home", {})


@pytest.fixture
def next_day(road: Road, tmp_path: Path) -> Road:
    """A copy of the project to change, and of what the first run left."""
    home = tmp_path / "home"
    shutil.copytree(road.home, home)
    return Road(copy_project(tmp_path / "project"), home, {})
