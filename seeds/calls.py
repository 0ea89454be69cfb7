# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""What happens away from screens and tills: tracked telephone calls, and deals won by sales."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from seeds import noise
from seeds.ads import ON_SEARCH, ON_SOCIAL
from seeds.catalogue import CURRENCY, money
from seeds.exports import csv_text
from seeds.people import AS_OF, moment
from seeds.records import Record

CALLS = (
    "call_id,start_time,duration,customer_phone_number,customer_country,tracking_phone_number,"
    "source_name,campaign_id,answered,voicemail,note"
).split(",")
DEALS = "reference,crm_contact,closed_at,kind,amount,currency,owner".split(",")
# the line of each source, on the 555 numbers of one area
LINES = (
    ("Search ads", "(617) 555-0150", ON_SEARCH[0].campaign_id),
    ("Search ads", "(617) 555-0151", ON_SEARCH[1].campaign_id),
    ("Social ads", "(617) 555-0152", ON_SOCIAL[0].campaign_id),
    ("Website", "(617) 555-0153", ""),
)
NOTES = ("", "", "", "", "asked for opening hours", "gift wrapping 🎁", "réclamation", "Rückruf bitte",
         "wants a quote, has a café", "very happy 😊", "broken cup; replaced")  # fmt: skip


def calls(rng: Random, records: Sequence[Record], count: int) -> bytes:
    """Calls in order of time, most from numbers that some record has, some that hide theirs."""
    callers = [r for r in records if r.phones and r.person.kind != "jr_sr"]
    drafts = []
    for _ in range(count if callers else 0):
        record = rng.choice(callers)
        country = record.person.home.country
        written = noise.national(rng.choice(record.phones), rng.choice((0, 0, 1, 3)))
        end = max(min(record.person.left, AS_OF), record.created + timedelta(hours=1))
        at = moment(rng, record.created, end)
        source, line, campaign = rng.choices(LINES, (30, 25, 10, 35))[0]
        if rng.random() < 0.08:
            written = rng.choice(("Anonymous", ""))
        answered = rng.random() < 0.8
        seconds = int(rng.expovariate(1 / 190)) + 5 if answered else rng.randrange(3, 40)
        voicemail = not answered and rng.random() < 0.5
        note = rng.choice(NOTES) if answered else ""
        drafts.append(
            (f"{at:%Y-%m-%d %H:%M:%S}", seconds, written, country, line, source, campaign,
             str(answered).lower(), str(voicemail).lower(), note)
        )  # fmt: skip
    drafts.sort()
    return csv_text(CALLS, ((f"CAL{n}", *row) for n, row in enumerate(drafts, 310_001))).encode()


def deals(rng: Random, records: Sequence[Record], count: int) -> bytes:
    """Conversions that sales enters by hand, each with the CRM's contact; companies first."""
    contacts = [r for r in records if r.source == "crm"]
    trade = [r for r in contacts if r.company]
    drafts = []
    for n in range(count if contacts else 0):
        record = rng.choice(trade if trade and n % 4 else contacts)
        kind = rng.choice(("trade_contract", "trade_contract", "showroom_order", "workshop"))
        cents = {"trade_contract": 240_000, "showroom_order": 38_000, "workshop": 6_500}[kind]
        at = moment(rng, record.created, AS_OF)
        drafts.append(
            (f"{at:%d/%m/%Y %H:%M}", record.record_id, kind, money(cents * rng.randrange(5, 16) // 10),
             CURRENCY[record.person.home.country], rng.choice(("Zoë", "Łukasz", "María", "Jörg")), at)
        )  # fmt: skip
    drafts.sort(key=lambda row: (row[6], row[1]))
    rows = (
        (f"D-{n}", contact, at, kind, amount, currency, owner)
        for n, (at, contact, kind, amount, currency, owner, _) in enumerate(drafts, start=5001)
    )
    return csv_text(DEALS, rows).encode()
