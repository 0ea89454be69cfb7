"""A window of a cursor's time: what a backfill of a database or an API reads again.

It is half-open, in UTC. An origin that ends in `[2026-04-01, 2026-05-01)` is a window's. Its rows
settle with the others by the key: the greater cursor wins, and between equals a window, for it
is read when something had gone wrong. Where a regular load goes on is no window's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.partitions import floor, following
from ingestion.sources import Column, Cursor, FetchError, Partition, SourceTable
from ingestion.sql import literal

_TIME = re.compile(r"(date|timestamp)", re.IGNORECASE)
_SUFFIX = r"\[\d{4}-[0-9: -]+, \d{4}-[0-9: -]+\)$"


@dataclass(frozen=True)
class Window:
    """[start, end): moments in UTC, without a zone."""

    start: datetime
    end: datetime

    @property
    def label(self) -> str:
        """`[2026-04-01, 2026-05-01)`, which an origin ends in."""
        return f"[{written(self.start)}, {written(self.end)})"


def written(moment: datetime) -> str:
    """A moment as databases read it; midnight is a date, which is the least text of its day."""
    text = moment.isoformat(" ")
    return text.removesuffix(" 00:00:00")


def is_windows(origin: str) -> str:
    """SQL: whether the origin (a SQL expression) is a window's."""
    return f"regexp_matches({origin}, {literal(_SUFFIX)})"


def can_backfill(table: SourceTable) -> bool:
    """Whether the table has a cursor of times."""
    if table.ingest is None or table.ingest.cursor is None:
        return False
    return is_time(table.ingest.cursor, table.columns, table.ingest.options)


def is_time(cursor: Cursor, columns: Iterable[Column], options: Mapping[str, Any]) -> bool:
    """Whether the cursor's column is a date or a timestamp, or seconds by `since_format: unix`."""
    if options.get("since_format") == "unix":
        return True
    return any(c.name == cursor.column and _TIME.match(c.data_type) for c in columns)


def bounds(table: SourceTable, window: Window) -> tuple[str, str]:
    """First and last (excluded) value of the cursor's column, as text. A date is its midnight."""
    name = table.ingest.cursor.column if table.ingest and table.ingest.cursor else ""
    if not can_backfill(table):
        raise FetchError(
            f"`cursor.column: {name}` holds no times: only windows of time can be read again"
        )
    is_date = any(c.name == name and c.data_type.lower() == "date" for c in table.columns)
    moments = (window.start, window.end)
    if is_date:
        days = (floor("daily", moment + timedelta(days=1, microseconds=-1)) for moment in moments)
        return written(next(days)), written(next(days))
    return written(window.start), written(window.end)


def pieces(partition: Partition | None, whole: Window) -> Iterator[Window]:
    """The window cut where partitions begin; in one piece where there are none."""
    start = whole.start
    while start < whole.end:
        end = whole.end
        if partition is not None:
            end = min(end, following(partition.every, floor(partition.every, start)))
        yield Window(start, end)
        start = end


def is_partition(partition: Partition | None, piece: Window) -> bool:
    """Whether the piece is a whole partition."""
    if partition is None or piece.start < partition.start:
        return False
    start = floor(partition.every, piece.start)
    return piece == Window(start, following(partition.every, start))
