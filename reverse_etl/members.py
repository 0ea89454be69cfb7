"""Audiences of ad platforms: people sent as hashed identifiers, which is all that is kept of them.

What was sent for a person is the row's `remote_id`: a JSON list of objects, each identifier type →
what was sent for it (a hash wherever the platform takes one). A removal sends exactly that again;
an update first takes back what is not the person's any more, so that an old address does not stay
behind. There is more than one object in it while nobody knows whether an update arrived.
"""

import hashlib
import json
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import phonenumbers

from reverse_etl.destination import Batch, BatchAnswer, Job, Row, RowAnswer, StopError
from reverse_etl.http import HttpDestination

Identifiers = Mapping[str, str]


@dataclass(frozen=True)
class Member:
    """A row as a platform is told of it.

    `now` is what the person is to be known by (empty in a removal), `stale` what was sent before
    and is not, or not as a whole, part of `now`.
    """

    row: Row
    now: Identifiers = field(repr=False)
    stale: tuple[Identifiers, ...] = field(repr=False)


class MemberDestination(HttpDestination):
    """A platform's audience. A vendor's file gives `identifiers`, and `calls` from `members`."""

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._country = default_country(connection)
        # the batch that a thread is at, with its members: hashing them is most of the work
        self._at = threading.local()

    @abstractmethod
    def identifiers(self, fields: Mapping[str, Any]) -> Identifiers:
        """What the platform is to be sent for a row's fields, normalised and hashed its way.

        A value that cannot be one (an email without an @) is left out.
        """

    def members(self, batch: Batch) -> list[Member]:
        """The rows that can be sent: those with an identifier to add, or one to take back."""
        return [member for member in self._everybody(batch) if member.now or _is_removal(member)]

    def addresses(self, batch: Batch) -> Mapping[str, str]:
        return {
            member.row.key: remembered(member.now, *member.stale) for member in self.members(batch)
        }

    def send(self, batch: Batch) -> BatchAnswer | Job:
        answer = super().send(batch)
        if isinstance(answer, Job):
            return answer
        return replace(answer, rows={**self.settled(batch), **answer.rows})

    def settled(self, batch: Batch) -> Mapping[str, RowAnswer]:
        """What holds for every row once the platform has taken the batch."""
        return {member.row.key: _settled(member) for member in self._everybody(batch)}

    def _everybody(self, batch: Batch) -> Sequence[Member]:
        if getattr(self._at, "batch", None) is not batch:
            self._at.members = [self._member(row) for row in batch.rows]
            self._at.batch = batch
        members: Sequence[Member] = self._at.members
        return members

    def _member(self, row: Row) -> Member:
        before = recalled(row.remote_id)
        now: Identifiers = {}
        if row.operation != "remove":
            fields = json.loads(row.fields)
            now = {kind: sent for kind, sent in self.identifiers(fields).items() if sent}
        return Member(row, now, tuple(old for old in before if not old.items() <= now.items()))


def _is_removal(member: Member) -> bool:
    return member.row.operation == "remove" and bool(member.stale)


def _settled(member: Member) -> RowAnswer:
    if member.now:
        return RowAnswer(remote_id=remembered(member.now))
    if member.row.operation != "remove":
        return RowAnswer(
            error_code="no_identifier",
            error="none of the row's identifiers is usable: an email needs an @, a phone number "
            "its country's code (or connection.default_country)",
            remote_id=member.row.remote_id,
        )
    if not member.stale:
        return RowAnswer(
            error_code="unknown_identifiers",
            error="the ledger does not know what was sent for this row, so nothing can be taken "
            "back: remove it in the platform's own audience manager",
        )
    # who is gone is not remembered, not even as a hash
    return RowAnswer(remote_id="")


def difference(old: Identifiers, now: Identifiers) -> Identifiers:
    """Those of `old` that `now` does not have."""
    return {kind: sent for kind, sent in old.items() if now.get(kind) != sent}


def remembered(*sent: Identifiers) -> str:
    """A `remote_id`."""
    return json.dumps([who for who in sent if who], ensure_ascii=False, separators=(",", ":"))


def recalled(remote_id: str | None) -> Sequence[Identifiers]:
    """What a `remote_id` says was sent; nothing if it is none of ours."""
    try:
        known = json.loads(remote_id or "[]")
    except ValueError:
        return ()
    return tuple(old for old in known if isinstance(old, dict)) if isinstance(known, list) else ()


def sha256(normalised: str) -> str:
    """SHA-256 in lower-case hex of the UTF-8 text; nothing of nothing."""
    return hashlib.sha256(normalised.encode()).hexdigest() if normalised else ""


def text(fields: Mapping[str, Any], name: str) -> str:
    """A field as text without blanks around it; empty if it is NULL, a list or an object."""
    value = fields.get(name)
    return "" if value is None or isinstance(value, bool | list | dict) else str(value).strip()


def is_email(given: str) -> bool:
    """Whether there is something on both sides of one @."""
    local, _, domain = given.rpartition("@")
    return bool(local) and bool(domain) and "@" not in local


@lru_cache(maxsize=16_384)
def e164(number: str, default_country: str | None) -> str:
    """A phone number as ITU-T E.164 has it (`+` and digits); empty if it can be no number.

    One without `+` or an international prefix is read as of `default_country` (ISO 3166-1 alpha-2).
    """
    try:
        parsed = phonenumbers.parse(number, default_country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(parsed):
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def default_country(connection: Mapping[str, str]) -> str | None:
    """`connection.default_country` in upper case; raises StopError if it is no country."""
    given = connection.get("default_country", "").strip().upper()
    if given and given not in phonenumbers.SUPPORTED_REGIONS:
        raise StopError(
            "connection.default_country is no country: two letters, such as DE (ISO 3166-1)",
            code="bad_default_country",
        )
    return given or None
