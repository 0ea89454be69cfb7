"""When loads run by themselves: schedules by table, and watched folders."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from ingestion import partitions
from ingestion.sources import SourceTable
from orchestration import lock
from orchestration.defs import rhythms, syncs
from orchestration.home import Home
from reverse_etl.declarations import Sync

DAILY = "daily"
"""The whole road runs then, with every table and every sync."""


def build_schedules(tables: Sequence[SourceTable]) -> list[dg.ScheduleDefinition]:
    """One schedule for each rhythm other than daily: those tables, and what comes after them.

    The daily schedule runs the whole road, and is defined with the job.
    """
    by_rhythm: dict[str, list[dg.AssetKey]] = {}
    for table in tables:
        if table.ingest and table.ingest.schedule and table.ingest.schedule != DAILY:
            by_rhythm.setdefault(table.ingest.schedule, []).append(_key(table))
    return [
        dg.ScheduleDefinition(
            name=rhythm,
            job=dg.define_asset_job(
                f"{rhythm}_loads", dg.AssetSelection.assets(*keys).downstream()
            ),
            cron_schedule=rhythms.cron(rhythm),
            execution_timezone="UTC",
        )
        for rhythm, keys in sorted(by_rhythm.items())
    ]


def build_sync_schedules(declared: Sequence[Sync]) -> list[dg.ScheduleDefinition]:
    """One schedule for each sync with a rhythm of its own: it sends what is published by then."""
    return [
        dg.ScheduleDefinition(
            name=f"sync__{sync.name}",
            job=dg.define_asset_job(f"sync_{sync.name}", syncs.alone(sync.name)),
            cron_schedule=rhythms.cron(sync.schedule),
            execution_timezone="UTC",
            description=f"The sync {sync.name} by itself, {sync.schedule}.",
        )
        for sync in declared
        if sync.schedule != DAILY
    ]


def build_sensors(tables: Sequence[SourceTable], home: Home) -> list[Any]:
    """One sensor for each table with `watch: true`: new or changed files start a run of it."""
    return [
        _sensor(table, home) for table in tables if table.ingest is not None and table.ingest.watch
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


def _key(table: SourceTable) -> dg.AssetKey:
    return dg.AssetKey([table.source, table.name])
