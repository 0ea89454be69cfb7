"""The committed sample: reproducible, consistent, and as hard as it claims to be."""

from __future__ import annotations

import gzip
import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Hashable, Iterable
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from seeds.generate import COMPANY, SEED, build

AS_OF = datetime(2026, 7, 1)
DAY = timedelta(days=1)


def is_timestamp(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return True


def accepted_signups(company):
    return [row for row in company.signups if is_timestamp(row["signed_up_at"])]


def dump_of(database: bytes) -> list[str]:
    """What is in an SQLite file; its pages may differ between SQLite's versions."""
    with closing(sqlite3.connect(":memory:")) as con:
        con.deserialize(database)
        return list(con.iterdump())


def test_the_committed_files_are_what_the_generator_writes():
    built = build(SEED, 5000)
    committed = {p.relative_to(COMPANY).as_posix() for p in COMPANY.rglob("*") if p.is_file()}
    assert committed == set(built)
    for name, content in built.items():
        on_disk = (COMPANY / name).read_bytes()
        if name.endswith(".gz"):
            assert gzip.decompress(on_disk) == gzip.decompress(content), name
        elif name.endswith(".sqlite"):
            assert dump_of(on_disk) == dump_of(content), name
        else:
            assert on_disk == content, name


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_company_of_any_size_can_be_made_and_another_seed_makes_another(count):
    assert build(1, count)["truth/contacts.csv"] != build(2, count)["truth/contacts.csv"]


def test_truth_has_each_accepted_contact_once(company):
    keys = [("shop", str(c["id"])) for c in company.customers]
    keys += [("crm", row["ContactID"]) for row in company.contacts]
    keys += [("stores", row["card_no"]) for row in company.cards]
    keys += [("app", row["account_id"]) for row in company.app_accounts]
    keys += [("support", who) for who in {t["requester"]["id"] for t in company.tickets}]
    keys += [("device", row["owner_id"]) for row in company.registrations]
    seen: Counter[str] = Counter()
    for row in accepted_signups(company):
        digest = hashlib.sha256("\x1f".join(row.values()).encode()).hexdigest()[:32]
        seen[digest] += 1
        keys.append(("newsletter", f"{digest}-{seen[digest]}"))
    truth = Counter((row["source_system"], row["source_record_id"]) for row in company.truth)
    assert truth == Counter(keys)
    assert max(truth.values()) == 1
    assert max(seen.values()) > 1, "some sign-up was submitted twice"
    assert len({row["person_id"] for row in company.truth}) == 5080


def test_malformed_input_is_there(company):
    lines = (COMPANY / "newsletter/signups.csv").read_text().count("\n") - 1
    assert lines - len(accepted_signups(company)) == 5
    crm = (COMPANY / "crm/contacts.csv").read_bytes()
    assert crm.startswith(b"\xef\xbb\xbf")
    latin = 0
    for line in crm.split(b"\n"):
        try:
            line.decode()
        except UnicodeDecodeError:
            latin += 1
    assert latin == 2
    companies = [row["Company"] for row in company.contacts]
    assert any("\n" in c for c in companies)
    assert any(";" in c for c in companies)
    assert company.broken_events == 4
    ids = Counter(event["messageId"] for event in company.events)
    assert sum(n - 1 for n in ids.values()) == 12


def pairs(groups: Iterable[Hashable]) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(groups).values())


def contact_points(company, plain: bool):
    """(source, id) -> emails and phones, as they stand or with case and punctuation removed."""

    def value(text: str | None) -> str:
        if not text or not plain:
            return text or ""
        if "@" in text:
            return text.lower()
        return re.sub(r"\D", "", text.replace("(0)", "").split("ext")[0]).lstrip("0")[-9:]

    found = {}
    seen: Counter[str] = Counter()
    for row in accepted_signups(company):
        digest = hashlib.sha256("\x1f".join(row.values()).encode()).hexdigest()[:32]
        seen[digest] += 1
        found["newsletter", f"{digest}-{seen[digest]}"] = [value(row["email"])]
    for row in company.customers:
        found["shop", row["id"]] = [value(row["email"]), value(row["phone"])]
    for row in company.contacts:
        points = [value(row["Email"]), value(row["Phone"]), value(row["Mobile"])]
        found["crm", row["ContactID"]] = points
    for row in company.cards:
        found["stores", row["card_no"]] = [value(row["email"]), value(row["phone"])]
    for row in company.app_accounts:
        found["app", row["account_id"]] = [value(row["email"])]
    for ticket in company.tickets:
        who = ticket["requester"]
        found.setdefault(("support", who["id"]), []).extend(
            [value(who["email"]), value(who["phone"])]
        )
    for row in company.registrations:
        found["device", row["owner_id"]] = [value(row["owner"]["email"])]
    return found


@pytest.mark.parametrize("plain", [False, True])
def test_uniting_all_who_share_an_email_or_a_phone_is_not_enough(company, plain):
    people = {(r["source_system"], r["source_record_id"]): r["person_id"] for r in company.truth}
    parent = {key: key for key in people}

    def root(key):
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    first: dict[str, tuple[str, str]] = {}
    for key, points in contact_points(company, plain).items():
        for point in filter(None, points):
            parent[root(key)] = root(first.setdefault(point, key))
    both = pairs((root(key), person) for key, person in people.items())
    precision = both / pairs(root(key) for key in people)
    recall = both / pairs(people.values())
    f1 = 2 * precision * recall / (precision + recall)
    assert 0.5 < f1 < 0.8, (precision, recall, f1)
    assert recall > 0.4, "contact points must mean something all the same"


def test_a_person_is_rarely_beyond_finding(company):
    thin = {row["person_id"] for row in company.truth if "thin" in row["traps"].split()}
    assert len(thin) < 0.03 * 5000


def test_every_kind_of_trap_occurs(company):
    traps = Counter(label for row in company.truth for label in row["traps"].split())
    rare = {"wrong_shop_no": 2, "kiosk_phone": 10}
    labels = """shared_email shared_phone role_email placeholder twin jr_sr name_change nickname
    initial typo swapped transliterated email_case gmail_dots plus_tag dob_swapped moved
    wrong_shop_no kiosk_phone native_script"""
    for label in labels.split():
        assert traps[label] >= rare.get(label, 20), label


def test_a_verified_address_belongs_to_one_person(company):
    people = {r["source_record_id"]: r["person_id"] for r in company.truth}
    owners: dict[str, set[str]] = {}
    logins: Counter[str] = Counter()
    for row in company.customers:
        if row["email_verified"]:
            owners.setdefault(row["email"], set()).add(people[row["id"]])
            logins[row["email"]] += 1
    assert all(len(who) == 1 for who in owners.values())
    assert max(logins.values()) > 1, "some people have two logins with one address"


def test_orders_add_up(company):
    assert len({order["id"] for order in company.orders}) == len(company.orders) > 5000
    customers = {row["id"]: row for row in company.customers}
    for order in company.orders:
        gross, discount, refund = (
            Decimal(order[f"{name}_amount"]) for name in ("gross", "discount", "refund")
        )
        lines = order["line_items"]
        assert gross == sum(Decimal(i["unit_price"]) * i["quantity"] for i in lines)
        assert gross - discount == sum(Decimal(i["net_amount"]) for i in lines)
        assert all(Decimal(i["net_amount"]) >= 0 for i in lines)
        assert [i["line"] for i in lines] == list(range(1, len(lines) + 1))
        expected = {"paid": refund == 0, "partially_refunded": 0 < refund < gross - discount}
        assert expected.get(order["status"], refund == gross - discount), order["id"]
        assert customers[order["customer_id"]]["created_at"] <= order["created_at"]
        assert order["created_at"] < "2026-07-01"


def test_receipts_name_cards_that_exist(company):
    cards = {row["card_no"]: row["joined_on"] for row in company.cards}
    named = [row for row in company.receipts if row["loyalty_card"]]
    assert 0.5 < len(named) / len(company.receipts) < 0.7
    for row in named:
        assert cards[row["loyalty_card"]] <= row["sold_at"][:10]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z"))


def test_carts_end_in_every_way(company):
    last: dict[str, datetime] = {}
    for event in company.events:
        cart = event["properties"].get("cart_id")
        if cart and event.get("event") != "Order Completed":
            last[cart] = max(last.get(cart, datetime.min), at(event["timestamp"]))
    ordered = {o["cart_token"]: at(o["created_at"]) for o in company.orders if o["cart_token"]}
    assert set(ordered) <= set(last)
    waits = {cart: ordered[cart] - last[cart] for cart in ordered}
    in_time = [cart for cart, wait in waits.items() if timedelta(0) <= wait < DAY]
    late = [cart for cart, wait in waits.items() if wait > DAY]
    exact = [cart for cart, wait in waits.items() if wait == DAY]
    alone = [cart for cart in last if cart not in ordered]
    still_open = [cart for cart in alone if last[cart] > AS_OF - DAY]
    assert (len(exact), len(in_time) + len(late) + 1) == (1, len(ordered))
    assert len(in_time) > 350
    assert len(late) > 8
    assert len(still_open) > 15
    assert len(alone) - len(still_open) > 350
    assert [cart for cart in alone if last[cart] == AS_OF - DAY] != []


def test_events_name_what_exists(company):
    customers = {row["id"]: row for row in company.customers}
    orders = {order["id"]: order for order in company.orders}
    users: dict[str, set[str]] = {}
    for event in company.events:
        assert at(event["timestamp"]) <= at(event["receivedAt"]) < AS_OF
        if event["userId"]:
            assert at(customers[event["userId"]]["created_at"]) <= at(event["timestamp"])
            users.setdefault(event["anonymousId"], set()).add(event["userId"])
        if event.get("event") == "Order Completed":
            order = orders[event["properties"]["order_id"]]
            assert order["cart_token"] == event["properties"]["cart_id"]
            assert order["anonymous_id"] == event["anonymousId"]
            assert at(order["created_at"]) == at(event["timestamp"])
    shared = [who for who in users.values() if len(who) > 1]
    assert len(shared) >= 5, "some devices are shared"
    emails = [e for e in company.events if not e["userId"] and e.get("traits", {}).get("email")]
    assert len(emails) > 50, "some visitors left an email without logging in"


def test_consents_have_histories(company):
    by_who: dict[tuple[str, str, str], list[str]] = {}
    for row in company.consents:
        key = (row["identifier"], row["purpose"], row["channel"])
        by_who.setdefault(key, []).append(row["status"])
    histories = Counter(tuple(h) for h in by_who.values())
    assert histories["granted", "withdrawn"] > 50
    assert histories["granted", "withdrawn", "granted"] > 10
    assert histories["withdrawn",] >= 1, "some withdraw with another address than they granted by"
    recorded = [row["recorded_at"] for row in company.consents]
    assert recorded == sorted(recorded)
    assert recorded[-1] < "2026-07-01"
