"""Slack: counts, and nothing about anybody."""

from dataclasses import replace
from typing import Any

from conformance import SECRET, Books, Case, Request, Response, Vendor, serve

from reverse_etl.destinations.slack import Slack


class Channel(Vendor):
    """A webhook whose address is its login."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def is_known(self, request: Request) -> bool:
        return request.path == f"/services/{self.token}"

    def answer(self, request: Request) -> Response:
        text = request.json().get("text")
        if not text:
            return Response(400, b"no_text")
        self.messages.append(text)
        return Response(200, b"ok")

    def members(self) -> dict[str, dict[str, Any]]:
        return {}


def person(n: int) -> dict[str, Any]:
    return {"email": f"person{n}@example.com", "cart_value": 10.5 + n}


CASE = Case(
    "slack",
    lambda connection: Slack(
        {"webhook_url": f"{connection['webhook_url']}/services/{SECRET}", "title": "Carts"}
    ),
    Channel,
    {},
    person,
    {"cart_value": 1},
    None,
    address_key="webhook_url",
    login_key="webhook_url",
    holds=False,
)
CASES = [CASE]


def test_a_message_a_run_with_counts_and_no_names() -> None:
    channel = Channel()
    with serve(channel) as address, CASE.destination(address) as destination:
        books = Books(CASE, destination)
        books.add({n: person(n) for n in range(3)})
        both = books.batch({0: person(0), 7: person(7)})
        leaving = books.batch([1, 2], "remove")
        books.send(replace(both, rows=[*both.rows, *leaving.rows], position=2, of=3))
    assert channel.messages == [
        "Carts: 3 entered",
        "Carts: 1 entered, 1 changed, 2 left (part 2 of 3)",
    ]
