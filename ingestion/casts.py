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
#: How nearly every moment is written: parsed by these alone, in the time of DuckDB's own cast.
_USUAL = "['%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%S', '%Y-%m-%dT%H:%M:%SZ']"


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
            f"case {_plainly_whole(text, plain, duckdb_type)}"
            f"when {plain}::varchar = {text} then {plain} "
            f"when regexp_full_match({text}, {literal(digits)}) then {plain} end"
        )
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", duckdb_type):
        scale = int(match.group(2))
        wide = f"decimal(38,{min(38, scale + 12)})"
        few = f"strlen({text}) - position('.' in {text}) <= {scale}"
        short = f"(position('.' in {text}) = 0 or {few}) and position('e' in lower({text})) = 0"
        # Without a minus there is no negative exponent, and nothing behind so few signs to cut off.
        return (
            f"case when {few} and not contains({text}, '-') then {plain} when {short} then {plain} "
            f"when try_cast({text} as {wide}) = try_cast({plain} as {wide}) then {plain} end"
        )
    # Of a moment's text `infinity` and `epoch` begin with a letter, and `-infinity` is not finite.
    real = f"case when {text}[1] <= '9' and isfinite({plain}) then {plain} end"
    if duckdb_type == "DATE":
        midnight = f"try_cast({text} as timestamp) = {plain}::timestamp"
        return f"case when length({text}) <= 10 or {midnight} then {real} end"
    if duckdb_type == "TIMESTAMP":
        utc = f"timezone('UTC', try_cast({text} as timestamptz))"
        usual = f"case when strlen({text}) in (19, 20) then try_strptime({text}, {_USUAL}) end"
        offset = f"length({text}) > 10 and regexp_matches({text}, {literal(_OFFSET)})"
        return f"coalesce({usual}, case when {offset} then {utc} else {real} end)"
    if duckdb_type == "BOOLEAN":  # its cast takes `yes` and `T`, too, by lower case
        usual = f"case when {text} = 'true' then true when {text} = 'false' then false"
        return f"{usual} else {plain} end"
    return real if duckdb_type == "TIMESTAMP WITH TIME ZONE" else plain


def _plainly_whole(text: str, plain: str, duckdb_type: str) -> str:
    """SQL: a WHEN for most positive numbers, which needs no second look at their text.

    Of k signs that begin with a digit from 1 and make at least 10^(k-1), all are digits: a point, a
    `_` or a blank would leave a smaller number, and an exponent that makes up for itself two zeros.
    """
    if duckdb_type not in ("INTEGER", "BIGINT"):
        return ""
    powers = [10**k for k in range(9 if duckdb_type == "INTEGER" else 18)]
    least = f"({powers}::{duckdb_type}[])[strlen({text})]"
    return f"when {plain} >= {least} and {plain} % 100 <> 0 and {text} >= '1' then {plain} "


def _parsed(text: str, formats: tuple[str, ...], duckdb_type: str) -> str:
    """strptime gives a timestamp; with an offset in the format, one with a zone: make it UTC."""
    attempts = []
    for strptime in formats:
        parsed = f"try_strptime({text}, {literal(strptime)})"
        zoned = "%z" in strptime and duckdb_type != "TIMESTAMP WITH TIME ZONE"
        attempts.append(f"timezone('UTC', {parsed})" if zoned else parsed)
    return f"try_cast(coalesce({', '.join(attempts)}) as {duckdb_type})"
