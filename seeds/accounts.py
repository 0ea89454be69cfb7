"""People as one more system knows them: by a name in one text, and an address of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from seeds import newcomers, noise
from seeds.people import AS_OF, Person, moment
from seeds.records import Record


@dataclass(frozen=True)
class Account:
    """A contact record of the app, the support desk or the device maker."""

    source: str
    account_id: str
    record: Record  # another record of the same person, whose address this one has
    name: str
    email: str
    created: datetime
    traps: frozenset[str]

    @property
    def person(self) -> Person:
        return self.record.person


def is_own(record: Record) -> bool:
    """Whether the record's address is read by its person alone."""
    own = {noise.email_key(address) for address in record.person.emails}
    return bool(record.email) and noise.email_key(record.email) in own


def choose(rng: Random, records: Sequence[Record], share: float, form: str) -> list[Account]:
    """Accounts of a share of the people, and of a third of those with names in other scripts.

    `form` is the source's name and the first id, as in `app:A10001`.
    """
    source, _, first_id = form.partition(":")
    by_person: dict[str, list[Record]] = {}
    for record in records:
        if is_own(record) and record.person.kind in ("single", "household"):
            by_person.setdefault(record.person.person_id, []).append(record)
    known = [found for found in by_person.values() if not found[0].person.native]
    foreign = [found for found in by_person.values() if found[0].person.native]
    chosen = rng.sample(known, min(round(len(known) * share), len(known)))
    chosen += rng.sample(foreign, len(foreign) // 3)
    drafts = sorted(
        (_account(rng, source, rng.choice(found)) for found in chosen),
        key=lambda a: (a.created, a.person.person_id),
    )
    number = int(first_id[1:])
    return [
        Account(source, f"{first_id[0]}{n}", a.record, a.name, a.email, a.created, a.traps)
        for n, a in enumerate(drafts, start=number)
    ]


def _account(rng: Random, source: str, record: Record) -> Account:
    person = record.person
    at = moment(rng, record.created, max(person.left, record.created + timedelta(hours=1)))
    at = min(at, AS_OF - timedelta(hours=2))
    if person.native:
        first, last, spelling = newcomers.spelt(rng, person)
        traps = set(spelling)
    else:
        first, last, traps = person.first, person.last_at(at), set[str]()
        short = noise.nickname(rng, first)
        if short and rng.random() < 0.2:
            first = short
            traps.add("nickname")
        if not (first + last).isascii() and rng.random() < 0.3:
            first, last = noise.plain(rng, first), noise.plain(rng, last)
            traps.add("transliterated")
    if person.former_last:
        traps.add("name_change")
    name, email = f"{first} {last}", record.email.lower()
    return Account(source, "", record, name, email, at, frozenset(traps))
