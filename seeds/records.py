"""A contact record before it is written in some system's format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from seeds.people import Address, Person, Phone


@dataclass(frozen=True)
class Record:
    """One system's knowledge of one person; texts are as that system has them, '' if missing."""

    source: str  # newsletter | shop | crm | stores
    kind: str  # signup | login | guest | contact | card
    person: Person
    created: datetime
    updated: datetime
    first: str
    last: str
    email: str
    phone: str  # text as written
    mobile: str  # a second number, which only the CRM has
    phones: tuple[Phone, ...]  # the numbers behind both texts
    born: date | None
    home: Address | None
    street: str
    postcode: str
    company: str = ""
    traps: frozenset[str] = frozenset()
    record_id: str = ""
    shop_no: str = ""
    verified: bool = False
