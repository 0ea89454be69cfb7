"""What the stand-ins of ad platforms share: an audience of people who are known by hashes."""

from collections.abc import Callable, Mapping
from typing import Any

from conformance import SECRET, Request, Vendor

from reverse_etl.members import sha256

EMAILS = {f"person{n}@example.com": f"cus_{n}" for n in range(20)} | {"new@example.com": "cus_1"}


class PlatformAudience(Vendor):
    """Who is in an audience, each by identifier type → hash.

    As a platform does, it takes identifiers that share one for the same person: so removing
    somebody's old phone number removes them, whatever else they were added with.
    """

    email_type = "EMAIL"
    header, login = "authorization", f"Bearer {SECRET}"

    def __init__(self) -> None:
        super().__init__()
        self.people: list[Mapping[str, str]] = []

    def is_known(self, request: Request) -> bool:
        return request.headers[self.header] == self.login.replace(SECRET, self.token)

    def add(self, who: Mapping[str, str]) -> None:
        self.remove(who)
        self.people.append(dict(who))

    def remove(self, who: Mapping[str, str]) -> None:
        assert who
        gone = set(who.values())
        self.people = [each for each in self.people if gone.isdisjoint(each.values())]

    def members(self) -> Mapping[str, Mapping[str, Any]]:
        keys = {sha256(email): key for email, key in EMAILS.items()}
        return {keys[each[self.email_type]]: each for each in self.people}


def person(n: int) -> dict[str, Any]:
    return {"email": f"Person{n}@Example.com ", "phone": f"+49 30 123450{n}"}


def shown(email_type: str, phone_type: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How a person is known to a platform that is told of email and phone (E.164)."""

    def known_as(fields: dict[str, Any]) -> dict[str, Any]:
        return {
            email_type: sha256(fields["email"].strip().lower()),
            phone_type: sha256(fields["phone"].replace(" ", "")),
        }

    return known_as


UNUSABLE = {"email": "nobody", "phone": "none"}
CHANGE = {"phone": "+49 30 999999"}
