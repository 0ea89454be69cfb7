"""From text to a declared type, refusing what DuckDB's own casts would quietly change.

`try_cast('1.5' as integer)` is 2, `'19.999'` as DECIMAL(18,2) is 20.00, a date drops its time, a
timestamp drops its offset, and `infinity` and `epoch` are moments. Here a value becomes what it
says, or NULL, and a NULL made of a text that was there sends its row to the quarantine.
"""

from __future__ import annotations

import re

from ingestion.sources import Column
from ingestion.sql import literal

_INTEGERS = frozenset(
    sign + size + "INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")
) | {"INTEGER", "UINTEGER"}
#: `+02:00` or the name of a zone; DuckDB would drop the one and the other, and the era `BC` too.
_OFFSET = r"([+-]\d\d(:?\d\d)?|\s[A-Za-z][A-Za-z_/]*)\s*$"


def is_text(duckdb_type: str) -> bool:
    """Whether a text needs no cast."""
    return duckdb_type == "VARCHAR"


def cast(text: str, column: Column, duckdb_type: str) -> str:  # noqa: PLR0911 - one a type
    """SQL for the value of `text` (a SQL expression) as `duckdb_type` (DuckDB's canonical name)."""
    if column.formats and not is_text(duckdb_type):
        return _parsed(text, column.formats, duckdb_type)
    plain = f"try_cast({text} as {duckdb_type})"
    if is_text(duckdb_type):
        return text
    if duckdb_type in _INTEGERS:
        digits = r"\s*[+-]?\d+(\.0*)?\s*"
        return (
            f"case when {plain}::varchar = {text} then {plain} "
            f"when regexp_full_match({text}, {literal(digits)}) then {plain} end"
        )
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", duckdb_type):
        scale = int(match.group(2))
        wide = f"try_cast({text} as decimal(38,{min(38, scale + 12)}))"
        short = (
            f"position('.' in {text}) = 0 or length({text}) - position('.' in {text}) <= {scale}"
        )
        return (
            f"case when {plain}::varchar = {text} then {plain} "
            f"when ({short}) and position('e' in lower({text})) = 0 then {plain} "
            f"when {wide} = {plain} then {plain} end"
        )
    # Of a moment's text `infinity` and `epoch` begin with a letter, and `-infinity` is not finite.
    real = f"case when {text}[1] <= '9' and isfinite({plain}) then {plain} end"
    if duckdb_type == "DATE":
        midnight = f"try_cast({text} as timestamp) = {plain}::timestamp"
        return f"case when length({text}) <= 10 or {midnight} then {real} end"
    if duckdb_type == "TIMESTAMP":
        utc = f"timezone('UTC', try_cast({text} as timestamptz))"
        # The usual `2026-01-02 03:04:05` is known by where its colons are, for a tenth of the time.
        usual = f"strlen({text}) = 19 and {text}[14] = ':' and {text}[17] = ':'"
        offset = f"length({text}) > 10 and regexp_matches({text}, {literal(_OFFSET)})"
        return f"case when {usual} then {plain} when {offset} then {utc} else {real} end"
    return real if duckdb_type == "TIMESTAMP WITH TIME ZONE" else plain


def _parsed(text: str, formats: tuple[str, ...], duckdb_type: str) -> str:
    """strptime gives a timestamp; with an offset in the format, one with a zone: make it UTC."""
    attempts = []
    for strptime in formats:
        parsed = f"try_strptime({text}, {literal(strptime)})"
        zoned = "%z" in strptime and duckdb_type != "TIMESTAMP WITH TIME ZONE"
        attempts.append(f"timezone('UTC', {parsed})" if zoned else parsed)
    return f"try_cast(coalesce({', '.join(attempts)}) as {duckdb_type})"
