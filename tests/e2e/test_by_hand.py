"""Marts against counts straight from the raw files, to the row and the cent."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from benchmarks.projects import ROOT

COMPANY = ROOT / "seeds" / "company"
AS_OF = datetime(2026, 7, 1)
CENT = Decimal("0.01")

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Sale:
    """An order that was not cancelled: who (a contact or visitor of a source), when, how much."""

    nodes: tuple[str, ...]
    at: datetime
    usd: Decimal


def usd(amount: Decimal, currency: str, at: datetime) -> Decimal:
    with (COMPANY / "finance" / "exchange_rates.csv").open(encoding="utf-8") as file:
        rates = [row for row in csv.DictReader(file) if row["currency"] == currency]
    rate = max(
        (r for r in rates if r["valid_from"] <= f"{at:%Y-%m-%d}"), key=lambda r: r["valid_from"]
    )
    return (amount * Decimal(rate["usd_rate"])).quantize(CENT, ROUND_HALF_UP)


def shop_sales() -> Iterator[Sale]:
    for order in json.loads((COMPANY / "shop" / "orders.json").read_text(encoding="utf-8")):
        if order["status"] == "cancelled":
            continue
        net = (
            Decimal(order["gross_amount"])
            - Decimal(order["discount_amount"])
            - Decimal(order["refund_amount"])
        )
        at = datetime.fromisoformat(order["created_at"].rstrip("Z"))
        nodes = (f"shop:{order['customer_id']}", f"anon:{order['anonymous_id']}")
        yield Sale(nodes, at, usd(net, order["currency"], at))


def store_sales() -> Iterator[Sale]:
    receipts: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for path in sorted((COMPANY / "stores").glob("receipts_*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                try:
                    datetime.fromisoformat(str(row["sold_at"]))
                    Decimal(str(row["unit_price"]))
                    int(str(row["quantity"]))
                except (ValueError, ArithmeticError):
                    continue  # the malformed line of the month
                if None not in row:
                    receipts[str(row["receipt_no"])][str(row["line_no"])] = row
    for lines in receipts.values():
        rows = list(lines.values())
        net = sum(
            (
                int(r["quantity"]) * Decimal(r["unit_price"]) - Decimal(r["discount"] or "0")
                for r in rows
            ),
            Decimal(0),
        )
        at = min(datetime.fromisoformat(r["sold_at"]) for r in rows)
        card = rows[0]["loyalty_card"]
        yield Sale((f"stores:{card}",) if card else (), at, usd(net, rows[0]["currency"], at))


def app_sales() -> Iterator[Sale]:
    with closing(sqlite3.connect(COMPANY / "app" / "app.sqlite")) as con:
        rows = con.execute(
            "select account_id, quantity * price_minor, currency, purchased_at, refunded_at from purchases"
        ).fetchall()
    for account, minor, currency, purchased_at, refunded_at in rows:
        at = datetime.fromisoformat(purchased_at)
        amount = Decimal(0) if refunded_at else Decimal(minor) / 100
        yield Sale((f"app:{account}",), at, usd(amount, currency, at))


@pytest.fixture(scope="module")
def sales() -> list[Sale]:
    found = [*shop_sales(), *store_sales(), *app_sales()]
    return [sale for sale in found if sale.at <= AS_OF]


def owner(sale: Sale, ids: dict[str, str]) -> str | None:
    return next((ids[node] for node in sale.nodes if node in ids), None)


def test_net_revenue_by_month(road: Any, sales: list[Sale]) -> None:
    by_hand: dict[str, Decimal] = defaultdict(Decimal)
    for sale in sales:
        by_hand[f"{sale.at:%Y-%m}"] += sale.usd
    found = road.query(
        "select strftime(ordered_at, '%Y-%m'), sum(net_revenue) from marts.purchases group by 1"
    )
    assert dict(found) == dict(by_hand)
    metric = json.loads(road.command("metric", "revenue", "--grain", "month", "--json").stdout)
    assert {
        row["month"][:7]: Decimal(row["revenue"]) for row in metric if row["revenue"]
    } == by_hand


def test_lapsed_customers(road: Any, sales: list[Sale]) -> None:
    """Spent 250 or more, and nothing ordered for 120 days."""
    ids = road.ids()
    spent: dict[str, Decimal] = defaultdict(Decimal)
    last: dict[str, datetime] = {}
    for sale in sales:
        customer = owner(sale, ids)
        if customer is not None:
            spent[customer] += sale.usd
            last[customer] = max(last.get(customer, datetime.min), sale.at)
    golden = {c for (c,) in road.query("select customer_id from marts.golden_customers")}
    by_hand = {
        customer
        for customer in golden & spent.keys()
        if spent[customer] >= 250 and last[customer] < AS_OF - timedelta(days=120)
    }
    found = road.query(
        "select customer_id from marts.customer_360"
        " where revenue >= 250 and order_count > 0 and recency_days >= 120"
        " and last_order_at < timestamp '2026-07-01' - interval 120 days"
    )
    assert {customer for (customer,) in found} == by_hand
    assert len(by_hand) > 50


def mailbox(address: str) -> str:
    """Where mail to an address ends up: what follows a plus is a label."""
    local, _, domain = address.strip().lower().partition("@")
    return f"{local.split('+')[0]}@{domain}"


def test_customers_by_consent(road: Any) -> None:
    """The newest decision over a customer's addresses; of two at one moment the stricter."""
    owners: dict[str, set[str]] = defaultdict(set)
    for customer, given in road.query(
        """
        select x.customer_id, i.given_value
        from identity.identifiers as i join identity.crosswalk as x using (node_key)
        where i.identifier_type = 'email' and not i.is_blocked
        """
    ):
        owners[mailbox(given)].add(customer)
    newest: dict[tuple[str, str], tuple[str, bool]] = {}
    with (COMPANY / "consents" / "consents.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["identifier_type"] != "email" or row["recorded_at"] > "2026-07-01T00:00:00Z":
                continue
            kind = f"{row['purpose']}/{row['channel']}"
            for customer in owners[mailbox(row["identifier"])]:
                # Tuples compare: a later moment first, then what is no grant.
                decision = (row["recorded_at"], row["status"] != "granted")
                newest[customer, kind] = max(newest.get((customer, kind), ("", False)), decision)
    golden = {c for (c,) in road.query("select customer_id from marts.golden_customers")}
    for kind, column in (("marketing/email", "consent_email"), ("ads/ads", "consent_ads")):
        by_hand = {
            customer
            for (customer, of), (_, is_refused) in newest.items()
            if of == kind and not is_refused and customer in golden
        }
        found = {
            c for (c,) in road.query(f"select customer_id from marts.customer_360 where {column}")
        }
        assert found == by_hand, column
        assert len(found) > 100
