"""A company that uses every ready-made source, and no other: raw tables in, canonical rows out."""

from __future__ import annotations

import csv
import datetime
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from benchmarks.projects import ROOT, copy_project
from orchestration.home import Home
from orchestration.project import NodeResult, Project

Rows = list[dict[str, Any]]
#: system -> table -> rows
Landed = Mapping[str, Mapping[str, Rows]]

ROWS = Path(__file__).parent / "rows"
# What canonical tables are made from beside staging.
PREPARED = {
    "int_events", "int_contact_changes", "int_event_changes", "int_order_changes",
    "int_order_item_changes", "int_visitor_identifiers",
}  # fmt: skip
CANONICAL = {
    "contacts", "identifiers", "events", "orders", "order_items", "products", "campaigns",
    "ad_spend_daily", "email_events", "support_tickets",
}  # fmt: skip
SOURCES = {
    "hubspot": ["contacts", "email_events", "campaigns", "support_tickets"],
    "salesforce": ["contacts"],
    "klaviyo": ["contacts", "email_events", "campaigns"],
    "marketo": ["contacts", "email_events", "campaigns"],
    "shopify": ["contacts", "orders", "order_items", "products"],
    "stripe": ["contacts", "orders", "products"],
    "google_ads": ["campaigns", "ad_spend_daily"],
    "facebook_ads": ["campaigns", "ad_spend_daily"],
    "linkedin_ads": ["campaigns", "ad_spend_daily"],
    "tiktok_ads": ["campaigns", "ad_spend_daily"],
    "ga4": ["events"],
    "ga4_export": ["events"],
    "mixpanel": ["events"],
    "zendesk": ["contacts", "support_tickets"],
    "segment": ["events"],
    "rudderstack": ["events"],
}
TYPES: dict[type, str] = {
    bool: "boolean", int: "bigint", float: "double", datetime.date: "date", dict: "json", list: "json",
}  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What `dbt build` made of some raw tables: canonical table -> rows, and tests that did not pass."""

    tables: Mapping[str, Rows]
    warnings: Sequence[str]

    def of(self, table: str, source: str) -> dict[str, dict[str, Any]]:
        """Rows of a canonical table that came from a source, by their source_record_id."""
        return {
            row["source_record_id"]: row
            for row in self.tables[table]
            if row["source_system"] == source
        }

    def identifiers(self, node_key: str) -> set[tuple[str, str, bool]]:
        """(type, value, is_verified) of a node."""
        return {
            (row["identifier_type"], row["identifier_value"], row["is_verified"])
            for row in self.tables["identifiers"]
            if row["node_key"] == node_key
        }


class Company:
    """A copy of the project with every ready-made source switched on; parsed once."""

    def __init__(self, folder: Path, sources: Mapping[str, Sequence[str]]) -> None:
        root = copy_project(folder / "project")
        path = root / "dbt_project" / "dbt_project.yml"
        settings = yaml.safe_load(path.read_text("utf-8"))
        settings["vars"]["sources"] = dict(sources)
        path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        self.home = Home(root=root, data=folder / "data")
        self.project = Project(self.home)

    def build(self, landed: Landed) -> Built:
        """A warehouse with these raw tables and nothing else, and one `dbt build` on it."""
        self.land(landed)
        results = self.dbt_build()
        bad = [f"{r.unique_id}: {r.message}" for r in results if not r.is_good]
        assert not bad, "\n".join(bad)
        with duckdb.connect(str(self.home.warehouse), read_only=True) as con:
            tables = {table: fetch(con, f"select * from canonical.{table}") for table in CANONICAL}
        return Built(tables, [r.unique_id for r in results if r.status == "warn"])

    def land(self, landed: Landed) -> None:
        """An empty warehouse, and these raw tables in it."""
        assert self.project.manifest  # parsing opens a warehouse: not after this one is made
        shutil.rmtree(self.home.warehouse.parent, ignore_errors=True)
        self.home.warehouse.parent.mkdir(parents=True)
        with duckdb.connect(str(self.home.warehouse)) as con:
            con.execute("set TimeZone = 'UTC'")
            for system, tables in landed.items():
                con.execute(f'create schema "{system}"')
                for table, rows in tables.items():
                    create(con, f'"{system}"."{table}"', rows)

    def dbt_build(self, below: str = "") -> list[NodeResult]:
        """`dbt build` of staging and canonical models (those below a folder) with their tests."""
        nodes = self.project.manifest["nodes"]
        models = {
            key
            for key, node in nodes.items()
            if node["resource_type"] == "model"
            and (node["name"] in CANONICAL | PREPARED or node["path"].startswith("staging/"))
            and "identity" not in node["path"]
            and node["path"].startswith(below)
        }
        return self.project.build(
            node
            for key, node in nodes.items()
            if key in models
            or (node["resource_type"] == "test" and set(node["depends_on"]["nodes"]) <= models)
        )


def create(con: duckdb.DuckDBPyConnection, relation: str, rows: Rows) -> None:
    """A table with the columns that any row has, typed after the values; text is text."""
    types: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                types[name] = _type_of(value)
            types.setdefault(name, "varchar")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    con.execute(f"create table {relation} ({columns})")
    if rows:
        marks = ", ".join("?" for _ in types)
        values = [[_plain(row.get(name)) for name in types] for row in rows]
        con.executemany(f"insert into {relation} values ({marks})", values)


def _type_of(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return "timestamptz" if value.tzinfo else "timestamp"
    return TYPES.get(type(value), "varchar")


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def fetch(con: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    cursor = con.execute(sql)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="session")
def our_rows() -> Landed:
    """Small raw tables of our own making, one file a system: the awkward cases."""
    return {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(ROWS.glob("*.yml"))
    }


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(tmp_path_factory.mktemp("ready_made"), SOURCES)


@pytest.fixture(scope="session")
def built(company: Company, our_rows: Landed) -> Built:
    return company.build(our_rows)


#: Where a public file is not called `<table>_data.csv` behind its system's prefix.
PREFIXES = {
    "facebook_ads": "facebook_ads_", "linkedin_ads": "linkedin_", "tiktok_ads": "tiktok_",
    "marketo": "marketo_", "salesforce": "sf_", "shopify": "shopify_",
}  # fmt: skip


@pytest.fixture(scope="session")
def public_rows(company: Company) -> Landed:
    """The rows of public dbt packages, as text, for the tables that our sources read."""
    folder = Path(os.environ.get("MAINSTEM_SOURCE_DATA") or ROOT.parent / "shared" / "source_data")
    if not folder.is_dir():
        pytest.skip(
            f"no {folder}: set MAINSTEM_SOURCE_DATA to a folder with <system>/<table>_data.csv"
        )
    found: dict[str, dict[str, Rows]] = {}
    for source in company.project.manifest["sources"].values():
        system, table = source["source_name"], source["name"]
        stem = PREFIXES.get(system, "") + table
        for name in (f"{stem}_data.csv", f"{stem}.csv"):
            path = folder / system / name
            if path.is_file():
                with path.open(encoding="utf-8-sig", newline="") as file:
                    rows = [
                        {k: v or None for k, v in row.items() if k} for row in csv.DictReader(file)
                    ]
                found.setdefault(system, {})[table] = rows
                break
    return found
