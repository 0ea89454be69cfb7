"""Events and visitors of the ready-made sources, to the value."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any


def test_ga4_as_bigquery_has_it(built: Any) -> None:
    view, purchase, *scrolls = sorted(
        built.of("events", "ga4").values(), key=lambda row: row["event_at"]
    )
    assert view["event_at"] == datetime(2026, 2, 28, 23, 59, 59, 999999)
    assert (view["event_type"], view["page_url"]) == ("page", "https://shop.example.org/mugs")
    assert (view["utm_source"], view["user_id"], view["order_id"]) == ("newsletter", None, None)
    assert view["device_type"] == "mobile"
    assert (view["geo_country"], view["geo_region"]) == ("DE", "Hesse")
    assert purchase["event_at"] == datetime(2026, 3, 1)
    assert (purchase["utm_source"], purchase["utm_medium"]) == ("google", "cpc")
    assert (purchase["order_id"], purchase["revenue"]) == ("1001", Decimal("49.90"))
    assert (purchase["currency"], purchase["product_id"]) == ("EUR", "MUG-1")
    # Equal to the microsecond, yet two events with ids of their own.
    assert [row["event_name"] for row in scrolls] == ["scroll", "scroll"]
    assert scrolls[0]["event_id"] != scrolls[1]["event_id"]
    assert built.identifiers("anon:ga.1") == {
        ("anonymous_id", "ga.1", True),
        ("user_id", "u-1", True),
    }


def test_ga4_as_fivetran_flattens_it(built: Any) -> None:
    events = built.of("events", "ga4_export")
    assert (events["f1"]["utm_source"], events["f1"]["utm_medium"]) == ("partner", "organic")
    assert (events["f1"]["order_id"], events["f1"]["revenue"]) == ("2002", Decimal("29.99"))
    assert events["f1"]["currency"] == "USD"
    assert (events["f2"]["event_type"], events["f2"]["order_id"]) == ("page", None)


def test_mixpanel_counts_a_repeat_once(built: Any) -> None:
    events = sorted(built.of("events", "mixpanel").values(), key=lambda row: row["event_at"])
    titles = [json.loads(row["properties"]).get("title") for row in events]
    assert titles == ["second", "third", None]  # the last one processed of each day
    assert built.identifiers("anon:d-1") == {
        ("anonymous_id", "d-1", True),
        ("user_id", "u-1", True),
    }


def test_segment_messages(built: Any) -> None:
    events = built.of("events", "segment")
    assert {key: (row["event_type"], row["event_name"]) for key, row in events.items()} == {
        "m1": ("track", "Order Completed"),  # received twice
        "m2": ("page", "Home"),
        "m3": ("page", "page"),
        "m4": ("identify", "identify"),
    }
    track = events["m1"]
    assert track["event_at"] == datetime(2026, 3, 28, 23, 30)  # 00:30 in Berlin, before summer time
    assert track["received_at"] == datetime(2026, 3, 28, 23, 31)  # the first time
    assert (track["utm_source"], track["utm_campaign"]) == ("google", "spring")
    assert (track["geo_country"], track["channel"]) == ("US", "paid_search")
    assert events["m2"]["page_referrer"] == "https://search.example.org/"
    assert built.identifiers("anon:dev-1") == {
        ("anonymous_id", "dev-1", True),
        ("user_id", "u-1", True),
        ("email", "ada@byrne.example.org", False),
    }
    assert built.identifiers("anon:dev-2") == {("anonymous_id", "dev-2", True)}


def test_rudderstack_messages(built: Any) -> None:
    events = built.of("events", "rudderstack")
    assert {key: (row["event_type"], row["event_name"]) for key, row in events.items()} == {
        "r1": ("track", "Cart Viewed"),
        "r2": ("screen", "Basket"),
        "r3": ("identify", "identify"),
    }
    assert ("email", "zoe@nine.example.org", False) in built.identifiers("anon:app-1")
