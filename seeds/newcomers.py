"""People whose names are written in another script than Latin, and as their letters sound in it.

They come on top of everybody else and from a stream of their own, so that nobody else changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from seeds import contacts, noise, places
from seeds.people import (
    AS_OF,
    COUNTRIES,
    START,
    Person,
    Registry,
    address,
    ascii_name,
    birth,
    moment,
)
from seeds.records import Record

# the name as its owner writes it, then as passports, sign-up forms and colleagues do
Spellings = tuple[str, ...]
GIVEN: dict[str, dict[str, tuple[Spellings, ...]]] = {
    "Greek": {
        "f": (("Ελένη", "Eleni", "Helene"), ("Γεωργία", "Georgia"), ("Αικατερίνη", "Aikaterini")),
        "m": (("Νίκος", "Nikos", "Nicos"), ("Γιώργος", "Giorgos", "Yiorgos"), ("Σπύρος", "Spyros")),
    },
    "Cyrillic": {
        "f": (("Юлия", "Yulia", "Iuliia"), ("Ольга", "Olga"), ("Наталья", "Natalya", "Natalia")),
        "m": (("Дмитрий", "Dmitry", "Dmitrii"), ("Алексей", "Alexey", "Aleksei"), ("Юрий", "Yuri")),
    },
    "Arabic": {
        "f": (("فاطمة", "Fatima", "Fatma"), ("ليلى", "Layla", "Leila"), ("نور", "Nour", "Noor")),
        "m": (("محمد", "Mohammed", "Mohamed"), ("يوسف", "Youssef", "Yusuf"), ("عمر", "Omar")),
    },
    "Chinese": {
        "f": (("秀英", "Xiuying", "Hsiu-ying"), ("丽", "Li"), ("静", "Jing", "Ching")),
        "m": (("伟", "Wei"), ("志强", "Zhiqiang", "Chih-chiang"), ("俊杰", "Junjie", "Chun-chieh")),
    },
    "Japanese": {
        "f": (("陽子", "Yōko", "Yoko"), ("結衣", "Yui"), ("京子", "Kyōko", "Kyoko")),
        "m": (
            ("翔太", "Shōta", "Shota"),
            ("健一", "Kenichi", "Ken'ichi"),
            ("太郎", "Tarō", "Taro"),
        ),
    },
}
FAMILY: dict[str, tuple[Spellings, ...]] = {
    "Greek": (
        ("Παπαδόπουλος", "Papadopoulos", "Papadopulos"),
        ("Οικονόμου", "Oikonomou", "Ikonomou"),
        ("Νικολαΐδης", "Nikolaidis", "Nicolaides"),
        ("Χατζής", "Chatzis", "Hatzis"),
    ),
    "Cyrillic": (
        ("Шевченко", "Shevchenko", "Schewtschenko"),
        ("Кузнецов", "Kuznetsov", "Kusnezow"),
        ("Ковальчук", "Kovalchuk", "Kowaltschuk"),
        ("Соловьёв", "Solovyov", "Soloviev"),
    ),
    "Arabic": (
        ("الحسن", "Al-Hassan", "Alhasan"),
        ("حداد", "Haddad", "Hadad"),
        ("الخطيب", "El Khatib", "Al-Khateeb"),
        ("منصور", "Mansour", "Mansoor"),
    ),
    "Chinese": (
        ("王", "Wang"),
        ("张", "Zhang", "Chang"),
        ("陈", "Chen", "Chan"),
        ("徐", "Xu", "Hsu"),
    ),
    "Japanese": (
        ("佐藤", "Satō", "Satoh"),
        ("伊藤", "Itō", "Itoh"),
        ("渡辺", "Watanabe", "Watanabé"),
        ("大野", "Ōno", "Ohno"),
    ),
}
KINDS = (("signup", 0.6), ("login", 0.75), ("contact", 0.6), ("card", 0.5))


def generate(rng: Random, registry: Registry, count: int, after: int) -> tuple[Person, ...]:
    """`count` people, their scripts in turn; ids follow the `after` people that there are."""
    return tuple(_person(rng, registry, n, after + n + 1) for n in range(count))


def _person(rng: Random, registry: Registry, n: int, number: int) -> Person:
    script = tuple(GIVEN)[n % len(GIVEN)]
    country, sex, born = rng.choice(COUNTRIES), rng.choice("fm"), birth(rng)
    given, family = rng.choice(GIVEN[script][sex]), rng.choice(FAMILY[script])
    joined = moment(rng, START, AS_OF - timedelta(days=40))
    local = f"{ascii_name(given[1])}.{ascii_name(family[1])}".lower()
    local = local.replace(" ", "").replace("-", "").replace("'", "")
    return Person(
        person_id=f"P{number:05d}",
        sex=sex,
        first=given[1],
        last=family[1],
        born=born,
        home=address(rng, country),
        emails=(registry.unique(local, rng.choice(places.DOMAINS[country])),),
        mobile=registry.phone(country),
        landline=None,
        joined=joined,
        left=AS_OF,
        native=(given, family),
    )


def spelt(rng: Random, person: Person) -> tuple[str, str, frozenset[str]]:
    """A name as some system got it: in its own script, or in one of the ways to transliterate it.

    Whoever has a name in Latin letters is spelt as ever.
    """
    if person.native is None:
        return person.first, person.last, frozenset()
    given, family = person.native
    roll = rng.random()
    if roll < 0.25:
        return given[0], family[0], frozenset({"native_script"})
    if roll < 0.75:
        return person.first, person.last, frozenset()
    return given[-1], family[-1], frozenset({"transliterated"})


def records(rng: Random, people: Sequence[Person], before: Sequence[Record]) -> list[Record]:
    """Two to four contact records each, numbered on from `before`, in order of creation."""
    drafts: list[Record] = []
    for person in people:
        kinds = [kind for kind, share in KINDS if rng.random() < share]
        while len(kinds) < 2:
            kinds = rng.sample([kind for kind, _ in KINDS], 2)
        drafts += [_record(rng, person, kind) for kind in kinds]
    drafts.sort(key=lambda r: (r.created, r.person.person_id, r.kind))
    return list(contacts.numbered(drafts, before))


def _record(rng: Random, person: Person, kind: str) -> Record:
    at: datetime = moment(rng, person.joined, AS_OF - timedelta(days=1))
    first, last, traps = spelt(rng, person)
    phone = ""
    if person.mobile and kind != "signup" and rng.random() < 0.7:
        phone = noise.phone(rng, person.mobile, contacts.HOUSE_STYLE[kind])
    has_born, has_home = rng.random() < 0.6, kind != "signup" and rng.random() < 0.8
    return Record(
        source=contacts.SOURCE[kind],
        kind=kind,
        person=person,
        created=at,
        updated=at + timedelta(seconds=40),
        first=first,
        last=last,
        email=person.emails[0],
        phone=phone,
        mobile="",
        phones=(person.mobile,) if phone and person.mobile else (),
        born=person.born if has_born else None,
        home=person.home if has_home else None,
        street=person.home.street if has_home else "",
        postcode=person.home.postcode if has_home else "",
        traps=traps,
        verified=kind == "login",
    )
