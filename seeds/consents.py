# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""Who agreed to what, when, and who took it back: one row a decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random

from seeds import noise
from seeds.exports import csv_text
from seeds.people import AS_OF, moment
from seeds.records import Record
from seeds.shop import iso

COLUMNS = (
    "consent_id,identifier_type,identifier,purpose,channel,status,legal_basis,jurisdiction,"
    "recorded_at"
).split(",")
JURISDICTION = {"US": "US", "GB": "UK-GDPR", "DE": "GDPR", "FR": "GDPR"}
# record kind -> decisions asked for: purpose, channel, how often asked, how often granted
ASKED = {
    "signup": (("marketing", "email", 1.0, 0.93),),
    "login": (("marketing", "email", 0.3, 0.65), ("ads", "ads", 0.2, 0.5)),
    "guest": (("analytics", "web", 0.1, 0.6),),
    "contact": (("marketing", "email", 0.06, 0.8),),
    "card": (("marketing", "sms", 0.2, 0.75), ("marketing", "email", 0.1, 0.8)),
}
Decision = tuple[datetime, str, str, str, str, str, str, str]


def _decisions(rng: Random, record: Record) -> list[Decision]:
    country = record.person.home.country
    result: list[Decision] = []
    for purpose, channel, asked, granted in ASKED[record.kind]:
        kind, value = ("phone", record.phone) if channel == "sms" else ("email", record.email)
        known = value and value not in noise.PLACEHOLDER_EMAILS + noise.PLACEHOLDER_PHONES
        if not known or rng.random() >= asked:
            continue

        def row(
            at: datetime,
            status: str,
            who: str,
            kind: str = kind,
            what: tuple[str, str] = (purpose, channel),
        ) -> Decision:
            basis = "legitimate_interest" if country == "US" and kind == "email" else "consent"
            return (at, kind, who, *what, status, basis, JURISDICTION[country])

        first = "granted" if rng.random() < granted else "denied"
        result.append(row(record.created, first, value))
        if first == "denied" or rng.random() >= 0.09:
            continue
        other = [e for e in record.person.emails if e != value]
        # some write from their other address when they have had enough
        from_other = bool(kind == "email" and other and rng.random() < 0.25)
        withdrawn = moment(rng, record.created, AS_OF)
        result.append(row(withdrawn, "withdrawn", other[0] if from_other else value))
        if not from_other and rng.random() < 0.25:
            result.append(row(moment(rng, withdrawn, AS_OF), "granted", value))
    return result


def consents(rng: Random, records: Sequence[Record]) -> bytes:
    """The register in order of time, its ids `CN000001`..."""
    rows = sorted(decision for record in records for decision in _decisions(rng, record))
    return csv_text(
        COLUMNS,
        ([f"CN{n:06d}", *rest, iso(at)] for n, (at, *rest) in enumerate(rows, start=1)),
    ).encode()
