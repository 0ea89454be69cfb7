"""Metrics by MetricFlow, over rows made by hand: each figure is counted by eye."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from orchestration.metrics import MetricError, Metrics

PURCHASES = {"order_id": "varchar", "customer_id": "varchar", "ordered_on": "date", "channel": "varchar",
             "source_system": "varchar", "status": "varchar", "net_revenue": "decimal(18,2)",
             "is_first_order": "boolean"}  # fmt: skip
CUSTOMERS = {"customer_id": "varchar", "country_code": "varchar", "rfm_segment": "varchar",
             "loyalty_tier": "varchar", "preferred_channel": "varchar", "consent_email": "boolean"}  # fmt: skip
COSTS = {"date_day": "date", "platform": "varchar", "channel": "varchar", "campaign_name": "varchar",
         "clicks": "bigint", "impressions": "bigint", "spend": "decimal(18,2)",
         "reported_revenue": "decimal(18,2)"}  # fmt: skip


@pytest.fixture(scope="module")
def ask(models: Any) -> Any:
    rows = [
        ("o1", "ann", "2026-01-31", "online", 100, True),
        ("o2", "ann", "2026-02-01", "store", "20.50", False),
        ("o3", "bob", "2026-02-28", "online", -5, True),
        ("o4", None, "2026-02-28", "store", 7, False),
    ]
    names = ("order_id", "customer_id", "ordered_on", "channel", "net_revenue", "is_first_order")
    models.table("marts.purchases", PURCHASES, [dict(zip(names, row, strict=True)) for row in rows])
    models.table("marts.customer_360", CUSTOMERS, [
        {"customer_id": "ann", "country_code": "DE"}, {"customer_id": "bob", "country_code": "GB"},
    ])  # fmt: skip
    models.table("marts.ad_costs", COSTS, [
        {"date_day": "2026-02-01", "channel": "paid_search", "spend": 10, "reported_revenue": 30},
        {"date_day": "2026-02-02", "channel": "paid_social", "spend": 40, "reported_revenue": 20},
    ])  # fmt: skip
    models.table("marts.days", {"date_day": "date"}, [])
    metrics = Metrics(models.home.dbt_target / "semantic_manifest.json")

    def answer(*names: str, **options: Any) -> list[tuple[Any, ...]]:
        return models.query(metrics.sql(names, **options))  # type: ignore[no-any-return]

    return answer


def test_revenue_by_channel_and_by_what_the_customer_is(ask: Any) -> None:
    assert ask("revenue", by=["channel"]) == [("online", Decimal(95)), ("store", Decimal("27.50"))]
    assert ask("revenue", "orders", "customers", by=["country_code"]) == [
        ("DE", Decimal("120.50"), 2, 1),
        ("GB", Decimal(-5), 1, 1),
        (None, Decimal(7), 1, 0),
    ]


def test_by_month_and_within_days(ask: Any) -> None:
    by_month = ask("orders", "new_customers", grain="month")
    assert [(when.date(), *counts) for when, *counts in by_month] == [
        (date(2026, 1, 1), 1, 1),
        (date(2026, 2, 1), 3, 1),
    ]
    assert ask("revenue", since=date(2026, 2, 1), until=date(2026, 2, 27)) == [(Decimal("20.50"),)]


def test_a_condition_speaks_of_dimensions_by_their_short_names(ask: Any) -> None:
    where = "channel = 'online' and (country_code = 'DE' or country_code in ('channel'))"
    assert ask("revenue", where=where) == [(Decimal(100),)]


def test_ratios_are_of_sums_and_not_means_of_ratios(ask: Any) -> None:
    assert ask("reported_roas") == [(1.0,)]
    assert ask("reported_roas", by=["channel"]) == [("paid_search", 3.0), ("paid_social", 0.5)]
    assert ask("cac", "roas") == [(25.0, 2.45)]


def test_what_cannot_be_answered_says_what_can(ask: Any) -> None:
    with pytest.raises(MetricError, match="did you mean revenue"):
        ask("revenu")
    with pytest.raises(MetricError, match="cannot be broken down by campaign_name; there is"):
        ask("revenue", by=["campaign_name"])
    with pytest.raises(MetricError, match="did you mean channel"):
        ask("revenue", where="chanel = 'online'")
