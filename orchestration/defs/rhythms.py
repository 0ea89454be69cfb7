"""How often something runs by itself: a word, or a cron string, in UTC."""

from datetime import UTC, datetime

import dagster as dg

CRON = {"hourly": "7 * * * *", "daily": "0 5 * * *", "weekly": "0 5 * * 1", "monthly": "0 5 1 * *"}


def cron(schedule: str) -> str:
    """The cron string of a declared schedule."""
    return CRON.get(schedule, schedule)


def due_since(schedule: str, now: datetime) -> datetime:
    """The run before the last that should have been by `now`; both UTC without a zone."""
    windows = dg.TimeWindowPartitionsDefinition(
        start="2000-01-01", fmt="%Y-%m-%d", cron_schedule=cron(schedule), timezone="UTC"
    )
    last = windows.get_prev_partition_window(now.replace(tzinfo=UTC))
    if last is None:
        raise ValueError(f"{schedule} never comes")
    return last.start.replace(tzinfo=None)
