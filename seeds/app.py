"""The app's own database: accounts and what they bought inside the app, as SQLite keeps them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from seeds import catalogue
from seeds.accounts import Account
from seeds.people import AS_OF, moment

SCHEMA = """
create table accounts (
    account_id text primary key, display_name text, email text, email_confirmed integer,
    shop_customer_id text, country text, created_at text not null, updated_at text
);
create table purchases (
    purchase_id text primary key, account_id text not null references accounts,
    product_code text not null, product_title text, category text, quantity integer not null,
    price_minor integer not null, currency text not null, store text not null,
    purchased_at text not null, refunded_at text
);
"""
# code, title, category, price in cents; weights below
OFFERS = (
    ("APP-REFILL-S", "Refill plan, 1 month", "Subscription", 1490),
    ("APP-REFILL-Y", "Refill plan, 1 year", "Subscription", 14900),
    ("APP-LATTE-ART", "Latte art course ☕", "Courses", 1990),
    ("APP-BREW-101", "Brewing course", "Courses", 990),
    ("APP-GIFT", "Digital gift card 🎁", "Gifts", 2500),
)


def database(rng: Random, accounts: Sequence[Account]) -> bytes:
    """The database file. SQLite's own version in its header is blanked, so that it does not
    depend on who writes it."""
    people, purchases = [], []
    for account in accounts:
        country = account.person.home.country
        login = account.record.record_id if account.record.kind == "login" else None
        shop_id = login if rng.random() < 0.6 else None
        created = f"{account.created:%Y-%m-%d %H:%M:%S}"
        confirmed = int(rng.random() < 0.8)
        people.append(
            (account.account_id, account.name, account.email, confirmed, shop_id, country, created,
             created)
        )  # fmt: skip
        end = max(min(account.person.left, AS_OF), account.created + timedelta(hours=1))
        for _ in range(rng.choices((0, 1, 2, 4), (25, 40, 25, 10))[0]):
            code, title, category, price = rng.choices(OFFERS, (45, 5, 20, 22, 8))[0]
            at = moment(rng, account.created, end)
            refunded = min(at + timedelta(days=rng.randrange(1, 9)), AS_OF - timedelta(hours=1))
            purchases.append(
                (at, account.account_id, code, title, category, 2 if rng.random() < 0.04 else 1,
                 price, catalogue.CURRENCY[country], rng.choice(("ios", "ios", "android")),
                 f"{refunded:%Y-%m-%d %H:%M:%S}" if rng.random() < 0.05 and refunded > at else None)
            )  # fmt: skip
    purchases.sort(key=lambda row: row[:3])
    with sqlite3.connect(":memory:") as con:
        con.executescript(SCHEMA)
        con.executemany("insert into accounts values (?, ?, ?, ?, ?, ?, ?, ?)", people)
        con.executemany(
            "insert into purchases values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (f"IAP-{n}", *row[1:9], f"{row[0]:%Y-%m-%d %H:%M:%S}", row[9])
                for n, row in enumerate(purchases, start=700_001)
            ),
        )
        con.commit()
        con.execute("vacuum")
        content = con.serialize()
    con.close()
    return content[:96] + b"\0\0\0\0" + content[100:]
