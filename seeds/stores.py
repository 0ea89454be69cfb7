# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""The shops in town: three months of receipts, most of them with a loyalty card."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from seeds import catalogue
from seeds.catalogue import money
from seeds.exports import csv_text, gzipped
from seeds.people import moment
from seeds.records import Record

COLUMNS = (
    "receipt_no,store_id,sold_at,line_no,sku,product_name,category,quantity,unit_price,discount,"
    "unit_cost,currency,loyalty_card"
).split(",")
MALFORMED = {
    "2026-04": "R-BROKEN-1,BOS-01,2026-04-11 10:00:00,1\n",
    "2026-05": "R-BROKEN-2,BER-01,11 o'clock,1,HP-101,House Blend 250 g,Coffee,1,11.50,0.00,"
    "4.37,EUR,\n",
    "2026-06": "R-BROKEN-3,EDI-01,2026-06-11 10:00:00,1,HP-101,House Blend 250 g,Coffee,one,"
    "11.50,0.00,4.37,GBP,\n",
}
MONTHS = (
    ("2026-04", datetime(2026, 4, 1), datetime(2026, 5, 1)),
    ("2026-05", datetime(2026, 5, 1), datetime(2026, 6, 1)),
    ("2026-06", datetime(2026, 6, 1), datetime(2026, 7, 1)),
)


def receipts(rng: Random, records: Sequence[Record]) -> dict[str, bytes]:
    """File name -> archive. A discount is of the whole line, so a line sold for
    quantity * unit_price - discount."""
    cards = [r for r in records if r.source == "stores"]
    products = catalogue.products()
    result: dict[str, bytes] = {}
    number = 0
    for month, start, end in MONTHS:
        members = [
            c for c in cards if c.created < end - timedelta(days=1) and c.person.left > start
        ]
        sales: list[tuple[datetime, str, str, str]] = []
        for _ in range(max(len(cards) * 39 // 100, 3)):
            if rng.random() < 0.6 and members:
                card = rng.choice(members)
                country, card_no = card.person.home.country, card.record_id
                opens = max(start, card.created)
            else:
                country, card_no, opens = rng.choice(("US", "GB", "DE", "FR")), "", start
            sold = moment(rng, opens, end)
            sales.append((sold, country, card_no, rng.choice(catalogue.STORES[country])))
        rows: list[list[object]] = []
        for sold, country, card_no, store in sorted(sales):
            number += 1
            items = catalogue.basket(rng, products, rng.choices((1, 2, 3, 5), (45, 30, 18, 7))[0])
            gross = sum(product.price * quantity for product, quantity in items)
            discount = gross // 10 if card_no and rng.random() < 0.15 else 0
            for n, line in enumerate(catalogue.lines(items, discount), start=1):
                product = line.product
                rows.append(
                    [
                        f"R{number:07d}",
                        store,
                        f"{sold:%Y-%m-%d %H:%M:%S}",
                        n,
                        product.sku,
                        product.title,
                        product.category,
                        line.quantity,
                        money(product.price),
                        money(product.price * line.quantity - line.net),
                        money(product.cost),
                        catalogue.CURRENCY[country],
                        card_no,
                    ]
                )
        text = csv_text(COLUMNS, rows).splitlines(keepends=True)
        text.insert(len(text) // 2, MALFORMED[month])
        result[f"receipts_{month}.csv.gz"] = gzipped("".join(text))
    return result
