"""Orders, products and ad spend of the ready-made sources, to the cent."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

AMOUNTS = (
    "gross_amount", "discount_amount", "tax_amount", "shipping_amount", "refund_amount", "net_revenue",
)  # fmt: skip


def _amounts(order: dict[str, Any]) -> list[str]:
    return [str(order[name]) for name in AMOUNTS]


def test_shopify_orders(built: Any) -> None:
    orders = built.of("orders", "shopify")
    assert set(orders) == {"1", "2", "3", "4"}  # no test, no deleted one, none that is not paid
    assert {key: (row["status"], row["channel"], row["currency"]) for key, row in orders.items()} == {
        "1": ("partially_refunded", "online", "USD"),
        "2": ("refunded", "store", "GBP"),
        "3": ("cancelled", "app", "USD"),
        "4": ("paid", "online", "EUR"),
    }  # fmt: skip
    assert _amounts(orders["1"]) == ["100.00", "10.00", "7.20", "5.00", "15.50", "74.50"]
    # Tax was in the prices: goods are worth 20.00 without it, and all of it went back.
    assert _amounts(orders["2"]) == ["20.00", "0.00", "4.00", "6.00", "20.00", "0.00"]
    assert _amounts(orders["3"]) == ["20.00", "0.00", "0.00", "0.00", "0.00", "0.00"]
    assert _amounts(orders["4"]) == ["50.00", "5.00", "0.00", "4.00", "0.00", "45.00"]
    first = orders["1"]
    assert first["ordered_at"] == datetime(2026, 3, 1, 14)  # 09:00 in New York
    assert (first["contact_key"], first["coupon_code"]) == ("shopify:7001", "FIRST")
    assert first["cart_id"] == "c-1"


def test_shopify_orders_add_up_to_what_was_paid(built: Any, our_rows: Any) -> None:
    paid = {
        str(row["id"]): row.get("total_price") or row.get("total_price_set_shop_amount")
        for row in our_rows["shopify"]["order"]
    }
    for key, row in built.of("orders", "shopify").items():
        total = (
            row["gross_amount"] - row["discount_amount"] + row["tax_amount"] + row["shipping_amount"]
        )  # fmt: skip
        assert total == Decimal(str(paid[key]))


def test_shopify_lines_and_products(built: Any) -> None:
    lines = built.of("order_items", "shopify")
    shown = ("order_id", "line_number", "product_id", "unit_price", "net_amount", "unit_cost")
    assert {key: tuple(str(row[name]) for name in shown) for key, row in lines.items()} == {
        "101": ("shopify:1", "1", "MUG-1", "15.00", "54.00", "6.50"),
        "102": ("shopify:1", "2", "9002", "40.00", "36.00", "None"),
        "103": ("shopify:2", "1", "MUG-1", "24.00", "20.00", "6.50"),  # 4.00 of tax in the price
        "104": ("shopify:4", "1", "MUG-1", "25.00", "45.00", "6.50"),
    }
    products = built.of("products", "shopify")
    assert {row["sku"]: (row["product_name"], row["is_active"]) for row in products.values()} == {
        "MUG-1": ("Mug", True),
        "9002": ("Pot, Large", False),
    }


def test_shopify_lines_add_up_to_the_order(built: Any) -> None:
    for key in ("1", "2", "4"):
        order = built.of("orders", "shopify")[key]
        lines = [
            row["net_amount"]
            for row in built.of("order_items", "shopify").values()
            if row["order_id"] == f"shopify:{key}"
        ]
        assert sum(lines) == order["gross_amount"] - order["discount_amount"]


def test_stripe_charges_are_orders_in_whole_units(built: Any) -> None:
    orders = built.of("orders", "stripe")
    shown = ("currency", "gross_amount", "tax_amount", "refund_amount", "net_revenue", "status")
    assert {key: tuple(str(row[name]) for name in shown) for key, row in orders.items()} == {
        "ch_usd": ("USD", "19.99", "0.00", "0.00", "19.99", "paid"),
        "ch_tax": ("EUR", "100.00", "19.00", "50.00", "50.00", "partially_refunded"),
        "ch_jpy": ("JPY", "5000.00", "0.00", "5000.00", "0.00", "refunded"),  # has no cents
        "ch_kwd": ("KWD", "12.34", "0.00", "0.00", "12.34", "paid"),  # has a thousand fils
    }
    assert orders["ch_usd"]["contact_key"] == "stripe:cus_1"
    assert orders["ch_jpy"]["contact_key"] is None  # a guest
    [product] = built.of("products", "stripe").values()
    assert (str(product["price"]), product["currency"]) == ("12.50", "USD")


def test_ad_spend(built: Any) -> None:
    shown = (
        "date_day", "account_id", "campaign_id", "ad_group_id", "ad_id", "placement",
        "impressions", "clicks", "spend", "conversions", "conversions_value", "currency",
    )  # fmt: skip
    spend = {
        tuple(row[name] if name != "spend" else str(row[name]) for name in shown)
        for row in built.tables["ad_spend_daily"]
    }
    day, next_day = date(2026, 2, 1), date(2026, 2, 2)
    value = Decimal
    assert spend == {
        # Google's devices are summed before they are rounded.
        (day, "900", "google_ads:1", "11", "111", "search", 150, 10, "2.01", 1.5, value(30), "USD"),
        (day, "900", "google_ads:1", "11", "111", "content", 5, 0, "0.02", None, None, "USD"),
        (
            day,
            "500",
            "facebook_ads:5",
            "51",
            "55",
            "",
            1000,
            20,
            "12.34",
            2.0,
            value("80.5"),
            "USD",
        ),
        (day, "500", "", "", "56", "", 10, 0, "0.00", None, None, "USD"),
        (day, "600", "linkedin_ads:6", "61", "66", "", 300, 4, "25.50", 3.0, value(99), "EUR"),
        (day, "700", "tiktok_ads:7", "71", "77", "", 30, 3, "0.67", 1.0, value("19.99"), "USD"),
        (next_day, "700", "tiktok_ads:7", "71", "77", "", 5, 0, "0.10", 0.0, value(0), "USD"),
    }


def test_campaigns_have_their_newest_name_and_no_false_end(built: Any) -> None:
    [google] = built.of("campaigns", "google_ads").values()
    assert (google["campaign_name"], google["ended_on"]) == ("Mugs", None)
    assert (google["platform"], google["account_id"]) == ("google_ads", "900")
    [meta] = built.of("campaigns", "facebook_ads").values()
    assert meta["objective"] == "outcome_sales"
    assert {row["campaign_name"] for row in built.tables["campaigns"]} == {
        "Mugs are back", "Spring", "Mugs", "Trade",
    }  # fmt: skip
