"""Mailchimp: who unsubscribed stays so, who comes back is let in again, a 403 without a word."""

import base64
import hashlib
import re
from typing import Any

import pytest
from conformance import SECRET, Books, Case, Request, Response, Spec, Vendor, serve

from reverse_etl.destination import RetryError, StopError
from reverse_etl.destinations.mailchimp import Mailchimp


def member_id(address: str) -> str:
    return hashlib.md5(address.lower().encode(), usedforsecurity=False).hexdigest()


class Audience(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, dict[str, Any]] = {}

    def is_known(self, request: Request) -> bool:
        login = base64.b64encode(f"key:{self.token}".encode()).decode()
        return request.headers["authorization"] == f"Basic {login}"

    def answer(self, request: Request) -> Response:
        if request.path == "/3.0/lists/L1":
            if request.method == "GET":
                return Response(200, {"name": "Shop"})
            return self.post(request.json())
        if match := re.fullmatch("/3.0/lists/L1/members/([0-9a-f]{32})", request.path):
            member = self.people.get(match[1])
            if member is None:
                return Response(404, {"title": "Resource Not Found"})
            if request.method == "GET":
                return Response(200, {"status": member["status"]})
            if member["status"] in {"archived", "cleaned"}:
                return Response(405, {"detail": "This list member cannot be removed"})
            member["status"] = "archived"
            return Response(204)
        return Response(404, {"title": "Resource Not Found"})

    def post(self, body: dict[str, Any]) -> Response:
        assert body["update_existing"] is True
        assert len(body["members"]) <= 500
        errors = []
        for given in body["members"]:
            address = given["email_address"]
            known = self.people.get(member_id(address), {})
            if "@" not in address:
                error = {"email_address": address, "error": f"{address} looks fake"}
                errors.append(error | {"error_code": "ERROR_GENERIC"})
                continue
            kept = known.get("status")
            if kept is None:
                kept = given["status_if_new"]
            elif "status" in given and kept != "unsubscribed":
                kept = given["status"]
            merged = known.get("merge_fields", {}) | given.get("merge_fields", {})
            self.people[member_id(address)] = {
                "email_address": address,
                "status": kept,
                "merge_fields": merged,
            }
        return Response(200, {"new_members": [], "updated_members": [], "errors": errors})

    def members(self) -> dict[str, dict[str, Any]]:
        return {
            person["email_address"]: {"email_address": person["email_address"]}
            | person["merge_fields"]
            for person in self.people.values()
            if person["status"] == "subscribed"
        }


def person(n: int) -> dict[str, Any]:
    return {"email_address": f"Person{n}@example.com", "FNAME": f"Zoë-{n}", "CART": 10.5 + n}


CASE = Case(
    "mailchimp",
    Mailchimp,
    Audience,
    {"api_key": SECRET, "list_id": "L1"},
    person,
    {"FNAME": "Noor"},
    {"email_address": "no address"},
    known_by="email_address",
    login_key="api_key",
    told_to_wait=({}, None),
    specs=(
        Spec(
            "mailchimp/members-api.openapi.yml",
            prefix="/3.0",
            missing=("POST /3.0/lists/L1", "GET /3.0/lists/L1"),
        ),
    ),
)
CASES = [CASE]


def test_who_unsubscribed_there_is_not_subscribed_again() -> None:
    audience = Audience()
    with serve(audience) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1)})
        audience.people[member_id("person1@example.com")]["status"] = "unsubscribed"
        books.add({1: person(1) | {"FNAME": "Noor"}})
        (found,) = audience.people.values()
        assert (found["status"], found["merge_fields"]["FNAME"]) == ("unsubscribed", "Noor")


def test_an_address_that_changes_leaves_the_old_one_archived() -> None:
    audience = Audience()
    with serve(audience) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1), 2: person(2)})
        books.add({1: person(1) | {"email_address": "new@example.com"}, 2: person(2)})
        assert audience.members().keys() == {"new@example.com", "Person2@example.com"}
        # a new address that is refused leaves the old one where it is
        books.add({2: person(2) | {"email_address": "no address"}})
        assert "Person2@example.com" in audience.members()
        books.remove([1])
    assert audience.members().keys() == {"Person2@example.com"}


def test_whom_mailchimp_does_not_give_away_is_named() -> None:
    audience = Audience()
    with serve(audience) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1), 2: person(2)})
        audience.people[member_id("person1@example.com")]["status"] = "cleaned"
        books.remove([1, 2])
    assert books.errors["cus_1"].error_code == "not_archived"
    assert books.errors.keys() == {"cus_1"}


def test_a_list_that_is_not_there_is_no_removal() -> None:
    with serve(Audience()) as address:
        connection = dict(CASE.connection) | {"list_id": "L2", "base_url": address}
        with Mailchimp(connection) as destination, pytest.raises(StopError):
            Books(CASE, destination).remove([1])


def test_a_403_without_a_word_is_too_many_requests() -> None:
    audience = Audience()
    with serve(audience) as address, CASE.destination(address) as destination:
        audience.script = [Response(403), Response(403, {"title": "Forbidden"})]
        for expected in (RetryError, StopError):
            with pytest.raises(expected):
                Books(CASE, destination).add({1: person(1)})


def test_the_key_names_the_data_centre() -> None:
    given = {"api_key": "0123-us6", "list_id": "L1"}
    (body, *_) = Mailchimp(given).bodies(Books(CASE, CASE.destination()).batch({1: person(1)}))
    assert body.title == "POST https://us6.api.mailchimp.com/3.0/lists/L1"
    with pytest.raises(StopError, match=r"connection\.api_key"):
        Mailchimp(given | {"api_key": "0123"})


def test_two_who_swap_their_addresses_both_stay() -> None:
    audience = Audience()
    with serve(audience) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1), 2: person(2)})
        books.add(
            {
                1: person(1) | {"email_address": person(2)["email_address"]},
                2: person(2) | {"email_address": person(1)["email_address"]},
            }
        )
    assert {m["status"] for m in audience.people.values()} == {"subscribed"}
    assert audience.members()["Person1@example.com"]["FNAME"] == "Zoë-2"
