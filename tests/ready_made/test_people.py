"""Contacts, tickets and email events of the ready-made sources, to the value."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest


def test_every_person_comes_once_and_the_deleted_are_marked(built: Any) -> None:
    deleted = {
        source: {key: row["is_deleted"] for key, row in built.of("contacts", source).items()}
        for source in {row["source_system"] for row in built.tables["contacts"]}
    }
    assert deleted == {
        "hubspot": {"11": False, "12": True, "13": True},  # merged, deleted
        "salesforce": {"003A": False, "003B": True, "00QA": False},
        "klaviyo": {"K1": False, "K2": True},
        "marketo": {"1001": False, "1002": True, "1003": True},  # merged, deleted
        "shopify": {"7001": False, "7002": False},
        "stripe": {"cus_1": False, "cus_2": True},  # test mode stays out
        "zendesk": {"501": False, "502": True},  # agents stay out
    }


def test_contacts_join_the_graph(built: Any) -> None:
    email = "ada@byrne.example.org"
    assert built.identifiers("hubspot:11") == {("email", "Ada@Byrne.example.org", False)}
    assert built.identifiers("salesforce:003A") == {
        ("email", email, False),
        ("phone", "+1 212 555 0199", False),
        ("phone", "+1 212 555 0101", False),
    }
    assert built.identifiers("salesforce:00QA") == {
        ("email", email, False),
        ("phone", "+1 212 555 0101", False),
    }
    assert built.identifiers("klaviyo:K1") == {
        ("email", email, False),
        ("phone", "+12125550101", False),
    }
    assert built.identifiers("marketo:1001") == {("email", email, False)}
    # A verified address is strong evidence, and so is a login id.
    assert built.identifiers("shopify:7001") == {
        ("email", email, True),
        ("user_id", "7001", True),
    }
    assert ("email", "bo@chen.example.org", False) in built.identifiers("shopify:7002")
    assert built.identifiers("stripe:cus_1") == {("email", email, False)}
    assert built.identifiers("zendesk:501") == {
        ("email", email, True),
        ("user_id", "u-1", False),
        ("phone", "+1 212 555 0101", False),
    }


def test_times_are_utc_and_blank_text_is_nothing(built: Any) -> None:
    assert built.of("contacts", "hubspot")["11"]["created_at"] == datetime(2026, 1, 2, 4, 30)
    assert built.of("contacts", "salesforce")["003A"]["created_at"] == datetime(2026, 1, 1, 8)
    lead = built.of("contacts", "salesforce")["00QA"]
    assert lead["created_at"] == datetime(2025, 12, 31, 22, 30)  # landed as text with an offset
    assert lead["updated_at"] == lead["created_at"]  # landed as blanks
    assert built.of("contacts", "zendesk")["501"]["updated_at"] == datetime(2026, 1, 31, 22, 30)


def test_names_and_addresses(built: Any) -> None:
    contact = built.of("contacts", "salesforce")["003A"]
    assert (contact["full_name"], contact["birth_date"]) == ("Ada Byrne", date(1980, 5, 17))
    assert (contact["region"], contact["country_code"]) == ("NY", "US")
    assert built.of("contacts", "salesforce")["00QA"]["country_code"] == "GB"
    assert built.of("contacts", "hubspot")["11"]["full_name"] == "Ada Byrne"
    klaviyo = built.of("contacts", "klaviyo")["K1"]
    assert (klaviyo["postal_code"], klaviyo["country_code"]) == ("02134", "GB")
    shopify = built.of("contacts", "shopify")["7001"]
    assert (shopify["address_line1"], shopify["city"]) == ("2 New Road", "London")  # the default


def _email_events(built: Any, source: str) -> dict[str, tuple[Any, ...]]:
    return {
        key: (row["event_type"], row["email"], row["message_id"], row["link_url"], row["is_machine_open"])
        for key, row in built.of("email_events", source).items()
    }  # fmt: skip


ADA = "ada@byrne.example.org"
MUGS = "https://shop.example.org/mugs"


@pytest.mark.parametrize(
    ("source", "campaign", "expected"),
    [
        (
            "hubspot",
            "77",
            {
                "e1": ("sent", ADA, "e1", None, False),
                "e2": ("open", ADA, "e1", None, True),
                "e3": ("click", ADA, "e1", MUGS, False),
                "e5": ("unsubscribe", ADA, "e1", None, False),
                "e7": ("complaint", ADA, "e1", None, False),
            },
        ),
        (
            "klaviyo",
            "C1",
            {
                "k1": ("delivered", ADA, "C1:K1", None, False),
                "k2": ("open", ADA, "C1:K1", None, True),
                "k3": ("click", ADA, "FM1:K1", MUGS, False),
            },
        ),
        (
            "marketo",
            "55",
            {
                "10": ("sent", ADA, "9:3:1001", None, False),
                "12": ("open", ADA, "9:3:1001", None, True),
                "13": ("click", None, "9:3:4242", MUGS, False),  # of a lead that we do not have
            },
        ),
    ],
)
def test_email_events(
    built: Any, source: str, campaign: str, expected: dict[str, tuple[Any, ...]]
) -> None:
    assert _email_events(built, source) == expected
    assert set(built.of("campaigns", source)) == {campaign}
    campaigns = {row["campaign_id"] for row in built.of("email_events", source).values()}
    assert campaigns - {None} == {f"{source}:{campaign}"}


def test_tickets(built: Any) -> None:
    tickets = built.of("support_tickets", "zendesk")
    assert set(tickets) == {"1", "2"}  # deleted ones stay out, by either sign
    assert tickets["1"]["contact_key"] == "zendesk:501"
    assert tickets["1"]["resolved_at"] == datetime(2026, 2, 4, 12)  # not the first time
    assert tickets["1"]["csat_score"] == 5  # not an offer, and not what was said before
    assert tickets["2"]["resolved_at"] is None  # opened again
    [ticket] = built.of("support_tickets", "hubspot").values()
    assert (ticket["contact_key"], ticket["status"]) == ("hubspot:11", "Closed")
    assert ticket["resolved_at"] == datetime(2026, 2, 3, 8)


def test_no_test_warns_of_an_orphan(built: Any) -> None:
    """Relationship tests warn; only spend of an ad that nobody described may do so here."""
    assert {name.split(".")[2] for name in built.warnings} == set()
