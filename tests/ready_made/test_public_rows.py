"""Rows as public dbt packages have them: everything builds, and nothing is lost or multiplied."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


@pytest.fixture(scope="module")
def public(company: Any, our_rows: Any, public_rows: Any) -> Any:
    # Systems that have no public rows come with ours, so that all are built at once.
    return company.build({**our_rows, **public_rows})


def _count(built: Any, table: str) -> Counter[str]:
    return Counter(row["source_system"] for row in built.tables[table])


def _different(rows: Any, *columns: str) -> int:
    return len({tuple(row.get(column) for column in columns) for row in rows})


def test_every_row_arrives_once(public: Any, public_rows: Any) -> None:
    raw = public_rows
    contacts = _count(public, "contacts")
    assert contacts["hubspot"] == len(raw["hubspot"]["contact"])
    assert contacts["salesforce"] == len(raw["salesforce"]["contact"]) + len(
        raw["salesforce"]["lead"]
    )
    assert contacts["klaviyo"] == len(raw["klaviyo"]["person"])
    assert contacts["marketo"] == len(raw["marketo"]["lead"])
    assert contacts["shopify"] == len(raw["shopify"]["customer"])
    assert contacts["stripe"] == sum(row["livemode"] == "TRUE" for row in raw["stripe"]["customer"])
    assert _count(public, "orders") == {"shopify": len(raw["shopify"]["order"])}
    assert _count(public, "products")["shopify"] == len(raw["shopify"]["product_variant"])
    orders = {row["id"] for row in raw["shopify"]["order"]}
    assert _count(public, "order_items")["shopify"] == sum(
        row["order_id"] in orders for row in raw["shopify"]["order_line"]
    )
    events = _count(public, "events")
    assert events["ga4_export"] == len(raw["ga4_export"]["event"])
    # Two rows of one day have one insert id.
    assert events["mixpanel"] <= len(raw["mixpanel"]["event"])
    tickets = _count(public, "support_tickets")
    assert tickets["hubspot"] == sum(
        row["is_deleted"] != "TRUE" for row in raw["hubspot"]["ticket"]
    )


def test_email_events_arrive_once(public: Any, public_rows: Any) -> None:
    raw = public_rows
    counted = _count(public, "email_events")
    kept = {"SENT", "DELIVERED", "OPEN", "CLICK", "BOUNCE", "SPAMREPORT"}
    assert counted["hubspot"] == sum(row["type"] in kept for row in raw["hubspot"]["email_event"])
    assert counted["klaviyo"] == sum(
        row["type"] == "Received Email" and row["_fivetran_deleted"] == "FALSE"
        for row in raw["klaviyo"]["event"]
    )
    activities = {
        name: rows
        for name, rows in raw["marketo"].items()
        if name.startswith("activity_") and "email" in name
    }
    assert len(activities) == 6
    skipped = sum(
        row["action_result"] not in (None, "succeeded") for row in activities["activity_send_email"]
    )
    assert counted["marketo"] == sum(map(len, activities.values())) - skipped


def test_spend_is_conserved(public: Any, public_rows: Any) -> None:
    raw = public_rows
    spend: Counter[str] = Counter()
    for row in public.tables["ad_spend_daily"]:
        spend[row["source_system"]] += row["spend"]
    totals = {
        "google_ads": sum(int(row["cost_micros"]) for row in raw["google_ads"]["ad_stats"]) / 1e6,
        "facebook_ads": _sum(raw["facebook_ads"]["basic_ad"], "spend"),
        "linkedin_ads": _sum(
            raw["linkedin_ads"]["ad_analytics_by_creative"], "cost_in_local_currency"
        ),
        "tiktok_ads": _sum(raw["tiktok_ads"]["ad_report_hourly"], "SPEND"),
    }
    rows = _count(public, "ad_spend_daily")
    for system, total in totals.items():
        # Every row is rounded to the cent.
        assert float(spend[system]) == pytest.approx(total, abs=0.005 * rows[system] + 1e-9)
    days = _count(public, "ad_spend_daily")
    assert days["facebook_ads"] == len(raw["facebook_ads"]["basic_ad"])
    assert days["linkedin_ads"] == len(raw["linkedin_ads"]["ad_analytics_by_creative"])


def test_campaigns_come_in_their_newest_version(public: Any, public_rows: Any) -> None:
    raw, counted = public_rows, _count(public, "campaigns")
    for system in ("google_ads", "facebook_ads"):
        assert counted[system] == _different(raw[system]["campaign_history"], "id")
    assert counted["linkedin_ads"] == _different(
        raw["linkedin_ads"]["campaign_group_history"], "id"
    )
    assert counted["tiktok_ads"] == _different(raw["tiktok_ads"]["campaign_history"], "CAMPAIGN_ID")


def _sum(rows: Any, column: str) -> float:
    return sum(float(row[column] or 0) for row in rows)
