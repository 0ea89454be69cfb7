"""Writes visits as events: what Segment's libraries would send while somebody looks around."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from seeds import catalogue
from seeds.catalogue import Product, money
from seeds.people import AS_OF
from seeds.records import Record
from seeds.shop import Order

SITE = "https://harbourandpine.example"
LOCALES = {"US": "en-US", "GB": "en-GB", "DE": "de-DE", "FR": "fr-FR"}
# referrer, and the campaign with which the landing page was called
ARRIVALS: tuple[tuple[str, tuple[str, str, str] | None], ...] = (
    ("", None),
    ("", None),
    ("https://www.google.com/", None),
    ("https://www.google.com/", ("google", "cpc", "brand")),
    ("https://www.google.com/", ("google", "cpc", "coffee-generic")),
    ("https://www.facebook.com/", ("facebook", "paid_social", "spring-home")),
    ("https://www.instagram.com/", ("instagram", "paid_social", "spring-home")),
    ("", ("newsletter", "email", "weekly")),
    ("https://www.bing.com/", None),
)
Properties = dict[str, object]


@dataclass(frozen=True)
class Cart:
    """One cart: what is in it, when it was last touched, and the order it became, if any."""

    cart_id: str
    items: tuple[tuple[Product, int], ...]
    last_activity: datetime
    order: Order | None = None
    checkout: bool = False


@dataclass(frozen=True)
class Device:
    anonymous_id: str
    kind: str
    country: str
    region: str


@dataclass(frozen=True)
class Visit:
    """A visit to the shop; `at` is when its cart, if any, was last touched, else when it began.

    `record` is who it was: a login, a guest, a newsletter sign-up, or nobody we know.
    """

    at: datetime
    device: Device
    record: Record | None
    cart: Cart | None


@dataclass(frozen=True)
class Step:
    kind: str  # page | screen | identify | track
    name: str
    properties: Properties
    path: str = "/"


def _item(product: Product, quantity: int) -> Properties:
    return {
        "product_id": product.sku,
        "sku": product.sku,
        "name": product.title,
        "category": product.category,
        "price": product.price / 100,
        "quantity": quantity,
    }


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


class Tracker:
    """Turns visits into lines. State: who is logged in on which device, and the message count."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.logged_in: dict[str, str] = {}
        self.lines: list[tuple[datetime, str]] = []
        self.messages = 0

    def log(self, visits: Sequence[Visit]) -> list[str]:
        """All visits as lines, in order of arrival, with 12 sent twice and 4 cut short."""
        for visit in sorted(visits, key=lambda v: (v.at, v.device.anonymous_id)):
            self._visit(visit)
        self.lines.sort()
        lines = [line for _, line in self.lines]
        whole = len(lines)
        repeated = self.rng.sample(range(whole), min(12, whole // 8))
        cut = self.rng.sample(range(whole), min(4, whole // 8))
        inserted = [(n + self.rng.randrange(1, 40), lines[n]) for n in repeated]
        inserted += [(n, lines[n][: len(lines[n]) * 2 // 3]) for n in cut]
        for at, line in sorted(inserted, reverse=True):
            lines.insert(min(at, len(lines)), line)
        return lines

    def _visit(self, visit: Visit) -> None:
        browse = self._look(2 if visit.cart else 3, visit)
        record, cart, device = visit.record, visit.cart, visit.device
        steps, who = browse, self.logged_in.get(device.anonymous_id)
        if record and record.kind == "login":
            other = who is not None and who != record.record_id
            buys = cart is not None and cart.order is not None
            # a housemate logs in with an own account; others do when they buy, or by chance
            likely = 0.65 if cart else 0.3
            if other or (who is None and (buys or self.rng.random() < likely)):
                name: Properties = {"firstName": record.first, "lastName": record.last}
                name["email"] = record.email
                self.logged_in[device.anonymous_id] = record.record_id
                at = 0 if other else 1
                steps = [*browse[:at], Step("identify", record.record_id, name), *browse[at:]]
        elif record and record.kind == "signup":
            steps.append(Step("identify", "", {"email": record.email}, "/newsletter"))
        if cart:
            steps = steps + self._cart(cart)
            bought_by = cart.order and cart.order.customer
            if bought_by and bought_by.kind == "guest" and bought_by.email and cart.checkout:
                # typed in at checkout: from here on the device is known by an email
                steps.insert(-1, Step("identify", "", {"email": bought_by.email}, "/checkout"))
        self._send(visit, steps, who)

    def _look(self, most: int, visit: Visit) -> list[Step]:
        """A landing page, perhaps a search, and some products."""
        kind = "screen" if self._in_app(visit) else "page"
        landing = self.rng.choice(("/", "/", "/collections/coffee", "/collections/home"))
        steps = [Step(kind, "Home" if landing == "/" else "Collection", {}, landing)]
        if self.rng.random() < 0.22:
            query = self.rng.choice(("mug", "espresso", "kettle", "throw", "gift", "decaf"))
            steps.append(Step("track", "Products Searched", {"query": query}, "/search"))
        products = catalogue.products()
        for _ in range(self.rng.randrange(0 if visit.cart else 1, most)):
            product = self.rng.choice(products)
            path = f"/products/{product.sku.lower()}"
            steps.append(Step("track", "Product Viewed", _item(product, 1), path))
        return steps

    def _cart(self, cart: Cart) -> list[Step]:
        steps: list[Step] = []
        for product, quantity in cart.items:
            path = f"/products/{product.sku.lower()}"
            if self.rng.random() < 0.5:
                steps.append(Step("track", "Product Viewed", _item(product, 1), path))
            added = {"cart_id": cart.cart_id, **_item(product, quantity)}
            steps.append(Step("track", "Product Added", added, path))
        if not cart.order and self.rng.random() < 0.2:
            product, quantity = self.rng.choice(cart.items)
            removed = {"cart_id": cart.cart_id, **_item(product, quantity)}
            if len(cart.items) > 1:
                steps.append(Step("track", "Product Removed", removed, "/cart"))
        if self.rng.random() < 0.5:
            steps.append(Step("track", "Cart Viewed", {"cart_id": cart.cart_id}, "/cart"))
        if cart.checkout:
            value = sum(p.price * q for p, q in cart.items) / 100
            started: Properties = {"cart_id": cart.cart_id, "value": value}
            steps.append(Step("track", "Checkout Started", started, "/checkout"))
        return steps

    def _in_app(self, visit: Visit) -> bool:
        order = visit.cart.order if visit.cart else None
        return bool(order and order.source in ("ios", "android"))

    def _send(self, visit: Visit, steps: list[Step], who: str | None) -> None:
        """Place steps in time, the last of a cart's at exactly `visit.at`, and write them."""
        gaps = [timedelta(milliseconds=self.rng.randrange(3_000, 95_000)) for _ in steps]
        start = visit.at - sum(gaps[:-1], timedelta()) if visit.cart else visit.at
        times = [start + sum(gaps[:n], timedelta()) for n in range(len(steps))]
        arrival = self.rng.choice(ARRIVALS)
        for n, (at, step) in enumerate(zip(times, steps, strict=True)):
            if step.kind == "identify" and step.name:
                who = step.name
            self._line(visit, step, at, who, arrival if n == 0 else None)
        order = visit.cart.order if visit.cart and visit.cart.checkout else None
        if visit.cart and order:
            currency = catalogue.CURRENCY[order.customer.person.home.country]
            done: Properties = {
                "order_id": order.order_id,
                "cart_id": visit.cart.cart_id,
                "total": float(money(order.total)),
                "revenue": float(money(order.gross - order.discount)),
                "currency": currency,
                "products": [_item(line.product, line.quantity) for line in order.lines],
            }
            step = Step("track", "Order Completed", done, "/checkout/thank-you")
            self._line(visit, step, order.created, who, None)

    def _line(
        self,
        visit: Visit,
        step: Step,
        at: datetime,
        who: str | None,
        arrival: tuple[str, tuple[str, str, str] | None] | None,
    ) -> None:
        if at >= AS_OF:
            return
        self.messages += 1
        delay = timedelta(milliseconds=self.rng.randrange(90, 2_500))
        if self.rng.random() < 0.015:
            delay = timedelta(minutes=self.rng.randrange(30, 4_000))
        received = min(at + delay, AS_OF - timedelta(milliseconds=1))
        app, device = self._in_app(visit), visit.device
        properties = step.properties
        if "price" in properties:
            properties = {**properties, "currency": catalogue.CURRENCY[device.country]}
        page: Properties = {"url": SITE + step.path, "path": step.path}
        if arrival and arrival[0]:
            page["referrer"] = arrival[0]
        context: Properties = {} if app else {"page": page}
        if arrival and arrival[1]:
            context["campaign"] = dict(zip(("source", "medium", "name"), arrival[1], strict=True))
        context |= {"device": {"type": device.kind}, "locale": LOCALES[device.country]}
        context["location"] = {"country": device.country}
        if device.region:
            context["location"] = {"country": device.country, "region": device.region}
        event: Properties = {"messageId": f"m{self.messages:06d}-{self.rng.getrandbits(24):06x}"}
        event["type"] = step.kind
        if step.kind == "track":
            event["event"] = step.name
        elif step.kind != "identify":
            event["name"] = step.name
        event |= {
            "anonymousId": device.anonymous_id,
            "userId": who,
            "timestamp": iso(at),
            "receivedAt": iso(received),
            "context": context,
            "properties": properties if step.kind != "identify" else {},
        }
        if step.kind == "identify":
            event["traits"] = step.properties
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        self.lines.append((received, line))
