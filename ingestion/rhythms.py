"""When a table's files come: its `schedule`, its `partition` and whether its folder is watched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from ingestion.checks import Where, WrongError, known, mapping, one_of
from ingestion.partitions import PLACEHOLDER
from ingestion.sources import Partition

EVERY = ("hourly", "daily", "weekly", "monthly")


def read(block: Mapping[str, Any], location: str, at: Where) -> dict[str, Any]:
    """The fields `schedule`, `partition` and `watch` of Ingest. Raises WrongError."""
    one_of(block, "schedule", EVERY, at)
    watch = block.get("watch", False)
    if not isinstance(watch, bool):
        raise WrongError((*at, "watch"), "`watch` is true or false")
    if watch and block.get("connector") != "files":
        raise WrongError((*at, "watch"), "only folders on this machine can be watched")
    partition = None
    if "partition" in block:
        partition = _partition(block["partition"], (*at, "partition"))
    by_cursor = "cursor" in block
    if bool(PLACEHOLDER.search(location)) != (partition is not None and not by_cursor):
        raise WrongError(
            (*at, "partition"),
            "`partition` goes with a `{partition:%Y-%m}` in the location, or with a `cursor`",
        )
    return {"schedule": block.get("schedule"), "partition": partition, "watch": watch}


def _partition(value: Any, at: Where) -> Partition:
    block = mapping(value, at)
    known(block, ("every", "start"), at)
    one_of(block, "every", EVERY, at)
    start = block.get("start")
    if isinstance(start, str):
        try:
            start = datetime.fromisoformat(start)
        except ValueError:
            start = None
    if isinstance(start, date) and not isinstance(start, datetime):
        start = datetime(start.year, start.month, start.day)
    if "every" not in block or not isinstance(start, datetime):
        raise WrongError(at, "`partition` needs `every` and a `start` such as 2026-01-01")
    return Partition(every=block["every"], start=start.replace(tzinfo=None))
