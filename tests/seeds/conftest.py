"""The committed sample company, read once as loading would read it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seeds.generate import COMPANY

Row = dict[str, str]


def rows_of(text: str, delimiter: str = ",") -> list[Row]:
    """Rows of a CSV that have as many fields as its header."""
    header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]


@dataclass(frozen=True)
class Company:
    signups: list[Row]
    customers: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    contacts: list[Row]
    cards: list[Row]
    receipts: list[Row]
    consents: list[Row]
    truth: list[Row]
    events: list[dict[str, Any]]
    broken_events: int


def _read_crm(path: Path) -> str:
    lines = []
    for line in path.read_bytes().split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line.decode("latin-1"))
    return "\n".join(lines).removeprefix("\ufeff")


@pytest.fixture(scope="session")
def company() -> Company:
    events, broken = [], 0
    for line in (COMPANY / "web/events.ndjson").read_text().splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            broken += 1
    receipts: list[Row] = []
    for path in sorted((COMPANY / "stores").glob("receipts_*.csv.gz")):
        receipts += rows_of(gzip.decompress(path.read_bytes()).decode())
    cards = gzip.decompress((COMPANY / "stores/loyalty_cards.csv.gz").read_bytes()).decode()
    return Company(
        signups=rows_of((COMPANY / "newsletter/signups.csv").read_text()),
        customers=json.loads((COMPANY / "shop/customers.json").read_text()),
        orders=json.loads((COMPANY / "shop/orders.json").read_text()),
        contacts=rows_of(_read_crm(COMPANY / "crm/contacts.csv"), ";"),
        cards=rows_of(cards),
        receipts=receipts,
        consents=rows_of((COMPANY / "consents/consents.csv").read_text()),
        truth=rows_of((COMPANY / "truth/contacts.csv").read_text()),
        events=events,
        broken_events=broken,
    )
