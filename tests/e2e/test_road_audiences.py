"""Audiences of the sample counted by hand, from the raw files: who should be in each, to the person."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

COMPANY = Path(__file__).parents[2] / "seeds" / "company"
AS_OF = datetime(2026, 7, 1)


def members(road: Any, name: str) -> set[str]:
    return {one for (one,) in road.query(f"select customer_id from audiences.aud_{name}")}


def golden(road: Any) -> set[str]:
    return {one for (one,) in road.query("select customer_id from marts.golden_customers")}


def lines(name: str) -> Iterator[dict[str, Any]]:
    """The records of an NDJSON file, each once; a line that is none is left out."""
    seen = set()
    for line in (COMPANY / name).read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        key = record.get("sg_event_id") or record.get("messageId")
        if key not in seen:
            seen.add(key)
            yield record


def test_every_audience_has_members(road: Any) -> None:
    sizes = dict(
        road.query(
            "select audience_id, count(customer_id) from audiences.definitions"
            " left join audiences.membership using (audience_id) group by 1"
        )
    )
    assert len(sizes) >= 14
    assert [name for name, size in sizes.items() if size == 0] == []


def test_open_support_tickets(road: Any) -> None:
    tickets = json.loads((COMPANY / "support" / "tickets.json").read_text("utf-8"))["tickets"]
    ids = road.ids()
    by_hand = {ids[f"support:{one['requester']['id']}"] for one in tickets if not one["solved_at"]}
    assert members(road, "open_support_ticket") == by_hand & golden(road)


def test_loyalty_tier_changes(road: Any) -> None:
    with gzip.open(COMPANY / "stores" / "loyalty_cards.csv.gz", "rt", encoding="utf-8") as file:
        cards = list(csv.DictReader(file))
    ids = road.ids()
    by_customer: dict[str, list[tuple[date, str]]] = defaultdict(list)
    for card in cards:
        joined = date.fromisoformat(card["joined_on"])
        by_customer[ids[f"stores:{card['card_no']}"]].append((joined, card["tier"]))
    by_hand = set()
    for customer, held in by_customer.items():
        held.sort()
        if len(held) < 2 or AS_OF.date() - held[-1][0] >= timedelta(days=180):
            continue
        if held[-1][1] != held[-2][1]:
            by_hand.add(customer)
    assert members(road, "loyalty_tier_change") == by_hand & golden(road)


def test_who_reads_mails_and_who_does_not(road: Any) -> None:
    did: dict[str, set[str]] = defaultdict(set)
    for record in lines("mailer/webhook.ndjson"):
        at = datetime.fromtimestamp(record["timestamp"], UTC).replace(tzinfo=None)
        if AS_OF - timedelta(days=90) < at <= AS_OF and not record.get("sg_machine_open"):
            did[record["email"].strip().lower()].add(record["event"])
    ids = road.ids()
    by_customer: dict[str, set[str]] = defaultdict(set)
    for node, address in road.query(
        """
        select node_key, lower(trim(i.identifier_value)) from canonical.identifiers as i
        where identifier_type = 'email' and not exists (
            from identity.identifiers as b
            where b.node_key = i.node_key and b.given_value = i.identifier_value and b.is_blocked)
        """
    ):
        if address in did and node in ids:
            by_customer[ids[node]] |= did[address]
    known = golden(road)
    engaged = {one for one, events in by_customer.items() if events & {"open", "click"}}
    assert members(road, "email_engaged") == engaged & known
    idle = {
        one
        for one, events in by_customer.items()
        if "delivered" in events and not events & {"open", "click", "unsubscribe"}
    }
    assert members(road, "email_unengaged") == idle & known


def test_high_intent_and_ad_clickers(road: Any) -> None:
    known = golden(road)
    viewed, clicked = set(), defaultdict(list)
    records = {record["messageId"]: record for record in lines("web/events.ndjson")}
    whose = road.owners(records.values())
    for message, record in records.items():
        at = datetime.fromisoformat(record["timestamp"]).replace(tzinfo=None)
        who = whose[message]
        if at > AS_OF:
            continue
        if record.get("event") == "Product Viewed" and at > AS_OF - timedelta(minutes=1440):
            viewed.add(who)
        medium = (record.get("context", {}).get("campaign") or {}).get("medium")
        is_visit = record["type"] in ("page", "screen")
        if medium in ("cpc", "paid_social") and is_visit and at > AS_OF - timedelta(days=30):
            clicked[who].append(at)
    assert members(road, "high_intent") == viewed & known
    last_order = dict(road.query("select customer_id, last_order_at from marts.customer_orders"))
    by_hand = {
        who
        for who, clicks in clicked.items()
        if who in known and not (last_order[who] and last_order[who] >= min(clicks))
    }
    assert members(road, "ad_clickers_no_purchase") == by_hand


def test_birthdays(road: Any) -> None:
    """Born on the day that it is now in Berlin, or on one of the fourteen after it."""
    days = {(AS_OF + timedelta(days=n)).strftime("%m-%d") for n in range(15)}
    by_hand = {
        customer
        for customer, born in road.query(
            "select customer_id, birth_date from marts.golden_customers"
        )
        if born and f"{born:%m-%d}" in days
    }
    assert members(road, "birthday_soon") == by_hand


def test_nobody_who_is_held_out_was_sent(road: Any) -> None:
    held_out = {
        one
        for (one,) in road.query(
            "select unit_id from canonical.experiment_assignments where variant = 'control'"
        )
    }
    audience = members(road, "abandoned_cart")
    assert len(held_out & audience) >= 10
    sent = {
        one
        for (one,) in road.query(
            "select customer_id from reverse_etl.sync_state"
            " where sync_name = 'abandoned_cart_to_email_tool' and is_held"
        )
    }
    assert sent
    assert not sent & held_out


def test_the_books_add_up(road: Any) -> None:
    assert road.query(
        """
        select count(*) from (
            select audience_id, customer_id from audiences.membership_history
            qualify is_member and row_number() over (
                partition by audience_id, customer_id order by changed_at desc) = 1
            except select audience_id, customer_id from audiences.membership
        )
        """
    ) == [(0,)]
    for (name,) in road.query("select audience_id from audiences.definitions"):
        assert members(road, name.removeprefix("aud_")) == {
            one
            for (one,) in road.query(
                f"select customer_id from audiences.membership where audience_id = '{name}'"
            )
        }
