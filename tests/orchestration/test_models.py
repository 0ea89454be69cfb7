"""A dbt step as a run does it: how many rows each table has is asked once dbt is done, and plotted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.defs import models
from orchestration.project import NodeResult


def model(name: str, kind: str) -> dict[str, Any]:
    return {
        "unique_id": f"model.p.{name}", "resource_type": "model", "name": name, "schema": "marts",
        "raw_code": f"select '{name}'", "config": {"materialized": kind},
        "depends_on": {"nodes": [], "macros": []},
    }  # fmt: skip


KINDS = {"customers": "table", "purchases": "incremental", "recent": "view", "broken": "table"}
MANIFEST: dict[str, Any] = {
    "sources": {},
    "nodes": {f"model.p.{name}": model(name, kind) for name, kind in KINDS.items()},
    "macros": {},
}
ALL = list(MANIFEST["nodes"])
CUSTOMERS, PURCHASES, RECENT, BROKEN = ALL


class Run:
    """What a dbt step asks of a run, and of its dbt project: `sizes` is what dbt makes of each model."""

    def __init__(self, path: Path, sizes: dict[str, int]) -> None:
        self.path, self.sizes = path, sizes
        self.now = datetime(2026, 7, 1)
        self.facts: dict[str, Any] = {}
        self.is_open = False
        self.opened = 0
        self.project = self.progress = self
        self.variables: dict[str, Any] = {}

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.path)) as con:
            self.is_open, self.opened = True, self.opened + 1
            yield con
        self.is_open = False

    def say(self, _: str) -> None:
        return None

    def as_of(self) -> str:
        return "2026-07-01"

    def build(self, nodes: Sequence[Any], **_: Any) -> list[NodeResult]:
        assert not self.is_open
        with duckdb.connect(str(self.path)) as con:
            con.execute("create schema if not exists marts")
            return [self._build_one(con, node) for node in nodes]

    def _build_one(self, con: duckdb.DuckDBPyConnection, node: Any) -> NodeResult:
        rows = self.sizes.get(node["name"])
        if rows is None:
            return NodeResult(node["unique_id"], "error", 0.1, None, "no")
        kind = "view" if node["config"]["materialized"] == "view" else "table"
        con.execute(f"create or replace {kind} marts.{node['name']} as select * from range({rows})")
        return NodeResult(node["unique_id"], "success", 0.1, None, None)


def test_tables_say_how_many_rows_they_have_built_or_not(tmp_path: Path) -> None:
    run: Any = Run(tmp_path / "w.duckdb", {"customers": 3, "purchases": 7, "recent": 2})
    work = models.build_stale(run, MANIFEST, ALL, "run_1")
    assert run.opened == 2, "before dbt and after it"
    said = {key: models.metadata_of(work, key).get("dagster/row_count") for key in ALL}
    # A view's rows would have to be computed; what failed has no table.
    assert said == {CUSTOMERS: 3, PURCHASES: 7, RECENT: None, BROKEN: None}

    # A run in which nothing changed leaves no gap in the plot.
    run.sizes["broken"] = 5
    work = models.build_stale(run, MANIFEST, ALL, "run_2")
    assert list(work.results) == [BROKEN]
    assert models.metadata_of(work, CUSTOMERS) == {
        "mainstem/state": "unchanged", "dagster/row_count": 3,
    }  # fmt: skip
    assert models.metadata_of(work, BROKEN)["dagster/row_count"] == 5
