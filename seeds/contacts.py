"""Contact records: each person as up to four systems know them, with the usual trouble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from seeds import evidence, noise
from seeds.people import AS_OF, Person, Phone, moment
from seeds.records import Record

SOURCE = {
    "signup": "newsletter",
    "login": "shop",
    "guest": "shop",
    "contact": "crm",
    "card": "stores",
}
# how often a kind of record has a field at all: email, phone, birth date, address
PRESENT = {
    "signup": (1.0, 0.0, 0.3, 0.5),
    "login": (1.0, 0.68, 0.4, 0.8),
    "guest": (0.97, 0.6, 0.0, 0.96),
    "contact": (0.76, 0.6, 0.62, 0.88),
    "card": (0.6, 0.82, 0.75, 0.75),
}
HOUSE_STYLE = {"login": 6, "guest": 0, "contact": 2, "card": 1}
NICKNAMED = {"signup": 0.3, "login": 0.14, "guest": 0.12, "contact": 0.06, "card": 0.16}


@dataclass(frozen=True)
class Shared:
    """Values that many people's records carry: the numbers of the stores' own telephones."""

    kiosks: dict[str, tuple[Phone, ...]]


def _name(rng: Random, person: Person, kind: str, at: datetime) -> tuple[str, str, set[str]]:
    first, last, traps = person.first, person.last_at(at), set[str]()
    alone = person.household is None
    if person.former_last:
        traps.add("name_change")
    short = noise.nickname(rng, first)
    if short and rng.random() < NICKNAMED[kind]:
        first = short
        traps.add("nickname")
    elif alone and rng.random() < 0.02:
        first = first[0] + rng.choice(("", "."))
        traps.add("initial")
    if rng.random() < 0.5 and not (first + last).isascii():
        first, last = noise.plain(rng, first), noise.plain(rng, last)
        traps.add("transliterated")
    if rng.random() < 0.025 and len(first) > 3:
        first = noise.typo(rng, first)
        traps.add("typo")
    if rng.random() < 0.04 and len(last) > 3:
        last = noise.typo(rng, last)
        traps.add("typo")
    if person.suffix and rng.random() < 0.4:
        last = f"{last} {person.suffix}"
    if rng.random() < 0.012:
        first, last = last, first
        traps.add("swapped")
    if rng.random() < 0.05:
        case = str.lower if kind in ("signup", "guest") else str.upper
        first, last = case(first), case(last)
        traps.add("name_case")
    if kind == "signup" and alone and rng.random() < 0.2:
        first, last = rng.choice((("", ""), (first, ""), (first, "")))
        traps.add("no_name")
    return first, last, traps


def _email(rng: Random, person: Person, kind: str) -> tuple[str, set[str]]:
    roll = rng.random()
    if person.family_email and kind != "login" and roll < 0.45:
        return person.family_email, {"shared_email"}
    if person.role_email and kind in ("contact", "guest") and roll < 0.7:
        return person.role_email, {"role_email"}
    if kind in ("contact", "card", "guest") and person.household is None and roll < 0.0085:
        return rng.choice(noise.PLACEHOLDER_EMAILS), {"placeholder"}
    second = len(person.emails) > 1 and rng.random() < (0.15 if kind == "login" else 0.4)
    address = person.emails[1 if second else 0]
    traps = {"second_email"} if second else set[str]()
    if kind != "login" and rng.random() < 0.22:
        address, how = noise.email(rng, address)
        traps.add(how)
    return address, traps


def _phone(
    rng: Random, person: Person, kind: str, shared: Shared
) -> tuple[str, tuple[Phone, ...], set[str]]:
    style = HOUSE_STYLE[kind]
    if kind in ("contact", "card") and person.household is None:
        roll = rng.random()
        if roll < 0.007:
            return rng.choice(noise.PLACEHOLDER_PHONES), (), {"placeholder"}
        if kind == "card" and roll < 0.019:
            number = rng.choice(shared.kiosks[person.home.country])
            return noise.phone(rng, number, style), (number,), {"kiosk_phone"}
    home_line = person.landline is not None and rng.random() < 0.5
    chosen = person.landline if home_line or person.mobile is None else person.mobile
    if chosen is None:
        return "", (), set()
    traps = {"shared_phone"} if person.household and chosen == person.landline else set[str]()
    return noise.phone(rng, chosen, style), (chosen,), traps


def _born(rng: Random, person: Person, kind: str) -> tuple[date, set[str]]:
    if kind in ("contact", "card") and rng.random() < 0.035:
        return rng.choice(noise.PLACEHOLDER_BIRTHS), {"placeholder", "dob_placeholder"}
    if rng.random() < 0.035 and person.kind == "single":
        born, how = noise.birth(rng, person.born)
        return born, {how}
    return person.born, set()


def _draft(rng: Random, person: Person, kind: str, shared: Shared, at: datetime) -> Record:
    first, last, traps = _name(rng, person, kind, at)
    has_email, has_phone, has_birth, has_home = (rng.random() < p for p in PRESENT[kind])
    email, phone, mobile = "", "", ""
    numbers: tuple[Phone, ...] = ()
    if has_email:
        email, found = _email(rng, person, kind)
        traps |= found
    if has_phone:
        phone, numbers, found = _phone(rng, person, kind, shared)
        traps |= found
    if kind == "contact" and person.mobile and rng.random() < 0.5:
        mobile, numbers = noise.phone(rng, person.mobile, 2), (*numbers, person.mobile)
    born: date | None = None
    # Jr and Sr share everything else, so that no record of theirs is without a birth date
    if has_birth or (person.kind == "jr_sr" and kind != "guest"):
        born, found = _born(rng, person, kind)
        traps |= found
    home = person.home_at(at) if has_home else None
    street, postcode = (home.street, home.postcode) if home else ("", "")
    if home and kind != "signup" and rng.random() < 0.25:
        street = noise.street(rng, street)
    if home and rng.random() < 0.06:
        postcode = noise.postcode(rng, postcode, home.country)
        traps.add("postcode_format")
    if person.former_home and at < (person.moved_at or at):
        traps.add("moved")
    if person.kind in ("twin", "jr_sr"):
        traps.add(person.kind)
    later = moment(rng, at, AS_OF) if rng.random() < 0.3 else at + timedelta(seconds=40)
    return Record(
        source=SOURCE[kind],
        kind=kind,
        person=person,
        created=at,
        updated=min(later, AS_OF - timedelta(seconds=1)),
        first=first,
        last=last,
        email=email,
        phone=phone,
        mobile=mobile,
        phones=numbers,
        born=born,
        home=home,
        street=street,
        postcode=postcode,
        company=person.company or "" if kind == "contact" else "",
        traps=frozenset(traps),
    )


def kinds_of(rng: Random, person: Person) -> list[str]:
    """Which records a person has; never none."""
    kinds: list[str] = []
    if rng.random() < 0.61:
        kinds += ["signup"] * rng.choices((1, 2), (87, 13))[0]
    if rng.random() < 0.5:
        kinds += ["login"] * rng.choices((1, 2), (97, 3))[0]
    if rng.random() < 0.235:
        kinds += ["guest"] * rng.choices((1, 2, 3, 4), (50, 28, 14, 8))[0]
    if rng.random() < 0.7 or person.company:
        kinds += ["contact"] * rng.choices((1, 2, 3), (85, 13, 2))[0]
    if rng.random() < 0.53:
        kinds += ["card"] * rng.choices((1, 2), (95, 5))[0]
    return kinds or [rng.choice(("signup", "guest", "contact", "card"))]


def _unmistakable(record: Record, personal: frozenset[str]) -> bool:
    """Whether nobody could take the record for one of somebody else in the household."""
    person = record.person
    own = {noise.email_key(record.email), *(n.key for n in record.phones)} & personal
    if person.kind == "jr_sr" and not own:
        return record.born == person.born or record.last.endswith(person.suffix)
    return bool(own or (record.first and record.last))


def of_person(rng: Random, person: Person, shared: Shared) -> list[Record]:
    """A person's records, redrawn where nothing connects one to the rest (most of the time)."""
    own = {noise.email_key(e) for e in person.emails}
    own |= {p.key for p in (person.mobile, None if person.household else person.landline) if p}
    personal = frozenset(own)

    def draw(kind: str) -> Record:
        while True:
            at = moment(rng, person.joined, person.left)
            record = _draft(rng, person, kind, shared, at)
            if _unmistakable(record, personal):
                return record

    records = [draw(kind) for kind in kinds_of(rng, person)]
    for _ in range(8):
        groups = evidence.components(records, lambda a, b: evidence.linked(a, b, personal))
        if len(groups) == 1:
            return records
        for i in (i for group in groups[1:] for i in group):
            if rng.random() < 0.12:  # life is not always fair
                return [
                    replace(r, traps=r.traps | {"thin"}) if r is records[i] else r for r in records
                ]
            records[i] = draw(records[i].kind)
    return records


def generate(rng: Random, people: tuple[Person, ...]) -> list[Record]:
    """All records of all people with their systems' ids, in order of creation.

    Ids: shop `C100001`..., CRM `K-20001`..., cards `HP70000001`...; the newsletter has none yet.
    """
    shared = Shared({c: tuple(Phone(c, *parts) for parts in KIOSKS[c]) for c in KIOSKS})
    records = [record for person in people for record in of_person(rng, person, shared)]
    records.sort(key=lambda r: (r.created, r.person.person_id, r.kind))
    records = list(numbered(records))
    records = list(_verified(rng, records))
    return _cross_referenced(rng, records)


# the telephone on the counter, typed in when a customer has none at hand
KIOSKS = {
    "US": (
        ("617", "5550199"),
        ("503", "5550188"),
        ("312", "5550177"),
    ),
    "GB": (("117", "4960999"), ("131", "4960998")),
    "DE": (("30", "23125999"), ("40", "66969999")),
    "FR": (("1", "99000199"),),
}


def numbered(records: Sequence[Record], before: Sequence[Record] = ()) -> Iterator[Record]:
    """The records with the ids that their systems give next, after those of `before`."""
    counts = {"shop": 100_000, "crm": 20_000, "stores": 70_000_000, "newsletter": 0}
    forms = {"shop": "C{}", "crm": "K-{}", "stores": "HP{}", "newsletter": ""}
    for record in before:
        counts[record.source] += 1
    for record in records:
        counts[record.source] += 1
        yield replace(record, record_id=forms[record.source].format(counts[record.source]))


def _verified(rng: Random, records: list[Record]) -> Iterator[Record]:
    """Most logins have a verified address, and an address is verified for one person only."""
    owners: dict[str, str] = {}
    for record in records:
        owner = owners.get(noise.email_key(record.email), record.person.person_id)
        mine = owner == record.person.person_id and record.email in record.person.emails
        verified = record.kind == "login" and mine and rng.random() < 0.85
        if verified:
            owners[noise.email_key(record.email)] = owner
        yield replace(record, verified=verified)


def _cross_referenced(rng: Random, records: list[Record]) -> list[Record]:
    """Write shop customer numbers into CRM records, a few of them of somebody else at home."""
    logins: dict[str, str] = {}
    homes: dict[str, list[tuple[str, str]]] = {}
    for record in records:
        if record.kind == "login":
            person = record.person
            logins.setdefault(person.person_id, record.record_id)
            if person.kind == "household" and person.household:
                homes.setdefault(person.household, []).append((person.person_id, record.record_id))
    mistakes = 4
    result: list[Record] = []
    for record in records:
        person, number, traps = record.person, "", record.traps
        if record.kind == "contact":
            others = [
                no for who, no in homes.get(person.household or "", []) if who != person.person_id
            ]
            if others and mistakes and record.born == person.born and rng.random() < 0.2:
                mistakes -= 1
                number, traps = others[0], traps | {"wrong_shop_no"}
            elif person.person_id in logins and rng.random() < 0.46:
                number = logins[person.person_id]
        result.append(replace(record, shop_no=number, traps=traps))
    return result
