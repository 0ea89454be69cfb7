"""An incremental extraction: the column that it follows, and where it begins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ingestion import checks, windows
from ingestion.checks import Where
from ingestion.sources import Column, Cursor, FetchError

CURSOR_KEYS = ("column", "lookback")
UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
LOOKBACK = re.compile(rf"(\d+) ({'|'.join(UNIT_SECONDS)})s?")


def declared(
    block: Mapping[str, Any], keys: Sequence[str], columns: Sequence[Column], at: Where
) -> Cursor | None:
    """The `cursor:` of an ingest block, if it has one, and what it goes with. Raises WrongError."""
    if "cursor" not in block:
        return None
    names = [column.name for column in columns]
    cursor = _read(block["cursor"], keys, names, (*at, "cursor"))
    if block.get("mode") == "snapshot":
        raise checks.WrongError(
            (*at, "mode"), "a `cursor` brings what changed, and a snapshot is the whole: drop one"
        )
    if "partition" in block and not windows.is_time(cursor, columns, block):
        raise checks.WrongError(
            (*at, "partition"),
            f"`partition` is a time, and {cursor.column} is not: drop one, or declare it a timestamp",
        )
    return cursor


def _read(value: Any, keys: Sequence[str], names: Sequence[str], at: Where) -> Cursor:
    """A `cursor:` block. Raises WrongError; `keys` and `names` are the table's key and columns."""
    block = checks.mapping(value, at)
    checks.known(block, CURSOR_KEYS, at)
    if not keys:
        raise checks.WrongError(
            at, "`cursor` brings rows again that were loaded before: give a `key`"
        )
    checks.declared(block.get("column"), names, (*at, "column"))
    lookback = block.get("lookback", 0)
    if isinstance(lookback, str) and (found := LOOKBACK.fullmatch(lookback)):
        seconds = int(found.group(1)) * UNIT_SECONDS[found.group(2)]
        return Cursor(column=block["column"], lookback=timedelta(seconds=seconds))
    if isinstance(lookback, bool) or not isinstance(lookback, int) or lookback < 0:
        raise checks.WrongError(
            (*at, "lookback"), '`lookback` is a time such as "2 hours", or a number of ids'
        )
    return Cursor(column=block["column"], lookback=lookback)


def begin(cursor: Cursor, since: str) -> str:
    """Where an extraction begins: the look-back before `since`, as text."""
    if not cursor.lookback:
        return since
    if isinstance(cursor.lookback, timedelta):
        try:
            moment = datetime.fromisoformat(since) - cursor.lookback
        except ValueError:
            raise FetchError(
                f"`cursor.lookback` is a time, and {cursor.column} is not: give a number"
            ) from None
        # A column of dates is compared with dates: a day earlier rather than a part of one.
        return str(moment.date()) if len(since) == len("2026-01-01") else str(moment)
    try:
        return str(int(since) - cursor.lookback)
    except ValueError:
        raise FetchError(
            f"`cursor.lookback` is a number, and {cursor.column} is not a whole one: give a time "
            'such as "2 hours"'
        ) from None
