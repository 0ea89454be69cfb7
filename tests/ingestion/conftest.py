"""A project in a folder of its own: declared tables, files dropped into it, loads into DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingestion import declarations, fetch, ledger, load
from ingestion.sources import LoadResult, SourceTable

NOW = datetime(2026, 7, 1, 12, 0)
PEOPLE = {"id": "integer", "name": "varchar", "born": "date", "seen": "timestamp"}


class Project:
    """A project's root, its warehouse, and one table `crm.people`."""

    def __init__(self, root: Path, con: duckdb.DuckDBPyConnection) -> None:
        self.root = root
        self.con = con
        self.staging = root / "dbt_project" / "models" / "staging"
        self.staging.mkdir(parents=True)

    def declare(
        self,
        ingest: Mapping[str, Any] | None = None,
        columns: Mapping[str, Any] = PEOPLE,
        name: str = "people",
    ) -> SourceTable:
        """Declare the table (a column is a type, or a type and its meta) and make it."""
        block = {"connector": "files", "location": f"drop/{name}*", **(ingest or {})}
        block = {key: value for key, value in block.items() if value is not None}
        listed = [
            {"name": column, "data_type": given}
            if isinstance(given, str)
            else {"name": column, "data_type": given[0], "config": {"meta": given[1]}}
            for column, given in columns.items()
        ]
        table = {"name": name, "config": {"meta": {"ingest": block}}, "columns": listed}
        document = {"sources": [{"name": "crm", "tables": [table]}]}
        (self.staging / "_crm.yml").write_text(yaml.safe_dump(document, sort_keys=False))
        found = declarations.read(self.staging)
        assert found.problems == ()
        assert ledger.ensure(self.con, found.tables) == ()
        return found.tables[0]

    def drop(self, name: str, content: bytes | str) -> Path:
        """Put a file into the drop folder."""
        path = self.root / "drop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, table: SourceTable) -> tuple[LoadResult, ...]:
        """Fetch and load, as a run does."""
        arrivals = fetch.fetch(
            table, project_root=self.root, downloads=self.root / "downloads", env={}
        )
        return load.load(self.con, table, arrivals, run_id="run_1", now=NOW)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        return self.con.execute(sql).fetchall()


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def project(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> Project:
    return Project(tmp_path, con)
