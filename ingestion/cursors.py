"""Where an incremental extraction begins."""

from __future__ import annotations

from datetime import datetime, timedelta

from ingestion.sources import Cursor, FetchError


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
