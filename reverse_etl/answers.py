"""Reading what a vendor answers, and rows as vendors take them; nothing here trusts a shape."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import httpx

from reverse_etl.destination import RetryError, Row, StopError

Item = TypeVar("Item")


def body_of(response: httpx.Response) -> dict[str, Any]:
    """An answer's JSON object; empty if it is something else."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def items_of(body: Any, key: str) -> list[dict[str, Any]]:
    """The objects in the list `body[key]`; empty if there is no such list."""
    found = body.get(key) if isinstance(body, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def found_in(response: httpx.Response, key: str) -> list[dict[str, Any]]:
    """The objects that a look-up found; RetryError if the answer has no such list, since nobody
    found would mean that nobody has to be taken out."""
    body = body_of(response)
    if not isinstance(body.get(key), list):
        raise RetryError(
            f"the answer to a look-up has no list {key}", code="bad_answer", maybe_applied=True
        )
    return items_of(body, key)


def texts_in(body: Any, key: str) -> list[str]:
    """The texts in the list `body[key]`, numbers as texts; empty if there is no such list."""
    found = body.get(key) if isinstance(body, dict) else None
    listed = found if isinstance(found, list) else []
    return [str(item) for item in listed if isinstance(item, str | int)]


def object_in(body: Any, key: str) -> dict[str, Any]:
    """The object `body[key]`; empty if there is none."""
    found = body.get(key) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def fields_of(row: Row, *, numbers_as_text: bool = False) -> dict[str, Any]:
    """A row's mapped fields; as text a number keeps every digit it was written with."""
    number = str if numbers_as_text else None
    fields: dict[str, Any] = json.loads(row.fields, parse_float=number, parse_int=number)
    return fields


def fields_beside_key(row: Row, name: str) -> dict[str, Any]:
    """The mapped fields of a row whose key is the vendor's field `name`.

    People are known there by what the ledger knows them by, so nobody is left behind when a mapped
    value changes. StopError where `name` is mapped to another column.
    """
    fields = fields_of(row)
    if name in fields and str(fields.pop(name)) != row.key:
        raise StopError(
            f"the field {name} gets the row key: leave it out of config.meta.sync.fields, or make "
            "its column the config.meta.sync.row_key",
            code="two_keys",
        )
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


def in_parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """`items` in order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
