"""The warehouse file: opening it, and publishing a copy that anybody may read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

PUBLISHED_SCHEMAS = ("canonical", "identity", "marts", "audiences", "reverse_etl")
"""Published whole."""

PUBLISHED_TABLES = (
    "ops.loads",
    "ops.landed",
    "identity_state.models",
    "identity_state.frequent_names",
    "intermediate.int_shared_devices",
    "intermediate.int_login_customers",
    "intermediate.int_email_event_customers",
    "intermediate.int_customer_contacts",
)
"""Of other schemas only these: quarantine and raw hold what was refused, and of what identity's next run
begins with, a preview needs the model alone; of intermediate, what audiences read: whose a shared device, a
login, a mail and a contact is."""


@contextmanager
def connect(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, open for writing for as long as the block runs, and no longer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    settings: dict[str, str | bool | int | float | list[str]] = {"preserve_insertion_order": False}
    if limit := os.environ.get("MAINSTEM_MEMORY_LIMIT"):
        settings["memory_limit"] = limit
    con = duckdb.connect(str(path), config=settings)
    try:
        con.execute("set TimeZone = 'UTC'")
        # a table that is not there is an error, and no variable of ours that has its name
        con.execute("set python_enable_replacements = false")
        yield con
    finally:
        con.close()


@contextmanager
def read_published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file, read-only. Raises FileNotFoundError with the next step."""
    if not path.exists():
        raise FileNotFoundError(f"Nothing is published yet at {path}: do `mainstem run` first.")
    con = duckdb.connect(str(path), read_only=True)
    try:
        con.execute("set TimeZone = 'UTC'")
        # a table that is not there is an error, and no variable of ours that has its name
        con.execute("set python_enable_replacements = false")
        yield con
    finally:
        con.close()


@contextmanager
def attach_published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file, read-only, for who needs room to work in memory beside it."""
    if not path.exists():
        raise FileNotFoundError(f"Nothing is published yet at {path}: do `mainstem run` first.")
    con = duckdb.connect(":memory:")
    try:
        con.execute("set TimeZone = 'UTC'")
        # a table that is not there is an error, and no variable of ours that has its name
        con.execute("set python_enable_replacements = false")
        con.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as published (read_only)")
        con.execute("use published")
        yield con
    finally:
        con.close()


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def publish(con: duckdb.DuckDBPyConnection, target: Path) -> dict[str, int]:
    """Copy what readers may see into a new file, and put it in the place of the last one.

    Written in a storage format that yesterday's clients can open, and renamed into place: who has
    the old file open keeps reading it. Returns rows by `schema.table`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    for leftover in (draft, draft.with_suffix(".draft.wal")):
        leftover.unlink(missing_ok=True)
    con.execute(
        f"attach '{str(draft).replace(chr(39), chr(39) * 2)}' as draft (storage_version 'v1.4.0')"
    )
    try:
        tables = con.execute(
            """
            select table_schema, table_name
            from information_schema.tables
            where table_catalog = current_catalog()
              and (table_schema in (select unnest(?)) or table_schema || '.' || table_name in (select unnest(?)))
            order by all
            """,
            [list(PUBLISHED_SCHEMAS), list(PUBLISHED_TABLES)],
        ).fetchall()
        rows: dict[str, int] = {}
        partly = {table.partition(".")[0] for table in PUBLISHED_TABLES}
        for schema in sorted({*PUBLISHED_SCHEMAS, *partly}):
            con.execute(f"create schema draft.{quote(schema)}")
        for schema, table in tables:
            name = f"{quote(schema)}.{quote(table)}"
            counted = con.execute(f"create table draft.{name} as from {name}").fetchall()
            rows[f"{schema}.{table}"] = int(counted[0][0])
        con.execute("checkpoint draft")
    finally:
        con.execute("detach draft")
    draft.replace(target)
    return rows
