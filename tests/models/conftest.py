"""The dbt project over tables made by hand: single models are built on what a test says is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from benchmarks.projects import copy_project
from orchestration.home import Home
from orchestration.project import Project

Rows = Sequence[Mapping[str, Any]]


class Models:
    """A copy of the project with an empty warehouse."""

    def __init__(self, folder: Path) -> None:
        self.root = copy_project(folder / "project")
        self.home = Home(root=self.root, data=folder / "data")
        self.project = Project(self.home)
        assert self.project.manifest  # parsing opens a warehouse: not while a test has it open

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.home.warehouse)) as con:
            con.execute("set TimeZone = 'UTC'")
            yield con

    def table(self, name: str, columns: Mapping[str, str], rows: Rows) -> None:
        """Replace `schema.table` by these rows; a column that a row does not name is null."""
        with self.warehouse() as con:
            con.execute(f"create schema if not exists {name.split('.', maxsplit=1)[0]}")
            typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            con.execute(f"create or replace table {name} ({typed})")
            for row in rows:
                assert row.keys() <= columns.keys(), row.keys() - columns.keys()
                marks = ", ".join("?" for _ in columns)
                con.execute(
                    f"insert into {name} values ({marks})", [row.get(column) for column in columns]
                )

    def build(self, *names: str, tests: bool = True) -> None:
        """`dbt build` of these models and, unless told otherwise, the tests of their own."""
        nodes = self.project.manifest["nodes"]
        models = {key for key, node in nodes.items() if node["name"] in names}
        results = self.project.build(
            node
            for key, node in nodes.items()
            if key in models
            or (
                tests
                and node["resource_type"] == "test"
                and set(node["depends_on"]["nodes"]) <= models
            )
        )
        bad = [f"{r.unique_id}: {r.message}" for r in results if not r.is_good]
        assert not bad, "\n".join(bad)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as con:
            return con.execute(sql).fetchall()

    def edit_yaml(self, path: str, change: Any) -> None:
        """Change a YAML file of the dbt project, and parse again."""
        file = self.home.dbt_project / path
        document = yaml.safe_load(file.read_text("utf-8"))
        change(document)
        file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        self.project = Project(self.home)
        assert self.project.manifest


class Manifest:
    """The manifest, with the questions that the rules ask of it."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.sources = {s["unique_id"]: s for s in manifest["sources"].values()}
        self.models = {
            key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"
        }
        self.tests = [n for n in manifest["nodes"].values() if n["resource_type"] == "test"]
        self.exposures = list(manifest["exposures"].values())

    def layer(self, key: str) -> str:
        path = self.models[key]["original_file_path"]
        return str(path.split("/")[1])

    def parents(self, key: str) -> list[str]:
        return [
            p
            for p in self.models[key]["depends_on"]["nodes"]
            if p in self.models or p in self.sources
        ]

    @cached_property
    def children(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for key in self.models:
            for parent in self.parents(key):
                found[parent].add(key)
        return found

    def name(self, key: str) -> str:
        source = self.sources.get(key)
        return (
            f"{source['source_name']}.{source['name']}" if source else str(self.models[key]["name"])
        )

    def tests_of(self, key: str) -> set[str]:
        return {
            test["test_metadata"]["name"]
            for test in self.tests
            if test.get("attached_node") == key and test.get("test_metadata")
        }


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Shared: tests that change the project's files take `own_models`."""
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def own_models(tmp_path: Path) -> Models:
    return Models(tmp_path)


@pytest.fixture(scope="session")
def project(models: Models) -> Manifest:
    return Manifest(models.project.manifest)
