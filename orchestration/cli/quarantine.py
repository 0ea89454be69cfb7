"""`mainstem quarantine`: the rows that loading refused: list, explain, replay."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import click

from ingestion import fetch, ledger, partitions, quarantine
from ingestion import replay as replaying
from ingestion.sources import IngestionError
from orchestration import lock, sample, warehouse
from orchestration.cli import EXIT_FAILED
from orchestration.cli.load import declared_table
from orchestration.home import find_home
from orchestration.project import Project


@click.group()
def command() -> None:
    """Rows that loading refused, and why. They are in the warehouse, never in the published file."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(as_json: bool) -> None:
    """Count refused rows by table, column and reason."""
    home = find_home()
    with lock.hold(home.lock, "mainstem quarantine"), warehouse.connect(home.warehouse) as con:
        ledger.ensure(con, [])
        found = quarantine.counts(con)
    if as_json:
        print(json.dumps([asdict(count) for count in found], indent=2, default=str))
        return
    for count in found:
        where = f"{count.column_name}: " if count.column_name else ""
        print(f"{count.rows:>7,}  {count.source}.{count.table_name}  {where}{count.reason}")
    if not found:
        print("Nothing is in the quarantine.")
    else:
        print("Next: mainstem quarantine explain SOURCE.TABLE")


@command.command()
@click.argument("table", metavar="SOURCE.TABLE")
@click.option("--origin", help="With --row: the file.")
@click.option("--row", type=int, help="One row of that file, as it stands there.")
@click.option("--limit", default=20, show_default=True, help="How many rows to show.")
def explain(table: str, origin: str | None, row: int | None, limit: int) -> None:
    """Show refused rows of a table: file, row number, column, reason, and the row's own text."""
    source, name = _split(table)
    home = find_home()
    with lock.hold(home.lock, "mainstem quarantine"), warehouse.connect(home.warehouse) as con:
        try:
            if origin is not None and row is not None:
                rows = [quarantine.explain(con, source, name, origin, row)]
            else:
                rows = list(quarantine.refused(con, source, name, limit))
        except IngestionError as error:
            print(f"mainstem: {error}", file=sys.stderr)
            sys.exit(EXIT_FAILED)
    for found in rows:
        where = f"{found.column_name}: " if found.column_name else ""
        print(f"{found.origin}, row {found.row_number}: {where}{found.reason}\n    {found.raw}")
    if not rows:
        print(f"Nothing of {table} is in the quarantine.")


@command.command()
@click.argument("table", metavar="SOURCE.TABLE")
def replay(table: str) -> None:
    """Load files with refused rows again, after their declaration was mended."""
    source, name = _split(table)
    home = find_home()
    declared = declared_table(home, source, name)
    try:
        with sample.environment(home, is_sample=Project(home).is_sample) as env:
            arrivals = fetch.fetch(
                partitions.whole(declared),
                project_root=home.root,
                downloads=home.downloads,
                env=env,
            )
    except IngestionError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    with lock.hold(home.lock, "mainstem quarantine"), warehouse.connect(home.warehouse) as con:
        ledger.ensure(con, [declared])
        now = datetime.now(UTC).replace(tzinfo=None)
        results = replaying.replay(con, declared, arrivals, run_id="mainstem quarantine", now=now)
        counted = quarantine.counts(con)
    for result in results:
        print(
            f"{result.origin}: {result.status}, {result.rows_loaded:,} loaded,"
            f" {result.rows_quarantined:,} still refused"
        )
    if not results and any((c.source, c.table_name) == (source, name) for c in counted):
        print(
            f"What {table} refused came in a part that is not there any more. A mended declaration reads"
            " everything again.\nNext: mainstem run"
        )
    elif not results:
        print(f"No file of {table} has refused rows.")
    elif any(result.status == "loaded" for result in results):
        print("Next: mainstem run")


def _split(table: str) -> tuple[str, str]:
    source, _, name = table.partition(".")
    if not name:
        raise click.UsageError(f"{table!r} is no table: write source.table")
    return source, name
