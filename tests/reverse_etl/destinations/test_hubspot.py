"""HubSpot: record ids, static lists, marks, and what a 207 says of single contacts."""

import re
from typing import Any

import pytest
from conformance import SECRET, Books, Case, Request, Response, Spec, Vendor, serve

from reverse_etl.answers import text_of
from reverse_etl.destination import RetryError, StopError
from reverse_etl.destinations.hubspot import HubSpot


class Portal(Vendor):
    """Contacts with unique emails, and one static list."""

    def __init__(self) -> None:
        super().__init__()
        self.contacts: dict[str, dict[str, str]] = {}
        self.listed: set[str] = set()
        self.made = 0
        self.kind = "MANUAL"

    def is_known(self, request: Request) -> bool:
        return request.headers["authorization"] == f"Bearer {self.token}"

    def answer(self, request: Request) -> Response:
        match = re.fullmatch(r"/crm/objects/2026-03/contacts/batch/(\w+)", request.path)
        if match:
            inputs = request.json()["inputs"]
            if len(inputs) > 100:
                return Response(400, {"category": "VALIDATION_ERROR", "message": "100 at most"})
            return self.batch(match[1], inputs, request.json())
        if request.path == "/crm/lists/2026-03/42":
            return Response(200, {"list": {"name": "Carts", "processingType": self.kind}})
        if request.path == "/crm/properties/2026-03/contacts/in_carts":
            return Response(200, {"name": "in_carts"})
        if request.path == "/crm/lists/2026-03/42/memberships/add-and-remove":
            body = request.json()
            self.listed |= set(body["recordIdsToAdd"]) & self.contacts.keys()
            self.listed -= set(body["recordIdsToRemove"])
            return Response(200, {"recordIdsMissing": []})
        return Response(404, {"category": "OBJECT_NOT_FOUND"})

    def batch(self, verb: str, inputs: list[dict[str, Any]], body: dict[str, Any]) -> Response:
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            name = one.get("idProperty") or body.get("idProperty")
            found = self.find(name, one["id"]) if name else one["id"]
            if found not in self.contacts:
                found = None
            properties = one.get("properties", {})
            assert all(isinstance(value, str) for value in properties.values())
            problem = None
            if "not a number" in properties.values():
                problem = ("VALIDATION_ERROR", f"{properties['email']} has a bad firstname")
            elif found is None and verb != "upsert":
                errors.append({"category": "OBJECT_NOT_FOUND", "context": {"ids": [one["id"]]}})
                continue
            if problem:
                context = {"objectWriteTraceId": [one["objectWriteTraceId"]]}
                errors.append({"category": problem[0], "message": problem[1], "context": context})
                continue
            if found is None:
                self.made += 1
                found = str(1000 + self.made)
                self.contacts[found] = {name: one["id"]}
            if verb != "read":
                self.contacts[found] |= properties
            trace = {"objectWriteTraceId": one.get("objectWriteTraceId")}
            results.append({"id": found, "properties": self.contacts[found], **trace})
        return Response(207 if errors else 200, {"results": results, "errors": errors})

    def find(self, name: str, value: str) -> str | None:
        # addresses are compared without their case
        return next(
            (i for i, p in self.contacts.items() if p.get(name, "").lower() == value.lower()), None
        )

    def members(self) -> dict[str, dict[str, str]]:
        return {self.contacts[i]["email"]: self.contacts[i] for i in self.listed}


class Marked(Portal):
    """The same, where a property says who is in."""

    def members(self) -> dict[str, dict[str, str]]:
        return {
            contact["email"]: {k: v for k, v in contact.items() if k != "in_carts"}
            for contact in self.contacts.values()
            if contact.get("in_carts") == "true"
        }


def person(n: int) -> dict[str, Any]:
    return {
        "email": f"Person{n}@example.com",
        "firstname": f"Zoë-{n}",
        "cart_value": 10.5 + n,
        "tags": ["one", f"two-{n}"],
        "is_vip": n % 2 == 0,
    }


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: text_of(value) for name, value in fields.items()}


SPECS = (
    Spec("hubspot/2026-03__contacts.json"),
    Spec("hubspot/2026-03__objects.json"),
    Spec("hubspot/2026-03__lists.json"),
    Spec("hubspot/2026-03__properties.json"),
)
LISTED = Case(
    "hubspot-list",
    HubSpot,
    Portal,
    {"access_token": SECRET, "list_id": "42"},
    person,
    {"firstname": "Noor"},
    {"firstname": "not a number"},
    known_by="email",
    shown=shown,
    told_to_wait=({"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}, 10.0),
    specs=SPECS,
)
MARKED = Case(
    "hubspot-property",
    HubSpot,
    Marked,
    {"access_token": SECRET, "audience_field": "in_carts"},
    person,
    {"firstname": "Noor"},
    {"firstname": "not a number"},
    known_by="email",
    shown=shown,
    specs=SPECS,
)
CASES = [LISTED, MARKED]


def test_an_address_that_changes_changes_the_contact() -> None:
    portal = Portal()
    with serve(portal) as address, LISTED.destination(address) as destination:
        books = Books(LISTED, destination)
        books.add({1: person(1)})
        books.add({1: person(1) | {"email": "new@example.com"}})
    assert [contact["email"] for contact in portal.contacts.values()] == ["new@example.com"]
    assert list(portal.members()) == ["new@example.com"]


def test_a_contact_that_was_deleted_there_is_made_anew() -> None:
    portal = Portal()
    with serve(portal) as address, LISTED.destination(address) as destination:
        books = Books(LISTED, destination)
        books.add({1: person(1), 2: person(2)})
        deleted = books.remote_ids["cus_1"]
        del portal.contacts[deleted]
        portal.listed -= {deleted}
        books.add({1: person(1), 2: person(2)})
    assert portal.members().keys() == {"Person1@example.com", "Person2@example.com"}
    assert books.remote_ids["cus_1"] != deleted


def test_nothing_of_a_decimal_is_lost_and_null_clears() -> None:
    portal = Portal()
    with serve(portal) as address, LISTED.destination(address) as destination:
        books = Books(LISTED, destination)
        batch = books.batch({1: person(1) | {"firstname": None}})
        text = batch.rows[0].fields.replace("11.5", "1234567890123456.70")
        object.__setattr__(batch.rows[0], "fields", text)
        books.send(batch)
    (contact,) = portal.contacts.values()
    assert (contact["cart_value"], contact["firstname"]) == ("1234567890123456.70", "")


def test_a_list_that_hubspot_fills_itself_is_refused_by_the_check() -> None:
    portal = Portal()
    portal.kind = "DYNAMIC"
    with (
        serve(portal) as address,
        LISTED.destination(address) as destination,
        pytest.raises(StopError, match=r"connection\.list_id"),
    ):
        destination.check()


def test_it_has_to_be_told_who_is_in_the_audience() -> None:
    with pytest.raises(StopError, match=r"connection\.list_id .* connection\.audience_field"):
        HubSpot({"access_token": SECRET})


def test_an_update_of_changed_properties_makes_no_half_contact() -> None:
    portal = Portal()
    with serve(portal) as address, LISTED.destination(address) as destination:
        books = Books(LISTED, destination)
        books.add({1: person(1)})
        portal.contacts.clear()
        portal.listed.clear()
        books.add({1: {"firstname": "Noor"}})
        assert books.errors["cus_1"].error_code == "OBJECT_NOT_FOUND"
        assert portal.contacts == {}
        # the next run sends a refused row whole
        books.add({1: person(1)})
    assert portal.members().keys() == {"Person1@example.com"}


def test_the_requests_of_a_day_that_are_spent_end_the_run() -> None:
    portal = Portal()
    portal.script = [Response(429, {"policyName": "DAILY"})]
    with serve(portal) as address, LISTED.destination(address) as destination:
        with pytest.raises(RetryError) as caught:
            Books(LISTED, destination).add({1: person(1)})
        assert caught.value.after_seconds == 3600
