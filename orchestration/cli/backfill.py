"""`mainstem backfill`: load what lies in a window of time again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orchestration import lock
from orchestration.cli import EXIT_COMPLETE, EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.progress import Progress, to_terminal

if TYPE_CHECKING:
    from ingestion.sources import SourceTable


@click.command()
@click.argument("source")
@click.option("--from", "first", required=True, type=click.DateTime(), help="First moment (UTC).")
@click.option(
    "--to",
    "last",
    required=True,
    type=click.DateTime(),
    help="Of files the last moment, included; of a cursor the first moment after the window.",
)
@click.option("--table", help="One table of the source  [default: all that have partitions]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(source: str, first: datetime, last: datetime, table: str | None, as_json: bool) -> None:
    """Load the files of every partition in a window again, or the rows whose cursor lies in it.

    It can be repeated: what is the same changes nothing, what was delivered again replaces what it
    brought before, and where the regular load goes on stays where it is. `mainstem run` then
    carries the rows on.

    \b
    mainstem backfill stores --from 2026-04-01 --to 2026-05-31
    mainstem backfill app --table purchases --from 2026-04-01 --to 2026-05-01
    """
    if last < first:
        raise click.UsageError("--to is before --from")
    home = find_home()
    with lock.hold(home.lock, "mainstem backfill"):
        rows = execute(home, source, table, (first, last), to_terminal())
    if as_json:
        print(json.dumps(rows, indent=2, default=str))
    else:
        _show(rows)
    sys.exit(EXIT_FAILED if any(row["failed"] for row in rows) else EXIT_COMPLETE)


def execute(
    home: Home,
    source: str,
    table: str | None,
    window: tuple[datetime, datetime],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Load piece by piece, each a run in Dagster's history; counts by piece."""
    from orchestration import history
    from orchestration.assembly import assemble
    from orchestration.defs import backfills

    assembly = assemble(home, progress, holds_lock=True)
    wanted = [
        found
        for found in assembly.tables
        if found.source == source and table in (None, found.name) and backfills.is_offered(found)
    ]
    if not wanted:
        raise click.UsageError(
            f"{source}{'.' + table if table else ''} has no table with a `partition`, or a `cursor`"
            " of type date or timestamp, in its ingest block"
        )
    rows = []
    with history.open_instance(home) as instance:
        history.end_dead_runs(instance)
        for found in wanted:
            job = assembly.definitions.resolve_job_def(backfills.job_name(found))
            for label, key, config in _pieces(found, window):
                result = job.execute_in_process(
                    instance=instance,
                    partition_key=key,
                    raise_on_error=False,
                    run_config={
                        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                        "ops": {backfills.op_name(found): {"config": config}} if config else {},
                    },
                    tags={history.COMMAND_TAG: "backfill"},
                )
                counts = assembly.mainstem.facts.pop(backfills.FACT, {})
                name = f"{found.source}.{found.name}"
                rows.append(
                    {"table": name, "partition": label, **counts, "failed": not result.success}
                )
                news = counts.get("error") or f"{counts.get('rows_read', 0):,} rows"
                progress.say(f"{name} {label}: {news}")
    return rows


def _pieces(
    table: SourceTable, window: tuple[datetime, datetime]
) -> Iterator[tuple[str, str | None, dict[str, str]]]:
    """What is loaded one after the other: a label, Dagster's partition, the step's configuration."""
    from ingestion import partitions, windows

    assert table.ingest is not None  # noqa: S101  (chosen for it)
    partition = table.ingest.partition
    form = partitions.KEY_FORMATS[partition.every] if partition else ""
    if table.ingest.cursor is None:
        assert partition is not None  # noqa: S101
        for start in partitions.between(partition, *window):
            yield start.strftime(form), start.strftime(form), {}
        return
    for piece in windows.pieces(partition, windows.Window(*window)):
        # A part of a partition is not the partition: its tab must not show it as done.
        key = piece.start.strftime(form) if windows.is_partition(partition, piece) else None
        config = {"from": str(piece.start), "to": str(piece.end)}
        yield piece.label, key, config


def _show(rows: list[dict[str, Any]]) -> None:
    print(f"{'loaded again':<40}  {'read':>9}  {'loaded':>9}  {'duplicate':>9}  {'refused':>9}")
    names = ("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined")
    for row in rows:
        counts = "  ".join(f"{row.get(name, 0):>9,}" for name in names)
        print(f"{row['table'] + ' ' + row['partition']:<40}  {counts}")
    totals = "  ".join(f"{sum(row.get(name, 0) for row in rows):>9,}" for name in names)
    print(f"{'together':<40}  {totals}")
    print("Next: mainstem run")
