"""Time partitions of a source's files: `location: drop/receipts_{partition:%Y-%m}.csv.gz`.

A partition is a half-open interval of time, known by its start. Loading as usual takes whatever is
there; a backfill takes the partitions of a window, and may be repeated: a file that has not changed
is a no-op, one that was delivered again replaces what it brought before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from ingestion.sources import IngestionError, Partition, SourceTable

PLACEHOLDER = re.compile(r"\{partition(?::([^}]*))?\}")
DEFAULT_FORMATS = {
    "hourly": "%Y-%m-%d-%H",
    "daily": "%Y-%m-%d",
    "weekly": "%Y-%m-%d",
    "monthly": "%Y-%m",
}
KEY_FORMATS = {
    "hourly": "%Y-%m-%d-%H:00",
    "daily": "%Y-%m-%d",
    "weekly": "%Y-%m-%d",
    "monthly": "%Y-%m-%d",
}
"""How Dagster writes the key of a partition."""


class PartitionError(IngestionError):
    """A window or a location that partitions cannot be made of; the message says what to do."""


def whole(table: SourceTable) -> SourceTable:
    """The table with a location that matches the files of every partition."""
    return _located(table, lambda _: "*")


def of(table: SourceTable, start: datetime) -> SourceTable:
    """The table with the location of the partition that begins at `start`."""
    if table.ingest is None or table.ingest.partition is None:
        raise PartitionError(f"{table.source}.{table.name} has no `partition` in its ingest block")
    every = table.ingest.partition.every
    return _located(table, lambda form: start.strftime(form or DEFAULT_FORMATS[every]))


def between(partition: Partition, first: datetime, last: datetime) -> Iterator[datetime]:
    """Starts of the partitions that [first, last] touches, none before the partition's own start."""
    start = floor(partition.every, max(first, partition.start))
    while start <= last:
        yield start
        start = following(partition.every, start)


def floor(every: str, moment: datetime) -> datetime:
    """The start of the partition that a moment is in; weeks begin on Monday."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if every == "hourly":
        return hour
    day = hour.replace(hour=0)
    if every == "daily":
        return day
    return day - timedelta(days=day.weekday()) if every == "weekly" else day.replace(day=1)


def following(every: str, start: datetime) -> datetime:
    """The start of the next partition."""
    if every == "monthly":
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (
        start
        + {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(days=7)}[
            every
        ]
    )


def _located(table: SourceTable, put: Callable[[str | None], str]) -> SourceTable:
    if table.ingest is None:
        return table
    location = PLACEHOLDER.sub(lambda found: put(found[1]), table.ingest.location)
    return replace(table, ingest=replace(table.ingest, location=location))
