"""Receivers that misbehave in ways nobody agreed on: nobody is lost, and nobody stays unknown."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hostile_server import Hostile, Part, Request, answer, json_answer, serve

if TYPE_CHECKING:
    from conftest import Runner, Warehouse


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serve() as state:
        yield state


@pytest.fixture
def ten(warehouse: Warehouse) -> Warehouse:
    for number in range(10):
        warehouse.add(f"c{number}")
    return warehouse


@pytest.fixture(autouse=True)
def address(run: Runner, hostile: Hostile) -> None:
    run.env["URL"] = hostile.url


def keys(request: Request) -> list[tuple[str, str]]:
    return [(row["operation"], row["key"]) for row in request.body["rows"]]


def test_a_batch_that_is_never_answered_keeps_no_later_run_from_its_work(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """A receiver that breaks over one row would else keep everybody's withdrawal from it.

    503 says that it is away, so its batch stays whole (500 is met in test_halving.py).
    """
    hostile.behaviour = lambda request: answer(503 if b'"c3"' in request.raw else 200)
    assert run().status == "incomplete"
    ten.people["c9"]["consent"] = "withdrawn"
    ten.people["c8"]["first_name"] = "Changed"
    ten.people["c2"]["first_name"] = "Changed, but in flight"
    ten.add("c99")
    before = len(hostile.requests)
    result = run()
    later = [told for request in hostile.requests[before:] for told in keys(request)]
    assert ("remove", "c9") in later
    assert {("upsert", "c8"), ("upsert", "c99")} <= set(later)
    # what is in flight is repeated as it was, and not overtaken
    assert {r.raw for r in hostile.requests if b'"c2"' in r.raw} == {hostile.requests[1].raw}
    assert (result.status, result.rows_pending) == ("incomplete", 2)
    assert "503" in str(result.error)
    hostile.behaviour = lambda _: answer(200)
    assert run().status == "succeeded"
    assert b"Changed, but in flight" in hostile.requests[-1].raw
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'synced'") == [(10,)]
    assert run.rows("FROM planned_rows") == []


def test_refused_after_a_try_that_may_have_arrived_is_held(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """It answers 500 after it applied a batch, and 409 when it is repeated: they are there."""

    def behave(request: Request) -> list[Part]:
        return answer(500 if request.number == 0 else 409 if b"c0" in request.raw else 200)

    hostile.behaviour = behave
    result = run(run.sync(batch_rows=1))
    assert result.rows_rejected == 1
    assert run.rows("SELECT is_held FROM sync_state WHERE row_key = 'c0'") == [(True,)]
    hostile.behaviour = lambda _: answer(200)
    ten.people["c0"]["consent"] = "withdrawn"
    run()
    assert keys(hostile.requests[-1]) == [("remove", "c0")]


def test_an_event_that_was_refused_after_it_may_have_arrived_is_tried_again(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    def behave(request: Request) -> list[Part]:
        return answer(500 if request.number == 0 else 409 if b"c0" in request.raw else 200)

    hostile.behaviour = behave
    sync = run.sync(batch_rows=1, mode="events")
    assert run(sync).rows_rejected == 1
    hostile.behaviour = lambda _: answer(200)
    assert run(sync).rows_updated == 1
    assert keys(hostile.requests[-1]) == [("upsert", "c0")]


def test_halves_of_a_batch_that_may_have_arrived_stay_in_flight(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """500 after applying, 422 for the repeat, then the login is gone: all ten may be there."""

    def behave(request: Request) -> list[Part]:
        return answer({0: 500, 1: 422}.get(request.number, 401))

    hostile.behaviour = behave
    sync = run.sync(batch_rows=10)
    assert run(sync).status == "incomplete"
    assert run.rows("SELECT count(*) FROM sync_state WHERE is_held") == [(10,)]
    hostile.behaviour = lambda _: answer(200)
    ten.people.clear()
    ten.add("c0", consent="withdrawn")
    ten.add("other")
    run(sync)
    later = [told for request in hostile.requests[3:] for told in keys(request)]
    assert {key for operation, key in later if operation == "remove"} == {
        f"c{n}" for n in range(10)
    }


SHAPES = [
    answer(200, "<html>Please log in</html>"),
    answer(200),
    answer(204),
    json_answer(200, [1, 2]),
    answer(200, "1"),
    json_answer(200, {"results": 5}),
    json_answer(200, {"results": [None, [], {"key": None}, {"key": {}}]}),
    json_answer(200, {"results": [{"key": "x", "status": "error"}]}),
    answer(200, "[" * 100_000),
    answer(200, '{"results": ' + "9" * 10_000 + "}"),
    answer(200, b'{"results": "\xff\xfe'),
    json_answer(207, {}),
]


def test_answers_of_any_shape_are_answers(
    run: Runner, warehouse: Warehouse, hostile: Hostile
) -> None:
    for number in range(len(SHAPES)):
        warehouse.add(f"c{number:02}")
    hostile.behaviour = lambda request: SHAPES[request.number]
    result = run(run.sync(batch_rows=1))
    assert (result.status, result.rows_added) == ("succeeded", len(SHAPES))
    assert run().requests == 0


def test_row_errors_in_a_200_and_a_207_whatever_their_spelling(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    told: list[dict[str, Any]] = [
        {"key": "c0", "status": "error", "error": "no"},
        {"key": "c2", "status": "ERROR", "error": {"why": "c2@example.com"}},
        {"key": "c4", "error": "no"},
        {"key": "c6", "status": "ok"},
        # said twice: an error is not unsaid
        {"key": "c8", "status": "error", "error": "no"},
        {"key": "c8", "status": "ok"},
    ]
    hostile.behaviour = lambda r: json_answer(207 if r.number % 2 else 200, {"results": told})
    result = run()
    assert (result.status, result.rows_added, result.rows_rejected) == ("succeeded", 6, 4)
    rejected = run.rows("SELECT row_key FROM sync_state WHERE status = 'rejected' ORDER BY 1")
    assert rejected == [("c0",), ("c2",), ("c4",), ("c8",)]
    assert "example.com" not in str(run.rows("FROM sync_state"))


def test_an_answer_that_never_ends_is_given_up(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    run.env["SECONDS"] = "0.5"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    drip: list[Part] = [head, *[part for _ in range(40) for part in (b"x", 0.2)]]
    hostile.behaviour = lambda r: drip if r.number == 0 else answer(200)
    begun = time.monotonic()
    result = run(run.sync(batch_rows=10))
    assert time.monotonic() - begun < 5
    assert (result.status, result.rows_added) == ("succeeded", 10)


def test_headers_that_drip_are_given_up(run: Runner, ten: Warehouse, hostile: Hostile) -> None:
    """Each read has its byte in time; the answer as a whole has not."""
    run.env["SECONDS"] = "0.5"
    drip: list[Part] = [b"HTTP/1.1 200 OK\r\n"]
    drip += [part for n in range(40) for part in (f"X-{n}: x\r\n".encode(), 0.2)]
    hostile.behaviour = lambda r: drip if r.number == 0 else answer(200)
    begun = time.monotonic()
    result = run(run.sync(batch_rows=10))
    assert time.monotonic() - begun < 5
    assert (result.status, result.rows_added, result.requests) == ("succeeded", 10, 2)


def test_a_login_in_the_address_is_sent_and_not_told(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    run.env["URL"] = hostile.url.replace("://", "://me:p%40rol@")
    hostile.behaviour = lambda _: answer(403)
    result = run()
    token = base64.b64encode(b"me:p@rol").decode()
    assert hostile.requests[0].headers["authorization"] == f"Basic {token}"
    told = str(result) + str(run.rows("FROM sync_runs"))
    assert not [hidden for hidden in ("p%40rol", "p@rol", token) if hidden in told]


def test_an_answer_without_measure_is_not_read_to_its_end(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    huge: list[Part] = [head, *[b"x" * 1_000_000] * 100]
    hostile.behaviour = lambda r: huge if r.number == 0 else answer(200)
    result = run(run.sync(batch_rows=10))
    assert (result.status, result.rows_added) == ("succeeded", 10)
    assert len(hostile.requests) == 2


def test_a_reset_time_beside_a_500_is_not_asked_to_be_waited_for(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """Many APIs say with every answer when their window ends."""
    later = str(int(time.time()) + 3_000)
    hostile.behaviour = lambda r: answer(500 if r.number == 0 else 200, X_RateLimit_Reset=later)
    assert run().status == "succeeded"


@pytest.mark.parametrize("reset", ["seconds", "milliseconds"])
def test_a_reset_time_beside_a_429_is(
    run: Runner, ten: Warehouse, hostile: Hostile, reset: str
) -> None:
    def behave(request: Request) -> list[Part]:
        at = time.time() + 0.95  # a second is the longest that the run waits
        told = f"{at:.3f}" if reset == "seconds" else str(int(at * 1000))
        return answer(429, X_RateLimit_Reset=told) if request.number == 0 else answer(200)

    hostile.behaviour = behave
    begun = time.monotonic()
    assert run().status == "succeeded"
    assert time.monotonic() - begun >= 0.8


def test_a_reset_in_the_middle_of_a_body_repeats_the_same_bytes(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    cut: list[Part] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", None]
    hostile.behaviour = lambda r: cut if r.number in {0, 2, 5} else answer(200)
    result = run(run.sync(parallel=4))
    assert (result.status, result.rows_added) == ("succeeded", 10)
    bodies: dict[str, bytes] = {}
    for request in hostile.requests:
        key = request.headers["idempotency-key"]
        assert bodies.setdefault(key, request.raw) == request.raw
    assert (len(bodies), len(hostile.requests)) == (5, 8)


def test_nothing_of_anybody_is_in_errors(run: Runner, ten: Warehouse, hostile: Hostile) -> None:
    """The receiver quotes the request, the login and its address in all it says."""

    def behave(request: Request) -> list[Part]:
        quoted = json.dumps({"error": request.raw.decode() + run.env["SECRET"] + hostile.url})
        return answer([422, 500, 403][request.number % 3], quoted)

    hostile.behaviour = behave
    result = run()
    told = str(result) + str(run.rows("SELECT * FROM sync_state")) + str(run.rows("FROM sync_log"))
    for hidden in ("example.com", "Name1", run.env["SECRET"], hostile.url):
        assert hidden not in told


def test_a_contact_that_was_written_and_not_listed_is_unmarked_when_consent_goes(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """The first of HubSpot's two requests has arrived, the second is refused."""

    def behave(request: Request) -> list[Part]:
        if "memberships" in request.path:
            return json_answer(400, {"message": "no such list"})
        results = [
            {"id": f"r-{one['id']}", "objectWriteTraceId": one.get("objectWriteTraceId")}
            for one in request.body["inputs"]
        ]
        return json_answer(200, {"results": results})

    hostile.behaviour = behave
    sync = run.sync(
        destination="hubspot",
        fields=(("email", "email"),),
        connection={
            "access_token": "${SECRET}",
            "list_id": "42",
            "audience_field": "in_carts",
            "base_url": "${URL}",
        },
        batch_rows=5,
    )
    run(sync)
    assert run.rows("SELECT count(*) FROM sync_state WHERE is_held") == [(10,)]
    ten.people["c0"]["consent"] = "withdrawn"
    before = len(hostile.requests)
    run(sync)
    first = hostile.requests[before]
    assert [one["properties"] for one in first.body["inputs"]] == [{"in_carts": "false"}]
    assert "c0@example.com" in first.body["inputs"][0]["id"]


WRONG: list[Any] = [
    None, 1, "x", [], [[]], {"results": 1, "errors": 1}, {"results": [1], "errors": [1]},
    {"results": [{"id": {}, "objectWriteTraceId": {}}], "errors": []},
    {"results": [{"id": "1", "properties": 1}], "errors": [{"context": 1, "category": []}]},
    {"errors": [{"context": {"ids": 1, "objectWriteTraceId": {"a": 1}}, "category": "X"}]},
    {"errors": [{"context": {"ids": [[]]}, "category": "OBJECT_NOT_FOUND"}]},
    {"results": [{"id": "1", "objectWriteTraceId": "c0"}], "recordIdsMissing": [{}, 7]},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_crm_that_answers_nonsense_loses_nobody(
    run: Runner, ten: Warehouse, hostile: Hostile, number: int
) -> None:
    hostile.behaviour = lambda _: json_answer(207, WRONG[number])
    sync = run.sync(
        destination="hubspot",
        fields=(("email", "email"),),
        connection={"access_token": "${SECRET}", "list_id": "42", "base_url": "${URL}"},
        batch_rows=5,
    )
    result = run(sync)
    assert "fault" not in str(result.error)
    assert result.rows_added <= 1  # the one whom an answer names
    may_be_there = run.rows("SELECT count(*) FROM sync_state WHERE is_held")
    assert may_be_there == [(10,)]


def test_a_token_that_expires_between_two_requests_of_one_batch(
    run: Runner, ten: Warehouse, hostile: Hostile
) -> None:
    """The contacts are written and the list is not: they are there, and nothing is lost."""
    expired = True

    def behave(request: Request) -> list[Part]:
        if "memberships" in request.path:
            return json_answer(401 if expired else 200, {})
        results = [
            {"id": f"r{one['id'][:2]}", "objectWriteTraceId": one["objectWriteTraceId"]}
            for one in request.body["inputs"]
        ]
        return json_answer(200, {"results": results})

    hostile.behaviour = behave
    sync = run.sync(
        destination="hubspot",
        fields=(("email", "email"),),
        connection={
            "access_token": "${SECRET}",
            "list_id": "42",
            "base_url": "${URL}",
        },
        batch_rows=5,
    )
    first = run(sync)
    assert (first.status, first.rows_pending, len(hostile.requests)) == ("incomplete", 10, 2)
    assert "connection.access_token" in str(first.error)
    assert run.rows("SELECT count(*) FROM sync_state WHERE status = 'unknown'") == [(5,)]
    expired = False
    assert run(sync).rows_added == 10
    assert hostile.requests[2].raw == hostile.requests[0].raw
