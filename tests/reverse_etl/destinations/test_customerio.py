"""Customer.io: segments and attributes, and the errors of a 207."""

import base64
import re
from typing import Any

import pytest
from conformance import SECRET, Books, Case, Request, Response, Spec, Vendor, serve

from reverse_etl.destination import StopError
from reverse_etl.destinations.customerio import CustomerIo


class Workspace(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, dict[str, Any]] = {}
        self.segment: set[str] = set()

    def is_known(self, request: Request) -> bool:
        login = base64.b64encode(f"site:{self.token}".encode()).decode()
        return request.headers["authorization"] == f"Basic {login}"

    def answer(self, request: Request) -> Response:
        if request.path == "/api/v1/accounts/region":
            return Response(200, {"region": "us"})
        if request.path == "/api/v2/batch":
            return self.batch(request)
        if match := re.fullmatch(r"/api/v1/segments/7/(add|remove)_customers", request.path):
            ids = set(request.json()["ids"])
            assert 1 <= len(ids) <= 1000
            self.segment = self.segment | ids if match[1] == "add" else self.segment - ids
            return Response(200, {})
        return Response(404)

    def batch(self, request: Request) -> Response:
        assert len(request.body) <= 500_000
        errors = []
        for index, one in enumerate(request.json()["batch"]):
            attributes = one["attributes"]
            if attributes.get("email") == "no address":
                told = {"reason": "invalid", "field": "email", "message": "must be an address"}
                errors.append({"batch_index": index} | told)
                continue
            known = self.people.get(one["identifiers"]["id"])
            if known is None and attributes.get("_update"):
                continue
            kept = {name: value for name, value in attributes.items() if name != "_update"}
            self.people[one["identifiers"]["id"]] = (known or {}) | kept
        return Response(207, {"errors": errors}) if errors else Response(200, {})

    def members(self) -> dict[str, dict[str, Any]]:
        return {key: self.people[key] for key in self.segment & self.people.keys()}


class Marked(Workspace):
    def members(self) -> dict[str, dict[str, Any]]:
        return {
            key: {name: v for name, v in one.items() if name != "in_carts"}
            for key, one in self.people.items()
            if one.get("in_carts") is True
        }


def person(n: int) -> dict[str, Any]:
    return {
        "email": f"person{n}@example.com",
        "first_name": f"Zoë-{n}",
        "cart_value": 10.5 + n,
    }


def case(name: str, vendor: type[Workspace], connection: dict[str, str]) -> Case:
    return Case(
        name,
        CustomerIo,
        vendor,
        {"site_id": "site", "api_key": SECRET} | connection,
        person,
        {"first_name": "Noor"},
        {"email": "no address"},
        login_key="api_key",
        told_to_wait=({}, None),
        specs=(Spec("customerio/track.openapi.json"),),
    )


IN_SEGMENT = case("customerio-segment", Workspace, {"segment_id": "7"})
MARKED = case("customerio-attribute", Marked, {"audience_field": "in_carts"})
CASES = [IN_SEGMENT, MARKED]


def test_who_was_refused_is_not_put_into_the_segment() -> None:
    workspace = Workspace()
    with serve(workspace) as address, IN_SEGMENT.destination(address) as destination:
        Books(IN_SEGMENT, destination).add({1: person(1), 2: person(2) | {"email": "no address"}})
    assert workspace.segment == {"cus_1"}


def test_leaving_makes_nobody() -> None:
    workspace = Marked()
    with serve(workspace) as address, MARKED.destination(address) as destination:
        Books(MARKED, destination).remove([1])
    assert workspace.people == {}


def test_it_has_to_be_told_who_is_in_the_audience() -> None:
    with pytest.raises(StopError, match=r"connection\.segment_id .* connection\.audience_field"):
        CustomerIo({"site_id": "site", "api_key": SECRET})
