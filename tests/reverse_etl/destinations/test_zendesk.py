"""Zendesk: jobs, a checkbox, and errors that name their user by place."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from conformance import SECRET, Books, Case, Request, Response, Vendor, serve

from reverse_etl.destination import RejectError
from reverse_etl.destinations.zendesk import Zendesk


class Desk(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, dict[str, Any]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.looks = 0

    def is_known(self, request: Request) -> bool:
        login = base64.b64encode(f"agent@example.org/token:{self.token}".encode()).decode()
        return request.headers["authorization"] == f"Basic {login}"

    def answer(self, request: Request) -> Response:
        if request.path == "/api/v2/users/me":
            return Response(200, {"user": {"role": "admin"}})
        if request.path == "/api/v2/users/create_or_update_many":
            users = request.json()["users"]
            assert len(users) <= 100
            return self.begin([self.write(place, user) for place, user in enumerate(users)])
        if request.path == "/api/v2/users/update_many":
            (ids,) = request.query["external_ids"]
            change = request.json()["user"]["user_fields"]
            return self.begin([self.uncheck(one, change) for one in ids.split(",")])
        if request.path.startswith("/api/v2/job_statuses/"):
            self.looks += 1
            number = int(request.path.rpartition("/")[2])
            if number >= len(self.jobs):
                return Response(404, {"error": "RecordNotFound"})
            if self.looks % 2:
                return Response(200, {"job_status": {"id": str(number), "status": "working"}})
            return Response(200, {"job_status": self.jobs[number]})
        return Response(404)

    def begin(self, results: list[dict[str, Any]]) -> Response:
        number = str(len(self.jobs))
        self.jobs.append({"id": number, "status": "completed", "results": results})
        return Response(200, {"job_status": {"id": number, "status": "queued", "results": None}})

    def write(self, place: int, user: dict[str, Any]) -> dict[str, Any]:
        assert user["skip_verify_email"] is True
        if "@" not in user["email"]:
            details = f"Email: {user['email']} is not properly formatted"
            return {"id": place, "status": "Failed", "error": "UserUpdateError", "details": details}
        known = self.users.get(user["external_id"], {"user_fields": {}})
        fields = known["user_fields"] | user["user_fields"]
        self.users[user["external_id"]] = known | user | {"user_fields": fields}
        return {"id": 9_000 + place, "status": "Updated", "email": user["email"]}

    def uncheck(self, external_id: str, change: dict[str, Any]) -> dict[str, Any]:
        if external_id not in self.users:
            return {"external_id": external_id, "error": "UserNotFound", "success": False}
        self.users[external_id]["user_fields"] |= change
        return {"external_id": external_id, "status": "Updated"}

    def members(self) -> dict[str, dict[str, Any]]:
        return {
            key: {name: user[name] for name in ("name", "email")}
            | {name: v for name, v in user["user_fields"].items() if name != "in_carts"}
            for key, user in self.users.items()
            if user["user_fields"]["in_carts"]
        }


def person(n: int) -> dict[str, Any]:
    return {
        "name": f"Zoë {n}",
        "email": f"person{n}@example.com",
        "cart_value": 10.5 + n,
    }


CASE = Case(
    "zendesk",
    Zendesk,
    Desk,
    {"email": "agent@example.org", "api_token": SECRET, "audience_field": "in_carts"},
    person,
    {"name": "Noor"},
    {"email": "no address"},
    login_key="api_token",
)
CASES = [CASE]


def test_who_is_gone_has_left() -> None:
    desk = Desk()
    with serve(desk) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1), 2: person(2)})
        del desk.users["cus_1"]
        books.remove([1, 2])
    assert not books.errors
    assert desk.members() == {}


def test_a_job_that_is_gone_or_was_killed_has_its_rows_sent_again() -> None:
    desk = Desk()
    with serve(desk) as address, CASE.destination(address) as destination:
        batch = Books(CASE, destination).batch({1: person(1)})
        desk.jobs.append({"id": "0", "status": "killed"})
        desk.looks = 1
        for job in ("0", "77"):
            with pytest.raises(RejectError):
                destination.collect(batch, job)


def test_a_key_that_zendesk_cannot_list_is_refused_before_it_is_sent() -> None:
    desk = Desk()
    case = replace(CASE, key=lambda n: "a,b" if n == 1 else f"cus_{n}")
    with serve(desk) as address, case.destination(address) as destination:
        books = Books(case, destination)
        books.add({n: person(n) for n in range(3)})
    assert {key: told.error_code for key, told in books.errors.items()} == {"a,b": "comma_in_key"}
    assert desk.members().keys() == {"cus_0", "cus_2"}
