# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""Contact lists and truth labels in each system's own format, as bytes ready to be written."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from seeds import catalogue, places
from seeds.accounts import Account
from seeds.records import Record
from seeds.shop import customer_json

NEWSLETTER = "signed_up_at,email,first_name,last_name,birthday,postcode,country,list".split(",")
CRM = (
    "ContactID;Salutation;Surname;GivenName;Email;Phone;Mobile;Street;City;Postcode;Country;"
    "DateOfBirth;Company;ShopCustomerNo;CreatedOn;ModifiedOn"
).split(";")
CARDS = (
    "card_no,first_name,last_name,phone,email,birth_date,street,city,postcode,country,joined_on,"
    "tier,points,home_store,updated_at"
).split(",")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def gzipped(text: str) -> bytes:
    """Compressed without a time stamp or an operating system: the same archive everywhere
    where zlib is the same, the same content everywhere."""
    archive = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    return archive[:9] + b"\xff" + archive[10:]


def json_array(rows: Iterable[Mapping[str, object]]) -> bytes:
    """A JSON array with one object a line, which is one array all the same."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def newsletter_rows(rng: Random, records: Sequence[Record]) -> list[tuple[Record, list[str]]]:
    """The sign-ups in order of time, a few of them submitted twice to the letter."""
    rows: list[tuple[Record, list[str]]] = []
    for record in records:
        if record.source != "newsletter":
            continue
        fields = [
            f"{record.created:%Y-%m-%d %H:%M:%S}",
            record.email,
            record.first,
            record.last,
            f"{record.born:%m/%d/%Y}" if record.born else "",
            record.postcode,
            record.person.home.country,
            rng.choice(("weekly", "weekly", "offers", "coffee-club")),
        ]
        rows += [(record, fields)] * (2 if rng.random() < 0.0025 else 1)
    return rows


MALFORMED_SIGNUPS = (
    (300, "yesterday,broken1@harbour.example,Ada,Brook,,02139,US,weekly\n"),
    (901, "2026-13-45 99:00:00,broken2@harbour.example,Bo,Lund,,10115,DE,weekly\n"),
    (1502, "2025-11-30 09:00:00,broken3@harbour.example,Cy,Dale,,,GB,weekly,unexpected,fields\n"),
    (2203, "2026-01-15 17:20:00,broken4@harbour.example,Di, Esq., Eames,,75001,FR,weekly\n"),
    (2904, "2026-04-02 08:15:00,broken5@harbour.example\n"),
)


def newsletter(rows: Sequence[tuple[Record, list[str]]]) -> bytes:
    lines = csv_text(NEWSLETTER, (fields for _, fields in rows)).splitlines(keepends=True)
    for at, line in MALFORMED_SIGNUPS:
        lines.insert(min(at, len(lines)), line)
    return "".join(lines).encode()


def signup_id(fields: Sequence[str], seen: Counter[str]) -> str:
    """What loading calls a row without a key: a hash of its content, and which of its kind."""
    digest = hashlib.sha256("\x1f".join(fields).encode()).hexdigest()[:32]
    seen[digest] += 1
    return f"{digest}-{seen[digest]}"


def customers(records: Sequence[Record]) -> bytes:
    return json_array(customer_json(r) for r in records if r.source == "shop")


def crm(rng: Random, records: Sequence[Record]) -> bytes:
    """Semicolons, a BOM, German dates; two names in Latin-1; companies with breaks in them."""
    lines = [("\ufeff" + csv_text(CRM, (), ";")).encode()]
    latin = 2
    for record in records:
        if record.source != "crm":
            continue
        company = record.company
        if company and rng.random() < 0.08:
            company = rng.choice((f"{company}; c/o Purchasing", f"{company}\nAccounts payable"))
        home = record.home
        row = [
            record.record_id,
            rng.choice(("Ms", "Mrs") if record.person.sex == "f" else ("Mr",)),
            record.last,
            record.first,
            record.email,
            record.phone,
            record.mobile,
            record.street,
            home.city if home else "",
            record.postcode,
            rng.choice(places.COUNTRY_NAMES[record.person.home.country]) if home else "",
            f"{record.born:%d.%m.%Y}" if record.born else "",
            company,
            record.shop_no,
            f"{record.created:%d.%m.%Y %H:%M}",
            f"{record.updated:%d.%m.%Y %H:%M}",
        ]
        text = csv_text(row, (), ";")
        in_latin = latin and any(c in record.last for c in "üöéè") and "\n" not in company
        latin -= bool(in_latin)
        lines.append(text.encode("latin-1" if in_latin else "utf-8"))
    return b"".join(lines)


def loyalty_cards(rng: Random, records: Sequence[Record]) -> bytes:
    rows: list[list[object]] = []
    for record in records:
        if record.source != "stores":
            continue
        points = int(rng.random() ** 3 * 4000)
        tier = "gold" if points >= 1500 else "silver" if points >= 500 else "bronze"
        home, country = record.home, record.person.home.country
        rows.append(
            [
                record.record_id,
                record.first,
                record.last,
                record.phone,
                record.email,
                record.born.isoformat() if record.born else "",
                record.street,
                home.city if home else "",
                record.postcode,
                country,
                f"{record.created:%Y-%m-%d}",
                tier,
                points,
                rng.choice(catalogue.STORES[country]),
                f"{record.updated:%Y-%m-%d %H:%M:%S}",
            ]
        )
    return gzipped(csv_text(CARDS, rows))


def truth(
    records: Sequence[Record],
    signups: Sequence[tuple[Record, list[str]]],
    accounts: Sequence[Account],
) -> bytes:
    """One row for each contact record that loading accepts, in order of its key."""
    seen: Counter[str] = Counter()
    keyed = [(record, signup_id(fields, seen)) for record, fields in signups]
    keyed += [(r, r.record_id) for r in records if r.source != "newsletter"]
    rows = [(r.source, key, r.person.person_id, " ".join(sorted(r.traps))) for r, key in keyed]
    rows += [
        (a.source, a.account_id, a.person.person_id, " ".join(sorted(a.traps))) for a in accounts
    ]
    rows.sort()
    header = ("source_system", "source_record_id", "person_id", "traps")
    return csv_text(header, rows).encode()


def exchange_rates() -> bytes:
    """What the finance department keeps: US dollars for one unit of a currency, from a day on."""
    rates = (
        "USD,2000-01-01,1.000000", "EUR,2000-01-01,1.080000", "EUR,2026-01-01,1.100000",
        "GBP,2000-01-01,1.270000", "GBP,2026-01-01,1.300000",
    )  # fmt: skip
    return ("\n".join(("currency,valid_from,usd_rate", *rates)) + "\n").encode()
