"""What happens to a fact on its way into a system: typos, formats, transliteration, shortcuts."""

from __future__ import annotations

import string
from datetime import date
from random import Random

from seeds import names, places
from seeds.people import Phone, ascii_name

PLACEHOLDER_EMAILS = ("test@test.com", "noemail@example.com", "none@none.com", "na@example.com")
PLACEHOLDER_PHONES = ("000-000-0000", "9999999999", "123456789")
PLACEHOLDER_BIRTHS = (date(1900, 1, 1), date(1970, 1, 1), date(1900, 1, 1))


def typo(rng: Random, text: str) -> str:
    """One slip of the finger: a letter lost, doubled, replaced, or two swapped."""
    if len(text) < 4:
        return text
    at = rng.randrange(1, len(text) - 1)
    slip = rng.randrange(4)
    if slip == 0:
        return text[:at] + text[at + 1 :]
    if slip == 1:
        return text[:at] + text[at] + text[at:]
    if slip == 2:
        return text[:at] + rng.choice(string.ascii_lowercase) + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def nickname(rng: Random, first: str) -> str | None:
    short = names.NICKNAMES.get(first)
    return rng.choice(short) if short else None


def plain(rng: Random, text: str) -> str:
    """Accents as systems lose them: ü as ue, or as u."""
    if rng.random() < 0.5:
        return ascii_name(text)
    for letter, bare in (("ü", "u"), ("ö", "o"), ("ä", "a"), ("Ü", "U"), ("Ö", "O")):
        text = text.replace(letter, bare)
    return ascii_name(text)


def _forms(number: Phone, extension: int | None = None) -> tuple[str, ...]:
    """A number as people write it."""
    area, local = number.area, number.local
    code = places.CALLING_CODE[number.country]
    half = len(local) // 2
    if number.country == "US":
        a, b = local[:3], local[3:]
        return (
            f"({area}) {a}-{b}",
            f"{area}-{a}-{b}",
            f"+1 {area} {a} {b}",
            f"{area}.{a}.{b}",
            f"{area}{a}{b}",
            f"1-{area}-{a}-{b}",
            f"+1{area}{a}{b}",
            f"({area}) {a}-{b} ext. {extension}",
        )
    pairs = " ".join(local[i : i + 2] for i in range(0, len(local), 2))
    return (
        f"0{area} {local}",
        f"0{area}{local}",
        f"+{code} {area} {local[:half]} {local[half:]}",
        f"0{area} {pairs}" if number.country == "FR" else f"0{area}/{local}",
        f"00{code} {area} {local}",
        f"+{code} (0){area} {local}",
        f"+{code}{area}{local}",
        f"(0{area}) {local[:half]}-{local[half:]}",
    )


def phone(rng: Random, number: Phone, house_style: int | None = None) -> str:
    """A number as people write it; `house_style` is the form that a system prefers."""
    extension = rng.randrange(10, 99) if number.country == "US" else None
    forms = _forms(number, extension)
    if house_style is not None and rng.random() < 0.6:
        return forms[house_style]
    return rng.choices(forms, (6, 4, 4, 3, 4, 2, 4, 1))[0]


def national(number: Phone, form: int) -> str:
    """A number as it is dialled at home: form 0, 1 or 3."""
    return _forms(number)[form]


def email(rng: Random, address: str) -> tuple[str, str]:
    """An address written another way that reaches the same inbox, and what was done to it."""
    local, domain = address.split("@")
    roll = rng.random()
    if roll < 0.35:
        return rng.choice((address.upper(), f"{local.title()}@{domain}")), "email_case"
    if domain == "gmail.com" and roll < 0.65:
        bare = local.replace(".", "")
        at = rng.randrange(1, len(bare))
        return f"{bare[:at]}.{bare[at:]}@{domain}", "gmail_dots"
    if roll < 0.85:
        tag = rng.choice(("shop", "news", "promo", "harbour"))
        return f"{local}+{tag}@{domain}", "plus_tag"
    return f"{local}@{typo(rng, domain.split('.')[0])}.{domain.split('.', 1)[1]}", "email_typo"


def email_key(text: str) -> str:
    """The inbox behind an address: case, plus tags and gmail's dots do not matter."""
    local, _, domain = text.lower().partition("@")
    local = local.partition("+")[0]
    return f"{local.replace('.', '') if domain == 'gmail.com' else local}@{domain}"


def birth(rng: Random, born: date) -> tuple[date, str]:
    """A birth date gone wrong, and how: day and month swapped, or one figure mistyped."""
    if born.day <= 12 and born.day != born.month and rng.random() < 0.7:
        return date(born.year, born.day, born.month), "dob_swapped"
    if rng.random() < 0.5 and born.day <= 28:
        return born.replace(year=born.year + rng.choice((-10, -1, 1, 10))), "dob_typo"
    return born.replace(day=born.day % 28 + 1), "dob_typo"


ABBREVIATIONS = (
    (" Street", " St"),
    (" Avenue", " Ave"),
    (" Road", " Rd."),
    (" Drive", " Dr"),
    (" Lane", " Ln"),
    ("straße", "str."),
    ("straße", "strasse"),
    ("boulevard ", "bd "),
    ("avenue ", "av. "),
)


def street(rng: Random, text: str) -> str:
    """A street line with its kind shortened where it has one."""
    found = [(long, short) for long, short in ABBREVIATIONS if long in text]
    return text.replace(*rng.choice(found)) if found else text


def postcode(rng: Random, text: str, country: str) -> str:
    if country == "GB":
        return rng.choice((text.replace(" ", ""), text.lower()))
    if country == "US":
        return f"{text}-{rng.randrange(1000, 9999)}"
    return f"{'D' if country == 'DE' else 'F'}-{text}"
