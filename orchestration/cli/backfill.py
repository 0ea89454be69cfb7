"""`mainstem backfill`: load the partitions of a window again."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import click

from orchestration import lock
from orchestration.cli import EXIT_COMPLETE, EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.progress import Progress, to_terminal


@click.command()
@click.argument("source")
@click.option("--from", "first", required=True, type=click.DateTime(), help="First moment (UTC).")
@click.option("--to", "last", required=True, type=click.DateTime(), help="Last moment, included.")
@click.option("--table", help="One table of the source  [default: all that have partitions]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(source: str, first: datetime, last: datetime, table: str | None, as_json: bool) -> None:
    """Load every partition of SOURCE in a window again.

    It can be repeated: a file that is the same changes nothing, one that was delivered again replaces
    what it brought before. `mainstem run` then carries the rows on.

    \b
    mainstem backfill stores --from 2026-04-01 --to 2026-05-31
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
    """Load partition by partition, each a run in Dagster's history; counts by partition."""
    from ingestion import partitions
    from orchestration import history
    from orchestration.assembly import assemble

    assembly = assemble(home, progress, holds_lock=True)
    wanted = [
        found
        for found in assembly.tables
        if found.source == source
        and found.ingest is not None
        and found.ingest.partition is not None
        and table in (None, found.name)
    ]
    if not wanted:
        raise click.UsageError(
            f"{source}{'.' + table if table else ''} has no table with a `partition` in its ingest block"
        )
    rows = []
    with history.open_instance(home) as instance:
        history.end_dead_runs(instance)
        for found in wanted:
            assert found.ingest is not None  # noqa: S101  (chosen for it)
            assert found.ingest.partition is not None  # noqa: S101
            every = found.ingest.partition.every
            job = assembly.definitions.resolve_job_def(f"backfill__{found.source}__{found.name}")
            for start in partitions.between(found.ingest.partition, *window):
                key = start.strftime(partitions.KEY_FORMATS[every])
                result = job.execute_in_process(
                    instance=instance,
                    partition_key=key,
                    raise_on_error=False,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    tags={history.COMMAND_TAG: "backfill"},
                )
                counts = assembly.mainstem.facts.pop("partition", {})
                failed = not result.success
                rows.append(
                    {
                        "table": f"{found.source}.{found.name}",
                        "partition": key,
                        **counts,
                        "failed": failed,
                    }
                )
                news = counts.get("error") or f"{counts.get('rows_read', 0):,} rows"
                progress.say(f"{found.source}.{found.name} {key}: {news}")
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    print(f"{'partition':<40}  {'read':>9}  {'loaded':>9}  {'duplicate':>9}  {'refused':>9}")
    names = ("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined")
    for row in rows:
        counts = "  ".join(f"{row.get(name, 0):>9,}" for name in names)
        print(f"{row['table'] + ' ' + row['partition']:<40}  {counts}")
    totals = "  ".join(f"{sum(row.get(name, 0) for row in rows):>9,}" for name in names)
    print(f"{'together':<40}  {totals}")
    print("Next: mainstem run")
