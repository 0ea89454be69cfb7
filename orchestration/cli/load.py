"""`mainstem load`: one file into one declared table, now, with an answer for every row."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import duckdb

from ingestion import declarations, ledger
from ingestion import load as loading
from ingestion.sources import Arrival, SourceTable
from orchestration import lock, warehouse
from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home

SHOWN_ROWS = 20


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="A declared source.")
@click.option("--table", required=True, help="A table of it.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every refused row.")
def command(file: Path, source: str, table: str, dry_run: bool, as_json: bool) -> None:
    """Load FILE into a declared table, and say of every refused row why.

    The same file again changes nothing; a file of the same name with other content replaces what it
    brought before. `mainstem run` then carries the rows on.

    \b
    mainstem load guests.csv --source guests --table guests --dry-run
    """
    home = find_home()
    declared = declared_table(home, source, table)
    arrival = Arrival(path=file.resolve(), origin=f"upload/{file.name}")
    with _database(home, dry_run) as con:
        ledger.ensure(con, [declared])
        now = datetime.now(UTC).replace(tzinfo=None)
        (result,) = loading.load(con, declared, [arrival], run_id="mainstem load", now=now)
        refused = con.execute(
            """
            select row_number, column_name, reason from ops.quarantine
            where load_id = ? order by row_number
            """,
            [result.load_id],
        ).fetchall()
    if as_json:
        rows = [{"row": row, "column": column, "reason": why} for row, column, why in refused]
        counts: dict[str, Any] = {
            "status": "dry run" if dry_run else result.status,
            "rows_read": result.rows_read,
            "rows_loaded": result.rows_loaded,
            "rows_duplicate": result.rows_duplicate,
            "rows_quarantined": result.rows_quarantined,
            "error": result.error,
        }
        print(json.dumps({**counts, "refused": rows}, indent=2))
    else:
        verb = "would load" if dry_run else "loaded" if result.status == "loaded" else result.status
        print(
            f"{source}.{table}: {result.rows_read:,} rows read, {result.rows_loaded:,} {verb},"
            f" {result.rows_duplicate:,} duplicate, {result.rows_quarantined:,} refused"
        )
        for row, column, why in refused[:SHOWN_ROWS]:
            print(f"  row {row}: {column + ': ' if column else ''}{why}")
        if len(refused) > SHOWN_ROWS:
            print(f"  and {len(refused) - SHOWN_ROWS:,} more (--json has them all)")
    if result.status == "failed":
        print(f"mainstem: {result.error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def declared_table(home: Home, source: str, table: str) -> SourceTable:
    """The declaration of a table that can be loaded; anything else is wrong usage, and said so."""
    found = declarations.read(home.staging)
    for candidate in found.tables:
        if (candidate.source, candidate.name) == (source, table):
            if candidate.ingest is not None:
                return candidate
            problems = [str(p) for p in found.problems if (p.source, p.table) == (source, table)]
            raise click.UsageError("; ".join(problems))
    known = ", ".join(f"{c.source}.{c.name}" for c in found.tables)
    raise click.UsageError(f"{source}.{table} is not declared; declared are {known}")


@contextmanager
def _database(home: Home, dry_run: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse with its lock, or for a dry run one in memory that is forgotten."""
    if dry_run:
        with duckdb.connect() as con:
            con.execute("set TimeZone = 'UTC'")
            yield con
        return
    with lock.hold(home.lock, "mainstem load"), warehouse.connect(home.warehouse) as con:
        yield con
