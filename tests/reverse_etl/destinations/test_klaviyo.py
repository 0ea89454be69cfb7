"""Klaviyo: import jobs, the errors of a job, and leaving a list without being unsubscribed."""

import json
import re
from typing import Any

import pytest
from conformance import SECRET, Books, Case, Request, Response, Spec, Vendor, serve

from reverse_etl.destination import RejectError, StopError
from reverse_etl.destinations.klaviyo import Klaviyo


class Account(Vendor):
    """Profiles by Klaviyo's id, one list, and jobs that take two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, dict[str, Any]] = {}
        self.listed: set[str] = set()
        self.jobs: list[dict[str, Any]] = []
        self.quotes_payload = True

    def is_known(self, request: Request) -> bool:
        assert request.headers["revision"]
        return request.headers["authorization"] == f"Klaviyo-API-Key {self.token}"

    def answer(self, request: Request) -> Response:
        path = request.path
        if (request.method, path) == ("POST", "/api/profile-bulk-import-jobs"):
            return self.begin(request.json()["data"])
        if match := re.fullmatch(r"/api/profile-bulk-import-jobs/job(\d+)", path):
            return self.look(int(match[1]))
        if match := re.fullmatch(r"/api/profile-bulk-import-jobs/job(\d+)/import-errors", path):
            page = int(request.query.get("page[cursor]", ["0"])[0])
            errors = self.jobs[int(match[1])]["errors"]
            more = page + 1 < len(errors)
            link = f"http://{request.headers['host']}{path}?page[cursor]={page + 1}"
            links = {"self": "x", "next": link if more else None}
            return Response(200, {"data": errors[page : page + 1], "links": links})
        if path == "/api/profiles":
            (asked,) = request.query["filter"]
            wanted = json.loads(asked.removeprefix("any(external_id,").removesuffix(")"))
            assert len(wanted) <= int(request.query["page[size]"][0]) <= 100
            found = [i for i, p in self.profiles.items() if p["external_id"] in wanted]
            return Response(200, {"data": [{"type": "profile", "id": i} for i in found]})
        if path == "/api/lists/L1":
            return Response(200, {"data": {"id": "L1", "attributes": {"name": "Carts"}}})
        if (request.method, path) == ("DELETE", "/api/lists/L1/relationships/profiles"):
            leaving = request.json()["data"]
            assert len(leaving) <= 1000
            self.listed -= {one["id"] for one in leaving}
            return Response(204)
        return Response(404, {"errors": [{"code": "not_found"}]})

    def begin(self, data: dict[str, Any]) -> Response:
        imported = data["attributes"]["profiles"]["data"]
        assert len(imported) <= 10_000
        errors = []
        for number, profile in enumerate(imported):
            given = profile["attributes"]
            if given.get("phone_number") == "call me":
                pointer = f"/data/attributes/profiles/data/{number}/attributes/phone_number"
                error = {
                    "code": "invalid",
                    "title": "Invalid input",
                    "detail": "call me is no phone number",
                    "source": {"pointer": pointer},
                    "original_payload": given if self.quotes_payload else None,
                }
                errors.append({"type": "import-error", "id": str(number), "attributes": error})
                continue
            known = [
                i for i, p in self.profiles.items() if p["external_id"] == given["external_id"]
            ]
            identifier = known[0] if known else f"01K{len(self.profiles)}"
            kept = self.profiles.setdefault(identifier, {"properties": {}})
            unset = profile.get("meta", {}).get("patch_properties", {}).get("unset", [])
            properties = kept["properties"] | given.get("properties", {})
            kept |= given
            kept["properties"] = {k: v for k, v in properties.items() if k not in unset}
            assert data["relationships"]["lists"]["data"] == [{"type": "list", "id": "L1"}]
            self.listed.add(identifier)
        self.jobs.append({"looks": 0, "errors": errors})
        return Response(202, self.shown(len(self.jobs) - 1, "queued"))

    def look(self, number: int) -> Response:
        self.jobs[number]["looks"] += 1
        is_over = self.jobs[number]["looks"] > 1
        return Response(200, self.shown(number, "complete" if is_over else "processing"))

    def shown(self, number: int, status: str) -> dict[str, Any]:
        failed = len(self.jobs[number]["errors"]) if status == "complete" else None
        attributes = {"status": status, "failed_count": failed}
        return {"data": {"id": f"job{number}", "attributes": attributes}}

    def members(self) -> dict[str, dict[str, Any]]:
        listed = [dict(self.profiles[i]) for i in self.listed]
        return {profile.pop("external_id"): profile for profile in listed}


def person(n: int) -> dict[str, Any]:
    return {
        "email": f"person{n}@example.com",
        "phone_number": f"+49301234567{n}",
        "first_name": f"Zoë-{n}",
        "city": f"Köln-{n}",
        "cart_value": 10.5 + n,
        "tags": ["one", f"two-{n}"],
    }


def key(n: int) -> str:
    return f'cus "{n}"'


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    own = {k: fields[k] for k in ("email", "phone_number", "first_name")}
    custom = {k: fields[k] for k in ("cart_value", "tags")}
    return own | {"location": {"city": fields["city"]}, "properties": custom}


CASE = Case(
    "klaviyo",
    Klaviyo,
    Account,
    {"api_key": SECRET, "list_id": "L1"},
    person,
    {"first_name": "Noor"},
    {"phone_number": "call me"},
    shown=shown,
    login_key="api_key",
    key=key,
    specs=(Spec("klaviyo/stable.json"),),
)
CASES = [CASE]


def test_a_job_names_what_it_refused_by_place_where_it_quotes_nothing() -> None:
    account = Account()
    account.quotes_payload = False
    with serve(account) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        bad = {"phone_number": "call me"}
        books.add({n: person(n) | (bad if n in {1, 3} else {}) for n in range(4)})
    assert {key: told.error for key, told in books.errors.items()} == dict.fromkeys(
        (key(1), key(3)), "call me is no phone number"
    )
    assert len(account.members()) == 2


def test_leaving_unsubscribes_nobody_and_null_takes_a_property_away() -> None:
    account = Account()
    with serve(account) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1)})
        books.add({1: person(1) | {"cart_value": None, "first_name": None}})
        (profile,) = account.members().values()
        assert (profile["properties"], profile["first_name"]) == (
            {"tags": ["one", "two-1"]},
            "Zoë-1",
        )
        books.remove([1])
    assert account.members() == {}
    assert len(account.profiles) == 1
    assert not [request.path for request in account.requests if "subscription" in request.path]


def test_a_field_beside_the_row_key_is_refused_where_they_differ() -> None:
    account = Account()
    with serve(account) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1) | {"external_id": key(1)}})
        with pytest.raises(StopError, match=r"config\.meta\.sync\.row_key"):
            books.add({2: person(2) | {"external_id": "another"}})
    assert len(account.members()) == 1


def test_a_job_that_was_cancelled_or_is_gone_has_its_rows_sent_again() -> None:
    account = Account()
    with serve(account) as address, CASE.destination(address) as destination:
        batch = Books(CASE, destination).batch({1: person(1)})
        cancelled = {"data": {"id": "job0", "attributes": {"status": "cancelled"}}}
        account.script = [Response(200, cancelled), Response(404)]
        for _ in range(2):
            with pytest.raises(RejectError):
                destination.collect(batch, "job0")
