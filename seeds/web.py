"""The web and app event log: visits, carts and logins on devices, in the Segment event shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from seeds import catalogue
from seeds.people import AS_OF, START, Person, moment
from seeds.records import Record
from seeds.shop import Order
from seeds.tracker import Cart, Device, Tracker, Visit

DAY = timedelta(days=1)
# shares of the size of the company (its number of people)
CONVERTED, LATE, ABANDONED, OPEN, SHARED, FORMS, BROWSING = (
    0.084,
    0.0024,
    0.09,
    0.005,
    0.005,
    0.03,
    0.1,
)


def _late_after(rng: Random, n: int) -> timedelta:
    """How long after the cart was last touched a late order came: exactly a day for the first."""
    return DAY if n == 0 else DAY + timedelta(hours=rng.randrange(1, 90), minutes=7)


def _converted(
    rng: Random, orders: Sequence[Order], count: int, late: int
) -> list[tuple[int, Cart]]:
    """Carts for `count` web and app orders, the first `late` of which were abandoned before."""
    tracked = [
        n
        for n, order in enumerate(orders)
        if order.source != "phone" and order.created > START + timedelta(days=6)
    ]
    rng.shuffle(tracked)
    # a cart touched days before its order needs an account that was there by then
    settled = [n for n in tracked if orders[n].created - orders[n].customer.created > 5 * DAY]
    abandoned = settled[:late]
    recovered = set(abandoned)
    in_time = [n for n in tracked if n not in recovered][: max(count - len(abandoned), 0)]
    result: list[tuple[int, Cart]] = []
    for k, n in enumerate(abandoned + in_time):
        order = orders[n]
        gap = timedelta(seconds=rng.randrange(40, 900))
        if k < len(abandoned):
            gap = _late_after(rng, k)
        elif n in settled and rng.random() < 0.12:
            gap = timedelta(hours=rng.randrange(1, 23), minutes=rng.randrange(60))
        items = tuple((line.product, line.quantity) for line in order.lines)
        cart = Cart(
            f"cart_{n:05d}a", items, order.created - gap, order, checkout=n not in recovered
        )
        result.append((n, cart))
    return result


def _unordered(rng: Random, number: int, last: datetime) -> Cart:
    size = rng.choices((1, 2, 3), (55, 32, 13))[0]
    items = tuple(catalogue.basket(rng, catalogue.products(), size))
    return Cart(f"cart_{number:05d}b", items, last, None, checkout=rng.random() < 0.35)


class Devices:
    """Who owns which device; a person's device is made when it is first asked for."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.known: dict[str, Device] = {}
        self.all: list[Device] = []

    def new(self, country: str, region: str, kind: str | None = None) -> Device:
        kind = kind or self.rng.choices(("desktop", "mobile", "tablet"), (52, 42, 6))[0]
        device = Device(f"{self.rng.getrandbits(48):012x}", kind, country, region)
        self.all.append(device)
        return device

    def of(self, person: Person) -> Device:
        if person.person_id not in self.known:
            self.known[person.person_id] = self.new(person.home.country, person.home.region)
        return self.known[person.person_id]

    def share(self, owners: Sequence[Person]) -> None:
        """From now on these people use one device."""
        device = self.of(owners[0])
        for owner in owners:
            self.known[owner.person_id] = device


def _housemates(logins: Sequence[Record], count: int) -> list[list[Person]]:
    """Households in which two people have logins of their own."""
    homes: dict[str, dict[str, Person]] = {}
    for record in logins:
        person = record.person
        if person.household:
            homes.setdefault(person.household, {})[person.person_id] = person
    pairs = [list(members.values())[:2] for members in homes.values() if len(members) > 1]
    return pairs[:count]


def _edge_times(rng: Random, count: int) -> list[datetime]:
    """Last touches of carts still open: all within a day of `AS_OF`, but one exactly a day old."""
    recent = [AS_OF - timedelta(minutes=rng.randrange(5, 24 * 60 - 5)) for _ in range(count)]
    return [AS_OF - DAY, *recent]


def events(
    rng: Random, people: Sequence[Person], records: Sequence[Record], orders: Sequence[Order]
) -> tuple[list[str], list[Order]]:
    """The log's lines in order of arrival, and the orders with their carts and devices.

    A cart's last activity is its last event with that cart_id other than `Order Completed`, whose
    timestamp is the order's created_at; late orders have no such event (they came by phone, say).
    """
    size = len(people)
    logins = [r for r in records if r.kind == "login"]
    devices = Devices(rng)
    sharing: list[Record] = []
    for owners in _housemates(logins, max(round(size * SHARED), 1)):
        devices.share(owners)
        sharing += [
            r for r in logins if r.person.household == owners[0].household and r.person in owners
        ]
    ordered = list(orders)
    visits: list[Visit] = []

    count, late = round(size * CONVERTED), max(round(size * LATE), 2)
    for n, cart in _converted(rng, orders, count, late):
        person, customer = orders[n].customer.person, orders[n].customer
        if customer.kind == "guest":
            device = devices.new(person.home.country, person.home.region)
        else:
            device = devices.of(person)
        if orders[n].source in ("ios", "android"):
            device = replace(device, kind="mobile")
        visits.append(Visit(cart.last_activity, device, customer, cart))
        ordered[n] = replace(orders[n], cart=cart.cart_id, anonymous=device.anonymous_id)

    def visitor(at: datetime) -> tuple[Device, Record | None]:
        """Somebody with a login who was about at that time, or nobody we know."""
        for _ in range(60):
            record = rng.choice(logins) if logins else None
            if not record or rng.random() < 0.01:
                break
            if record.created + timedelta(hours=1) < at < record.person.left:
                return devices.of(record.person), record
        country = rng.choice(("US", "US", "GB", "DE", "FR"))
        return devices.new(country, ""), None

    times = [moment(rng, START, AS_OF - 2 * DAY) for _ in range(round(size * ABANDONED))]
    for number, at in enumerate(times + _edge_times(rng, round(size * OPEN)), start=1):
        device, record = visitor(at) if rng.random() < 0.78 else (devices.new("US", ""), None)
        visits.append(Visit(at, device, record, _unordered(rng, number, at)))
    for _ in range(round(size * BROWSING)):
        at = moment(rng, START, AS_OF)
        device, record = visitor(at) if rng.random() < 0.6 else (rng.choice(devices.all), None)
        visits.append(Visit(at, device, record, None))
    signups = [r for r in records if r.kind == "signup" and not r.person.household]
    for record in sharing * 3:
        at = moment(rng, record.created, AS_OF)
        visits.append(Visit(at, devices.of(record.person), record, None))
    chosen = rng.sample(signups, min(round(size * FORMS), len(signups)))
    visits += [Visit(r.created, devices.of(r.person), r, None) for r in chosen]

    # an order without a tracked cart may still come from a device that we know
    for index, order in enumerate(ordered):
        if order.anonymous is None and order.source == "web" and order.customer.kind == "login":
            known = devices.known.get(order.customer.person.person_id)
            ordered[index] = replace(order, anonymous=known.anonymous_id if known else None)
    return Tracker(rng).log(visits), ordered
