"""When loads run by themselves: schedules by table, watched folders, and backfills by partition."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from ingestion import partitions
from ingestion.sources import SourceTable
from orchestration import lock
from orchestration.defs.loads import count, load_one
from orchestration.home import Home
from orchestration.runtime import Mainstem

CRON = {"hourly": "7 * * * *", "daily": "0 5 * * *", "weekly": "0 5 * * 1", "monthly": "0 5 1 * *"}
PARTITIONS: dict[str, Any] = {
    "hourly": dg.HourlyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}


def build_schedules(tables: Sequence[SourceTable]) -> list[dg.ScheduleDefinition]:
    """One schedule for each rhythm other than daily: those tables, and what comes after them.

    The daily schedule runs the whole road, and is defined with the job.
    """
    by_rhythm: dict[str, list[dg.AssetKey]] = {}
    for table in tables:
        if table.ingest and table.ingest.schedule and table.ingest.schedule != "daily":
            by_rhythm.setdefault(table.ingest.schedule, []).append(_key(table))
    return [
        dg.ScheduleDefinition(
            name=rhythm,
            job=dg.define_asset_job(
                f"{rhythm}_loads", dg.AssetSelection.assets(*keys).downstream()
            ),
            cron_schedule=CRON[rhythm],
            execution_timezone="UTC",
        )
        for rhythm, keys in sorted(by_rhythm.items())
    ]


def build_sensors(tables: Sequence[SourceTable], home: Home) -> list[Any]:
    """One sensor for each table with `watch: true`: new or changed files start a run of it."""
    return [
        _sensor(table, home) for table in tables if table.ingest is not None and table.ingest.watch
    ]


def build_backfills(tables: Sequence[SourceTable]) -> list[dg.JobDefinition]:
    """One partitioned job for each table with `partition`: its Partitions tab backfills a window."""
    return [
        _backfill(table) for table in tables if table.ingest is not None and table.ingest.partition
    ]


def _sensor(table: SourceTable, home: Home) -> Any:
    @dg.sensor(
        name=f"watch__{table.source}__{table.name}",
        asset_selection=dg.AssetSelection.assets(_key(table)).downstream(),
        minimum_interval_seconds=30,
    )
    def watch(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        assert table.ingest is not None  # noqa: S101  (only such tables are watched)
        location = partitions.whole(table).ingest.location  # type: ignore[union-attr]
        seen = [_state(path, home.root) for path in sorted(home.root.glob(location))]
        state = hashlib.sha256(json.dumps(seen).encode()).hexdigest()
        if lock.holder(home.lock) is not None:
            # The cursor stays, so that what is new is seen again when nobody writes.
            yield dg.SkipReason("another run is writing")
        elif state == context.cursor:
            yield dg.SkipReason("no file is new or changed")
        elif seen:
            context.update_cursor(state)
            yield dg.RunRequest(run_key=state)

    return watch


def _state(path: Path, root: Path) -> list[str | int]:
    stat = path.stat()
    return [str(path.relative_to(root)), stat.st_size, stat.st_mtime_ns]


def _backfill(table: SourceTable) -> dg.JobDefinition:
    assert table.ingest is not None  # noqa: S101
    assert table.ingest.partition is not None  # noqa: S101
    every = table.ingest.partition.every
    starts = PARTITIONS[every](start_date=table.ingest.partition.start, end_offset=1)
    name = f"{table.source}__{table.name}"

    @dg.op(name=f"load_partition__{name}", pool="warehouse")
    def load_partition(
        context: dg.OpExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> None:
        start = context.partition_time_window.start.replace(tzinfo=None)
        results, _ = load_one(mainstem, partitions.of(table, start), None, context.run_id)
        counts = count(results)
        context.add_output_metadata(counts)
        failed = [str(result.error) for result in results if result.status == "failed"]
        mainstem.facts["partition"] = {**counts, "error": "; ".join(failed) or None}
        if failed:
            raise dg.Failure("; ".join(failed))

    @dg.job(
        name=f"backfill__{name}",
        partitions_def=starts,
        description=f"Loads {table.source}.{table.name} again, partition by partition ({every}).",
    )
    def backfill() -> None:
        load_partition()

    return backfill


def _key(table: SourceTable) -> dg.AssetKey:
    return dg.AssetKey([table.source, table.name])
