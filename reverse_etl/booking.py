"""Noting what batches were answered: one small transaction, while others are under way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl.destination import RowAnswer


@dataclass(frozen=True)
class Booking:
    """What a batch was answered; `rows` has what was said about single rows, by row key."""

    number: int
    http_status: int | None
    rows: Mapping[str, RowAnswer]
    requests: int = 1
    bytes_sent: int = 0


def book(
    con: duckdb.DuckDBPyConnection, sync_run_id: str, bookings: Sequence[Booking], at: datetime
) -> None:
    """Note the answers of batches that came together, in one transaction."""
    if not bookings:
        return
    told = [
        (
            *(booking.number, key, answer.error_code, answer.error, answer.remote_id),
            answer.is_there,
        )
        for booking in bookings
        for key, answer in booking.rows.items()
    ]
    if told:
        con.begin()
        numbers, keys, codes, errors, remote_ids, there = map(list, zip(*told, strict=True))
        con.execute(
            """
            INSERT INTO row_answers BY NAME
            SELECT $run AS sync_run_id, unnest($numbers::INTEGER[]) AS batch_number,
                unnest($keys::VARCHAR[]) AS row_key, unnest($codes::VARCHAR[]) AS error_code,
                unnest($errors::VARCHAR[]) AS error, unnest($ids::VARCHAR[]) AS remote_id,
                unnest($there::BOOLEAN[]) AS is_there""",
            {
                "run": sync_run_id,
                "numbers": numbers,
                "keys": keys,
                "codes": codes,
                "errors": errors,
                "ids": remote_ids,
                "there": there,
            },
        )
    con.execute(
        f"INSERT INTO batch_answers VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * len(bookings))}",
        [
            value
            for item in bookings
            for value in (
                *(sync_run_id, item.number, item.http_status),
                *(item.requests, item.bytes_sent, at),
            )
        ],
    )
    if told:
        con.commit()
