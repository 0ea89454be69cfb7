"""Numbers of NDJSON as the numbers that DuckDB parsed, and proof afterwards that they were numbers.

Making a text of each and a number of it again takes a tenth of a load. But DuckDB reads `true` and
`"1_0"` as numbers, too, and rounds a fraction to an integer. So a number is read as a DOUBLE and
has to be the declared type's value exactly; and the numbers in the file are counted (by `contents`,
while it hashes the file). Once its keys are as many as values were stored, each with a value is a
declared one; and where numbers are as many as numbers were stored, and no stored text could be a
number, no text and no `true` became one. Where any of that fails, the file is read by its texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ingestion.sources import SourceTable
from ingestion.sql import pointer, quoted

#: Up to here a DOUBLE has every integer, and every fraction of 15 digits is one of its own.
_EXACT_INTEGER, _EXACT_DIGITS = 2**53 - 1, 15
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
#: Types that take no number's text; a moment's text has two signs between numbers.
_OTHERS = ("VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def is_number(duckdb_type: str) -> bool:
    """Whether a column of this type can be read as a number."""
    return duckdb_type in _INTEGERS or duckdb_type == "DOUBLE" or _is_decimal(duckdb_type)


def _is_decimal(duckdb_type: str) -> bool:
    found = _DECIMAL.fullmatch(duckdb_type)
    return found is not None and int(found[2]) <= _EXACT_DIGITS


def can_be_told(table: SourceTable, types: Mapping[str, str]) -> bool:
    """Whether the table has numbers, and nothing else that a number's text could become."""
    kinds = [types[column.name] for column in table.columns]
    others = [kind for kind in kinds if not is_number(kind)]
    plain = not any(column.formats for column in table.columns)
    return plain and len(others) < len(kinds) and set(others) <= set(_OTHERS)


def unlikely(table: SourceTable, types: Mapping[str, str], record: str) -> str:
    """SQL: whether a JSON object speaks against it: a number that is none or too great, a text like
    a number."""
    against = []
    for column in table.columns:
        for name in (column.name, *column.aliases):
            value = f"json_extract({record}, {pointer(name)})::varchar"
            if is_number(types[column.name]):
                number = f"coalesce(abs(try_cast({value} as double)) <= {_EXACT_INTEGER}, false)"
                against.append(f"({value} is not null and {value} <> 'null' and not {number})")
            elif types[column.name] == "VARCHAR":
                against.append(f"coalesce({_like_a_number(f'ltrim({value}, chr(34))')}, false)")
    return " or ".join(against)


def value(number: str, duckdb_type: str) -> str:
    """SQL for a DOUBLE as the declared type, NULL where it is not that value exactly."""
    there = f"try_cast({number} as {duckdb_type})"
    if duckdb_type == "DOUBLE":
        return number
    if found := _DECIMAL.fullmatch(duckdb_type):
        most = f"1e{_EXACT_DIGITS - int(found[2])}"
        return f"case when {there}::double = {number} and abs({number}) < {most} then {there} end"
    span = f"between -{_EXACT_INTEGER} and {_EXACT_INTEGER}"
    return f"case when {there}::double = {number} and {number} {span} then {there} end"


def texts_like_numbers(types: Mapping[str, str], inserted: str) -> str:
    """A query that has a row if a stored text could be a number's; zone maps answer it mostly."""
    texts = [name for name, kind in types.items() if kind == "VARCHAR"]
    asked = [f"(select 1 {inserted} and {_like_a_number(quoted(name))} limit 1)" for name in texts]
    return " union all ".join(asked) or "select 1 where false"


def _like_a_number(text: str) -> str:
    """SQL: whether a text begins with a digit or a minus."""
    return f"({text} >= '-' and {text} < ':')"
