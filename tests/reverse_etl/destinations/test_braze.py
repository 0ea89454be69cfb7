"""Braze: audiences as values of an array attribute, and errors by place."""

from typing import Any

from conformance import SECRET, Books, Case, Request, Response, Spec, Vendor, serve

from reverse_etl.destinations.braze import Braze


class Workspace(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, dict[str, Any]] = {}

    def is_known(self, request: Request) -> bool:
        return request.headers["authorization"] == f"Bearer {self.token}"

    def answer(self, request: Request) -> Response:
        if request.path != "/users/track":
            return Response(404)
        objects = request.json()["attributes"]
        if not objects:
            return Response(400, {"message": "Valid data must be provided in 'attributes'"})
        if len(objects) > 75:
            return Response(400, {"message": "at most 75 attributes"})
        errors = []
        for index, given in enumerate(objects):
            if given.get("email") == "no address":
                told = "'no address' is no email"
                errors.append({"type": told, "input_array": "attributes", "index": index})
                continue
            self.apply(dict(given))
        return Response(201, {"message": "success"} | ({"errors": errors} if errors else {}))

    def apply(self, given: dict[str, Any]) -> None:
        if given.pop("_update_existing_only", False) and given["external_id"] not in self.users:
            return
        change = given.pop("mainstem_audiences")
        user = self.users.setdefault(given["external_id"], {"mainstem_audiences": []})
        kept = [name for name in user["mainstem_audiences"] if name not in change.get("remove", ())]
        user |= given
        user["mainstem_audiences"] = list(dict.fromkeys([*kept, *change.get("add", ())]))

    def members(self) -> dict[str, dict[str, Any]]:
        return {
            key: {
                name: value
                for name, value in user.items()
                if name not in {"mainstem_audiences", "external_id"}
            }
            for key, user in self.users.items()
            if "audience_to_vendor" in user["mainstem_audiences"]
        }


def person(n: int) -> dict[str, Any]:
    return {
        "email": f"person{n}@example.com",
        "first_name": f"Zoë-{n}",
        "cart_value": 10.5 + n,
    }


CASE = Case(
    "braze",
    Braze,
    Workspace,
    {"api_key": SECRET},
    person,
    {"first_name": "Noor"},
    {"email": "no address"},
    login_key="api_key",
    told_to_wait=({"X-RateLimit-Reset": "{moment}"}, 30.0),
    specs=(Spec("braze/braze-openapi.yml"),),
)
CASES = [CASE]


def test_audiences_share_one_attribute() -> None:
    workspace = Workspace()
    workspace.users["cus_1"] = {"mainstem_audiences": ["another"]}
    with serve(workspace) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({1: person(1)})
        assert workspace.users["cus_1"]["mainstem_audiences"] == ["another", "audience_to_vendor"]
        books.remove([1])
    assert workspace.users["cus_1"]["mainstem_audiences"] == ["another"]


def test_removing_or_only_updating_makes_nobody() -> None:
    workspace = Workspace()
    with serve(workspace) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.remove([1])
        batch = books.batch({2: person(2)})
        object.__setattr__(batch, "mode", "update_only")
        books.send(batch)
    assert workspace.users == {}
