"""The online shop: its orders, and its customers and orders as it exports them.

Arithmetic, in cents, all of it before tax: gross = sum of quantity * unit_price; the lines' net
amounts sum to gross - discount; tax is on top of that; a refund is of merchandise alone, so that
net revenue = gross - discount - refund (nothing is left of a refunded or a cancelled order). The
customer pays gross - discount + tax + shipping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from seeds import catalogue
from seeds.catalogue import Line, money
from seeds.people import AS_OF, moment
from seeds.records import Record


@dataclass(frozen=True)
class Order:
    order_id: str
    customer: Record
    created: datetime
    status: str  # paid | refunded | partially_refunded | cancelled
    source: str  # web | ios | android | phone
    lines: tuple[Line, ...]
    gross: int
    discount: int
    tax: int
    shipping: int
    refund: int
    coupon: str | None
    cart: str | None = None
    anonymous: str | None = None

    @property
    def total(self) -> int:
        return self.gross - self.discount + self.tax + self.shipping


COUPONS = (("WELCOME10", 10), ("PINE15", 15), ("HARBOUR20", 20))


def _order(rng: Random, customer: Record, at: datetime, splurge: bool) -> Order:
    size = rng.choices((1, 2, 3, 4), (12, 38, 32, 18) if splurge else (68, 23, 7, 2))[0]
    items = catalogue.basket(rng, catalogue.products(), size)
    gross = sum(product.price * quantity for product, quantity in items)
    coupon, percent = rng.choice(COUPONS) if rng.random() < 0.2 else (None, 0)
    discount = gross * percent // 100
    lines = catalogue.lines(items, discount)
    paid = gross - discount
    status = rng.choices(("paid", "refunded", "partially_refunded", "cancelled"), (90, 3, 4, 3))[0]
    refund = {"paid": 0, "partially_refunded": max(lines[-1].net // 2, 1)}.get(status, paid)
    country = customer.person.home.country
    guest = customer.kind == "guest"
    source = rng.choices(
        ("web", "ios", "android", "phone"), (84, 0, 0, 16) if guest else (60, 15, 13, 12)
    )[0]
    return Order(
        order_id="",
        customer=customer,
        created=at,
        status=status,
        source=source,
        lines=lines,
        gross=gross,
        discount=discount,
        tax=(paid * catalogue.TAX_PERCENT[country] + 50) // 100,
        shipping=0 if paid >= 6000 else 495,
        refund=refund,
        coupon=coupon,
    )


def orders(rng: Random, records: Sequence[Record]) -> list[Order]:
    """One order for each guest record, when it was made; from none to nine for each login.

    Sorted by time, without numbers yet: `numbered` gives them.
    """
    result: list[Order] = []
    for record in records:
        if record.kind == "guest":
            result.append(_order(rng, record, record.created, splurge=False))
        elif record.kind == "login":
            splurge = rng.random() < 0.15
            count = rng.choices((0, 1, 2, 3, 4, 6, 9), (33, 31, 16, 9, 6, 4, 1))[0]
            start = record.created + timedelta(hours=1)
            end = min(max(record.person.left, start + timedelta(hours=30)), AS_OF)
            if start < end:
                times = {moment(rng, start, end) for _ in range(count)}
                result += [_order(rng, record, at, splurge) for at in sorted(times)]
    return sorted(result, key=lambda o: (o.created, o.customer.record_id))


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def customer_json(record: Record) -> dict[str, object]:
    address = record.home and {
        "address1": record.street,
        "city": record.home.city,
        "province": record.home.region,
        "zip": record.postcode,
        "country_code": record.home.country,
    }
    return {
        "id": record.record_id,
        "email": record.email or None,
        "email_verified": record.verified,
        "first_name": record.first,
        "last_name": record.last,
        "phone": record.phone or None,
        "date_of_birth": record.born.isoformat() if record.born else None,
        "created_at": iso(record.created),
        "updated_at": iso(record.updated),
        "default_address": address,
    }


def product_json() -> Iterator[dict[str, object]]:
    """The catalogue with its prices in dollars; what is no longer sold is archived."""
    for n, product in enumerate(catalogue.products(), start=1):
        yield {
            "id": f"{810_000 + n}",
            "sku": product.sku,
            "title": product.title,
            "vendor": "Harbour & Pine",
            "product_type": product.category,
            "price": money(product.price),
            "currency": "USD",
            "status": "archived" if product.title == "Winter Blend" else "active",
        }


def order_json(order: Order) -> dict[str, object]:
    return {
        "id": order.order_id,
        "customer_id": order.customer.record_id,
        "email": order.customer.email or None,
        "cart_token": order.cart,
        "anonymous_id": order.anonymous,
        "created_at": iso(order.created),
        "status": order.status,
        "source_name": order.source,
        "currency": catalogue.CURRENCY[order.customer.person.home.country],
        "gross_amount": money(order.gross),
        "discount_amount": money(order.discount),
        "tax_amount": money(order.tax),
        "shipping_amount": money(order.shipping),
        "refund_amount": money(order.refund),
        "coupon_code": order.coupon,
        "line_items": [
            {
                "line": n,
                "sku": line.product.sku,
                "title": line.product.title,
                "category": line.product.category,
                "quantity": line.quantity,
                "unit_price": money(line.product.price),
                "unit_cost": money(line.product.cost),
                "net_amount": money(line.net),
            }
            for n, line in enumerate(order.lines, start=1)
        ],
    }
