"""Names and values as they stand in SQL."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return an identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text literal; values that come from data are bound instead."""
    return "'" + value.replace("'", "''") + "'"
