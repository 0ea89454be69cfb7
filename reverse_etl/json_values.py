"""A row's JSON fields read without losing a digit, and the types their columns would have."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reverse_etl.destination import Batch

# as the plan writes a moment; a text that merely looks like a day stays text
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
FAMILIES = {
    "integer": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "decimal": ("DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT", "BIGNUM"),
    "double": ("DOUBLE", "FLOAT"),
    "boolean": ("BOOLEAN",),
    "date": ("DATE",),
    "timestamp": ("TIMESTAMP",),
    "blob": ("BLOB",),
    "json": ("JSON", "STRUCT", "MAP"),
}


class Number(str):
    """A JSON number kept as its own text, so that no digit of a decimal is lost."""

    __slots__ = ()


def parse(fields: str) -> dict[str, Any]:
    """A row's `fields` as a dict; every number in it is a Number."""
    parsed: dict[str, Any] = json.loads(fields, parse_float=Number, parse_int=Number)
    return parsed


def dump(value: Any) -> str:
    """A parsed value as compact JSON, its numbers as they were written."""
    if isinstance(value, dict):
        inner = ",".join(f"{json.dumps(k, ensure_ascii=False)}:{dump(value[k])}" for k in value)
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(map(dump, value))}]"
    # json.dumps would quote a number that is kept as text
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> str | None:
    """A parsed value as text: a text as it is, true and false, lists and structs as JSON."""
    if value is None or isinstance(value, str):
        return value
    return dump(value)


def bound(value: Any, *, is_binary: bool) -> str | int | bytes | None:
    """A parsed value as a SQL driver takes it: text, 1 and 0 for booleans, bytes for base64.

    Raises binascii.Error for a binary column's value that is no base64.
    """
    if isinstance(value, bool):
        return int(value)
    if is_binary and isinstance(value, str) and not isinstance(value, Number):
        return base64.b64decode(value, validate=True)
    text = plain(value)
    # drivers take a str and none of its subclasses
    return None if text is None else str(text)


def family(duckdb_type: str) -> str:
    """What kind of column a DuckDB type asks for: a key of FAMILIES, else `text`.

    The parameters of a DECIMAL are for whoever makes the column to read.
    """
    if duckdb_type.endswith("]"):
        return "json"
    word = re.split(r"[^A-Z]", duckdb_type.upper(), maxsplit=1)[0]
    return next((name for name, words in FAMILIES.items() if word in words), "text")


def column_types(batch: Batch) -> dict[str, str]:
    """A DuckDB type for each field: what the batch says, else what the values of its rows allow.

    A guess is DECIMAL without parameters for numbers with a point, and VARCHAR for what is mixed
    or NULL in every row.
    """
    if batch.field_types:
        return dict(zip(batch.field_names, batch.field_types, strict=True))
    return _guessed(batch.field_names, (parse(row.fields) for row in batch.rows))


def _guessed(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    seen: dict[str, set[str]] = {name: set() for name in names}
    for fields in rows:
        for name in names:
            if (value := fields.get(name)) is not None:
                seen[name].add(_type_of(value))
    return {name: _common(types) for name, types in seen.items()}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, Number):
        if not value.lstrip("-").isdigit():
            return "DOUBLE" if "e" in value.lower() else "DECIMAL"
        return "BIGINT" if len(value) < 20 and abs(int(value)) < 2**63 else "DECIMAL"
    if isinstance(value, str):
        return "TIMESTAMP WITH TIME ZONE" if MOMENT.fullmatch(value) else "VARCHAR"
    return "JSON"


def _common(types: set[str]) -> str:
    if len(types) == 1:
        return next(iter(types))
    if types == {"BIGINT", "DECIMAL"}:
        return "DECIMAL"
    return "DOUBLE" if types and types <= {"BIGINT", "DECIMAL", "DOUBLE"} else "VARCHAR"
