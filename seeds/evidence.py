"""Which pairs of a person's records an expert could unite: it keeps the sample hard, but fair."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seeds import names, noise
from seeds.people import ascii_name
from seeds.records import Record

_FORMAL: dict[str, set[str]] = {}
for _formal, _shorts in names.NICKNAMES.items():
    for _name in (_formal, *_shorts):
        _FORMAL.setdefault(ascii_name(_name).lower(), set()).add(ascii_name(_formal).lower())


def _plain(name: str) -> str:
    text = ascii_name(name).lower()
    for spelt, bare in (("ue", "u"), ("oe", "o"), ("ae", "a")):
        text = text.replace(spelt, bare)
    return text.replace(" jr.", "").replace(" sr.", "").strip()


def _near(left: str, right: str) -> bool:
    """At most one insertion, deletion, substitution or swap of neighbours apart."""
    if left == right:
        return True
    if abs(len(left) - len(right)) > 1 or min(len(left), len(right)) < 3:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    a, b = left[start:], right[start:]
    swapped = len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or swapped


def same_first(left: str, right: str) -> bool:
    """Whether two given names can be one person's; an initial agrees with its name."""
    a, b = _plain(left), _plain(right)
    if len(a.rstrip(".")) == 1 or len(b.rstrip(".")) == 1:
        return a[:1] == b[:1]
    formal = _FORMAL.get(ascii_name(left).lower(), set()) | {a}
    return _near(a, b) or bool(formal & (_FORMAL.get(ascii_name(right).lower(), set()) | {b}))


def _same_last(left: str, right: str) -> bool:
    a, b = _plain(left), _plain(right)
    return _near(a, b) or bool(set(a.split("-")) & set(b.split("-")))


def _same_name(a: Record, b: Record) -> bool:
    straight = same_first(a.first, b.first) and _same_last(a.last, b.last)
    crossed = same_first(a.first, b.last) and _same_last(a.last, b.first)
    return bool(a.first and b.first and a.last and b.last) and (straight or crossed)


def linked(a: Record, b: Record, personal: frozenset[str]) -> bool:
    """Whether two records of one person have enough in common.

    `personal` holds the emails and telephone numbers that belong to that person alone.
    """
    emails = {noise.email_key(a.email), noise.email_key(b.email)}
    if len(emails) == 1 and emails <= personal:
        return True
    if {n.key for n in a.phones} & {n.key for n in b.phones} & personal:
        return True
    if not _same_name(a, b):
        return False
    if a.born and b.born:
        return a.born == b.born and "dob_placeholder" not in a.traps | b.traps
    where = (a.home, b.home)
    return bool(where[0] and where[1] and where[0].postcode == where[1].postcode)


def components(
    records: Sequence[Record], same: Callable[[Record, Record], bool]
) -> list[list[int]]:
    """Indexes of records that `same` connects, largest group first."""
    groups: list[list[int]] = []
    for i, record in enumerate(records):
        touching = [g for g in groups if any(same(record, records[j]) for j in g)]
        groups = [g for g in groups if g not in touching]
        groups.append(sorted([i, *(j for g in touching for j in g)]))
    return sorted(groups, key=lambda g: (-len(g), g))
