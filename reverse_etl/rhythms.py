"""When a sync runs by itself: `schedule`, as a word or in the five fields of cron, in UTC."""

import re

EVERY = ("hourly", "daily", "weekly", "monthly")
DEFAULT = "daily"
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_ITEM = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_schedule(text: str) -> bool:
    """Whether it is one of EVERY, or a cron string of numbers that comes at least once in years."""
    if text in EVERY:
        return True
    fields = [_values(*pair) for pair in zip(text.split(), _BOUNDS, strict=False)]
    if len(text.split()) != len(_BOUNDS) or not all(fields):
        return False
    _, _, days, months, _ = fields
    return min(days) <= max(_DAYS[month - 1] for month in months)


def _values(field: str, bounds: tuple[int, int]) -> set[int]:
    """What a field of cron means; empty where it means nothing."""
    found: set[int] = set()
    for item in field.split(","):
        read = _ITEM.fullmatch(item)
        if read is None:
            return set()
        first, last, step = (int(part) if part else None for part in read.groups())
        if first is None:
            first, last = bounds
        elif last is None:
            last = bounds[1] if step else first
        if not bounds[0] <= first <= last <= bounds[1]:
            return set()
        found |= set(range(first, last + 1, step or 1))
    return found
