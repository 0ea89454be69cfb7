"""Rows as text, one line each: what the ledger hands out and the webhook sends.

A line is `{"operation": ..., "key": ..., "fields": ...}`, put together by DuckDB around the fields as
they were planned and hashed. A destination that sends lines joins them; for the others a line is
taken apart again when a row is asked for. An object a row, made beforehand, took longer than
sending it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import overload

from reverse_etl.destination import Row

# of `planned_rows`
LINE_SQL = """concat('{"operation":"', if(kind = 'remove', 'remove', 'upsert'),
    '","key":', to_json(row_key), ',"fields":', payload, '}')"""
OPERATION_AT = len('{"operation":"')
KEY_NEXT = '","key":'
FIELDS_NEXT = ',"fields":'
DECODER = json.JSONDecoder()


class Lines(Sequence[Row]):
    """Rows that are lines until somebody asks for one. Threads may share it: what is made of a line
    twice is the same."""

    def __init__(
        self, lines: Sequence[str], remote_ids: Sequence[str | None], are_new: Sequence[bool]
    ) -> None:
        self.lines = lines
        self._remote_ids, self._are_new = remote_ids, are_new
        self._rows: list[Row] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        rows = self._rows
        if rows is None:
            rows = self._rows = list(map(_row, self.lines, self._remote_ids, self._are_new))
        return rows[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def of(rows: Sequence[Row]) -> Iterable[str]:
    """The lines of rows, however they are kept."""
    if isinstance(rows, Lines):
        return rows.lines
    return (
        f'{{"operation":"{row.operation}{KEY_NEXT}{json.dumps(row.key, ensure_ascii=False)}'
        f"{FIELDS_NEXT}{row.fields}}}"
        for row in rows
    )


def _row(line: str, remote_id: str | None, is_new: bool) -> Row:
    operation = line[OPERATION_AT : line.index('"', OPERATION_AT)]
    key, end = DECODER.raw_decode(line, OPERATION_AT + len(operation) + len(KEY_NEXT))
    return Row(key, operation, line[end + len(FIELDS_NEXT) : -1], remote_id, is_new)
