"""Reading what a vendor answers, and rows as vendors take them; nothing here trusts a shape."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import httpx

from reverse_etl.destination import Row

Item = TypeVar("Item")
# no vendor's own id begins so
IDENTITY = "="


def body_of(response: httpx.Response) -> dict[str, Any]:
    """An answer's JSON object; empty if it is something else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def items_of(body: Any, key: str) -> list[dict[str, Any]]:
    """The objects in the list `body[key]`; empty if there is no such list."""
    found = body.get(key) if isinstance(body, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def fields_of(row: Row, *, numbers_as_text: bool = False) -> dict[str, Any]:
    """A row's mapped fields; as text a number keeps every digit it was written with."""
    number = str if numbers_as_text else None
    fields: dict[str, Any] = json.loads(row.fields, parse_float=number, parse_int=number)
    return fields


def text_of(value: Any) -> str:
    """A value as text: NULL is empty, the values of a list are joined by `;`, a struct is JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(map(text_of, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def is_removal(rows: Sequence[Row]) -> bool:
    """Whether a batch of one operation (`Capabilities.one_operation`) takes people out."""
    return any(row.operation == "remove" for row in rows)


def by_identity(value: str) -> str:
    """A `remote_id` that stands in for the vendor's own id until one is answered."""
    return f"{IDENTITY}{value}"


def has_own_id(row: Row) -> bool:
    """Whether the vendor's own id of a row is known."""
    return bool(row.remote_id) and not str(row.remote_id).startswith(IDENTITY)


def address_of(row: Row) -> str:
    """The vendor's own id of a row, else what identifies it there, at worst its key."""
    return (row.remote_id or row.key).removeprefix(IDENTITY)


def in_parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
