"""The committed sample company, read once as loading would read it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from contextlib import closing, suppress
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
    app_accounts: list[dict[str, Any]]
    app_purchases: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    registrations: list[dict[str, Any]]
    telemetry: list[dict[str, Any]]
    mail: list[dict[str, Any]]
    calls: list[Row]
    deals: list[Row]
    search_ads: list[Row]
    social_ads: list[Row]


def table(name: str) -> list[dict[str, Any]]:
    """A table of the app's database."""
    path = COMPANY / "app/app.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
        con.row_factory = sqlite3.Row
        return [dict(row) for row in con.execute(f"select * from {name}")]


def good_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an NDJSON file that are JSON."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


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
        app_accounts=table("accounts"),
        app_purchases=table("purchases"),
        tickets=json.loads((COMPANY / "support/tickets.json").read_text())["tickets"],
        registrations=good_lines(COMPANY / "device/registrations.ndjson"),
        telemetry=good_lines(COMPANY / "device/telemetry.ndjson"),
        mail=good_lines(COMPANY / "mailer/webhook.ndjson"),
        calls=rows_of((COMPANY / "calls/calls.csv").read_text()),
        deals=rows_of((COMPANY / "offline/conversions.csv").read_text()),
        search_ads=rows_of((COMPANY / "ads/search_ads.csv").read_text()),
        social_ads=rows_of((COMPANY / "ads/social_ads.csv").read_text()),
    )
