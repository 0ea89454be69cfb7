"""The truth: who lives where, under which name, with which addresses and telephones, and when."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from seeds import names, places

START = datetime(2025, 7, 1)
AS_OF = datetime(2026, 7, 1)
COUNTRIES = ("US", "GB", "DE", "FR")


@dataclass(frozen=True)
class Address:
    street: str
    city: str
    region: str
    postcode: str
    country: str


@dataclass(frozen=True)
class Phone:
    """A telephone number in its parts; `key` is its E.164 form without the plus."""

    country: str
    area: str
    local: str

    @property
    def key(self) -> str:
        return places.CALLING_CODE[self.country] + self.area + self.local


@dataclass(frozen=True)
class Person:
    person_id: str
    sex: str
    first: str
    last: str
    born: date
    home: Address
    emails: tuple[str, ...]
    mobile: Phone | None
    landline: Phone | None
    joined: datetime
    left: datetime  # after this moment nothing more is heard of them
    kind: str = "single"  # single | household | twin | jr_sr
    household: str | None = None
    family_email: str | None = None
    former_last: str | None = None
    renamed_at: datetime | None = None
    former_home: Address | None = None
    moved_at: datetime | None = None
    company: str | None = None
    role_email: str | None = None
    suffix: str = ""
    # spellings of given and family name, the own script's first, where that is not Latin
    native: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def last_at(self, at: datetime) -> str:
        return self.former_last if self.former_last and at < (self.renamed_at or at) else self.last

    def home_at(self, at: datetime) -> Address:
        return self.former_home if self.former_home and at < (self.moved_at or at) else self.home


def ascii_name(text: str) -> str:
    """A name as it gets into an email address: German umlauts spelt out, accents dropped."""
    for letter, plain in (("ü", "ue"), ("ö", "oe"), ("ä", "ae"), ("ß", "ss"), ("ø", "o")):
        text = text.replace(letter, plain).replace(letter.upper(), plain.capitalize())
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def moment(rng: Random, start: datetime, end: datetime) -> datetime:
    """A whole second in [start, end), by day rather than by night."""
    day = start + timedelta(days=rng.randrange(max((end - start).days, 1)))
    at = day.replace(hour=7, minute=0, second=0) + timedelta(seconds=rng.randrange(16 * 3600))
    return min(max(at, start), end - timedelta(seconds=1))


def _beyond(country: str) -> Iterator[Phone]:
    """Numbers outside the ranges kept for fiction, each once and not in a row."""
    fiction = {(area, start): digits for area, start, digits in places.RANGES[country]}
    for area, start, digits in places.BEYOND[country]:
        size = 10**digits
        for n in range(size):
            local = start + f"{n * 7_919 % size:0{digits}d}"
            within = (
                local.startswith(taken) and len(local) == len(taken) + left
                for (code, taken), left in fiction.items()
                if code == area
            )
            if not any(within) and local != "5551212":
                yield Phone(country, area, local)
    raise ValueError(f"{country} has no telephone numbers left: make a smaller company")


class Registry:
    """Hands out what must be unique in the world: email addresses and telephone numbers."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.emails: set[str] = set()
        self.free: dict[str, list[Phone]] = {}
        for country in COUNTRIES:
            numbers = [
                Phone(country, area, start + f"{tail:0{digits}d}")
                for area, start, digits in places.RANGES[country]
                for tail in range(10**digits)
            ]
            rng.shuffle(numbers)
            self.free[country] = numbers
        self.more = {country: _beyond(country) for country in COUNTRIES}

    def phone(self, country: str) -> Phone:
        """A number that nobody else has; from `places.BEYOND` once those kept for fiction are out."""
        return self.free[country].pop() if self.free[country] else next(self.more[country])

    def email(self, first: str, last: str, born: date, country: str) -> str:
        f, s = (ascii_name(part).lower().replace("'", "") for part in (first, last))
        styles = (f"{f}.{s}", f"{f}.{s}", f"{f[0]}{s}", f"{f}{s}{born:%y}", f"{s}.{f}", f"{f}_{s}")
        local = self.rng.choice(styles)
        domain = self.rng.choice(places.DOMAINS[country])
        return self.unique(local, domain)

    def unique(self, local: str, domain: str) -> str:
        candidate, n = f"{local}@{domain}", 1
        while candidate.replace(".", "") in self.emails:
            n += self.rng.randrange(1, 40)
            candidate = f"{local}{n}@{domain}"
        self.emails.add(candidate.replace(".", ""))
        return candidate


def skewed(rng: Random, values: tuple[str, ...]) -> str:
    """Early values more often than late ones: a few names are borne by many."""
    return values[int(len(values) * rng.random() ** 1.5)]


def address(rng: Random, country: str) -> Address:
    city, region, prefix = rng.choice(places.CITIES[country])
    street, number = rng.choice(places.STREETS[country]), rng.randrange(1, 240)
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    postcode = {
        "US": f"{prefix}{rng.randrange(1, 100):02d}",
        "GB": f"{prefix}{rng.randrange(1, 20)} {rng.randrange(1, 10)}"
        f"{rng.choice(letters)}{rng.choice(letters)}",
        "DE": f"{prefix}{rng.randrange(100, 1000)}",
        "FR": f"{prefix}{rng.randrange(1, 20):02d}",
    }[country]
    line = f"{street} {number}" if country == "DE" else f"{number} {street}"
    return Address(line, city, region, postcode, country)


def first_name(rng: Random, country: str, sex: str) -> str:
    lists = {
        ("DE", "f"): names.FEMALE_DE,
        ("DE", "m"): names.MALE_DE,
        ("FR", "f"): names.FEMALE_FR,
        ("FR", "m"): names.MALE_FR,
    }
    english = names.FEMALE_EN if sex == "f" else names.MALE_EN
    return skewed(rng, lists.get((country, sex), english))


def last_name(rng: Random, country: str) -> str:
    pool = {"DE": names.LAST_DE, "FR": names.LAST_FR}.get(country, names.LAST_EN)
    return skewed(rng, pool)


def birth(rng: Random, oldest: int = 1943, youngest: int = 2006) -> date:
    return date(rng.randrange(oldest, youngest), 1, 1) + timedelta(days=rng.randrange(365))


def _single(rng: Random, registry: Registry) -> Person:
    country = rng.choices(COUNTRIES, (46, 22, 20, 12))[0]
    sex = rng.choice("fm")
    first, last, born = first_name(rng, country, sex), last_name(rng, country), birth(rng)
    joined = moment(rng, START, AS_OF)
    left = AS_OF
    if rng.random() < 0.35:
        left = moment(rng, joined + timedelta(hours=1), AS_OF + timedelta(days=1))
    emails = [registry.email(first, last, born, country)]
    if rng.random() < 0.3:
        emails.append(registry.email(first, last, born, country))
    person = Person(
        person_id="",
        sex=sex,
        first=first,
        last=last,
        born=born,
        home=address(rng, country),
        emails=tuple(emails),
        mobile=registry.phone(country) if rng.random() < 0.9 else None,
        landline=registry.phone(country) if rng.random() < 0.25 else None,
        joined=joined,
        left=max(left, joined + timedelta(hours=1)),
    )
    between = joined + (AS_OF - joined) / 2
    if rng.random() < (0.05 if sex == "f" else 0.008):
        former = last_name(rng, country)
        hyphened = rng.random() < 0.3
        person = replace(
            person,
            former_last=former,
            last=f"{former}-{last}" if hyphened else last,
            renamed_at=between,
        )
    if rng.random() < 0.06:
        person = replace(person, former_home=address(rng, country), moved_at=between)
    return person


def _together(rng: Random, registry: Registry, size: int, kind: str, number: int) -> list[Person]:
    """People of one surname at one address with one landline, and sometimes one email."""
    head = replace(_single(rng, registry), former_last=None, former_home=None, renamed_at=None)
    country = head.home.country
    landline = registry.phone(country)
    family = None
    if rng.random() < 0.65:
        stem = ascii_name(head.last).lower().replace("'", "")
        local = {"DE": f"familie.{stem}", "FR": f"famille.{stem}"}.get(country, f"the{stem}s")
        family = registry.unique(local, rng.choice(places.DOMAINS[country]))
    members: list[Person] = []
    while len(members) < size:
        sex, born = rng.choice("fm"), birth(rng)
        first = first_name(rng, country, sex)
        suffix = ""
        if kind == "twin":
            born = members[0].born if members else born
        elif kind == "jr_sr":
            sex, first, suffix = head.sex, head.first, "Jr." if members else "Sr."
            born = birth(rng, 1975, 2004) if members else birth(rng, 1943, 1970)
        if kind != "jr_sr" and any(m.first[0] == first[0] for m in members):
            continue
        own = rng.random() < (0.6 if kind == "twin" else 0.8)
        member = replace(
            _single(rng, registry),
            sex=sex,
            first=first,
            last=head.last,
            born=born,
            home=head.home,
            emails=(registry.email(first, head.last, born, country),),
            mobile=registry.phone(country) if own else None,
            landline=landline,
            kind=kind,
            household=f"H{number:04d}",
            family_email=family,
            former_last=None,
            renamed_at=None,
            former_home=None,
            moved_at=None,
            suffix=suffix,
        )
        members.append(member)
    return members


def _employers(people: list[Person], rng: Random, registry: Registry) -> Iterator[Person]:
    """Give some people a company whose mailbox (info@, sales@) several of them use."""
    firms: dict[str, list[tuple[str, str]]] = {country: [] for country in COUNTRIES}
    for person in people:
        country = person.home.country
        if person.household or rng.random() >= 0.07:
            yield person
            continue
        if not firms[country] or rng.random() < 0.3:
            word, kind = rng.choice(places.COMPANY_WORDS), rng.choice(places.COMPANY_KINDS[country])
            domain = f"{word.lower()}-{ascii_name(kind.split()[0]).lower()}.example"
            mailbox = registry.unique(rng.choice(("info", "sales", "office")), domain)
            firms[country].append((f"{word} {kind}", mailbox))
        company, role_email = rng.choice(firms[country])
        yield replace(person, company=company, role_email=role_email)


def generate(rng: Random, registry: Registry, count: int) -> tuple[Person, ...]:
    """`count` people, about a tenth of them in households; ids `P00001`... in random order."""
    people: list[Person] = []
    number = 0
    plans = (("twin", 2, 0.0045), ("jr_sr", 2, 0.0045), ("household", 0, 0.033))
    for kind, size, share in plans:
        for _ in range(round(count * share)):
            number += 1
            people += _together(rng, registry, size or rng.choice((2, 2, 3, 4)), kind, number)
    del people[count:]
    while len(people) < count:
        people.append(_single(rng, registry))
    rng.shuffle(people)
    return tuple(
        replace(person, person_id=f"P{number:05d}")
        for number, person in enumerate(_employers(people, rng, registry), start=1)
    )
