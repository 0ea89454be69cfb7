"""Segment and RudderStack: events once, traits as often as they change, nothing too large."""

import base64
import json

import pytest
from conformance import SECRET, Case, Request, Response, Vendor

from reverse_etl.destination import Batch, RejectError, Row
from reverse_etl.destinations.rudderstack import Rudderstack
from reverse_etl.destinations.segment import MESSAGE_BYTES, Segment


class Users(Vendor):
    """Traits by user; a message that was told before is dropped, and a 200 is all that is said."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, dict[str, object]] = {}
        self.told: set[str] = set()

    def is_known(self, request: Request) -> bool:
        login = base64.b64encode(f"{self.token}:".encode()).decode()
        return request.headers["authorization"] == f"Basic {login}"

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, {"server": "UP"})
        assert len(request.body) <= 500_000
        for message in request.json()["batch"]:
            assert len(json.dumps(message)) <= 32 * 1024
            if message["messageId"] not in self.told:
                self.users.setdefault(message["userId"], {}).update(message["traits"])
            self.told.add(message["messageId"])
        return Response(200, {"success": True})

    def members(self) -> dict[str, dict[str, object]]:
        return self.users


def person(n):
    return {"user_id": f"u{n}", "plan": f"free-{n}", "city": f"Zürich-{n}"}


CASES = [
    Case(
        type_.__module__.rpartition(".")[2],
        type_,
        Users,
        {"write_key": SECRET},
        person,
        {"plan": "paid"},
        {"plan": "x" * MESSAGE_BYTES},
        known_by="user_id",
        shown=lambda fields: {name: fields[name] for name in ("plan", "city")},
        address_key=type_.address_key,
        login_key="write_key",
        mode="upsert",
        tries_login=False,
    )
    for type_ in (Segment, Rudderstack)
]


@pytest.fixture(params=[Segment, Rudderstack])
def segment(request, stand_in):
    stand_in.says = lambda asked: (200, {"success": True})
    address = request.param.address_key
    with request.param({"write_key": "wr1te", address: stand_in.address}) as destination:
        yield destination


def row_of(key, **fields):
    return Row(key, "upsert", json.dumps(fields))


def batch_of(*rows, mode="events", run="run", key="key"):
    return Batch("orders_to_segment", run, 1, key, ("user_id",), rows, mode=mode)


def messages(stand_in):
    return [message for asked in stand_in.requests for message in asked.json()["batch"]]


def test_an_event_is_a_track_call(segment, stand_in):
    row = row_of(
        "o1", event="Order placed", user_id="cus_1", timestamp="2026-03-01 12:00:00", total=3.5
    )
    assert segment.send(batch_of(row)).rows == {}
    (asked,) = stand_in.requests
    assert (asked.method, asked.path) == ("POST", "/v1/batch")
    login = base64.b64decode(asked.headers["authorization"].removeprefix("Basic "))
    assert login == b"wr1te:"
    (message,) = messages(stand_in)
    assert message.pop("messageId").startswith("mainstem-")
    assert message == {
        "type": "track",
        "userId": "cus_1",
        "timestamp": "2026-03-01T12:00:00+00:00",
        "event": "Order placed",
        "properties": {"total": 3.5},
    }


def test_an_event_has_one_id_whatever_run_and_batch_it_travels_in(segment, stand_in):
    row = row_of("o1", event="Order placed", user_id="cus_1")
    segment.send(batch_of(row))
    segment.send(
        batch_of(row, row_of("o2", event="Order placed", user_id="cus_1"), run="2", key="2")
    )
    first, again, other = (message["messageId"] for message in messages(stand_in))
    assert first == again != other


def test_traits_that_change_back_are_told_again(segment, stand_in):
    for run, plan in (("1", "free"), ("2", "paid"), ("3", "free"), ("3", "free")):
        segment.send(batch_of(row_of("cus_1", user_id="cus_1", plan=plan), mode="upsert", run=run))
    told = messages(stand_in)
    assert told[0]["type"] == "identify"
    assert told[0]["traits"] == {"plan": "free"}
    ids = [message["messageId"] for message in told]
    assert len(set(ids[:3])) == 3
    assert ids[3] == ids[2]


def test_a_row_that_makes_no_message_is_refused_alone(segment, stand_in):
    answer = segment.send(
        batch_of(
            row_of("large", event="e", user_id="u", note="x" * MESSAGE_BYTES),
            row_of("unnamed", user_id="u"),
            Row("gone", "remove", "{}"),
            row_of("good", event="e", user_id="u"),
        )
    )
    assert {key: row.error_code for key, row in answer.rows.items()} == {
        "large": "row_too_large",
        "unnamed": "no_event",
        "gone": "no_removal",
    }
    assert len(messages(stand_in)) == 1


def test_nothing_is_asked_when_no_row_makes_a_message(segment, stand_in):
    assert segment.send(batch_of(row_of("unnamed", user_id="u"))).requests == 0
    assert stand_in.requests == []


def test_a_name_for_all_events_may_stand_in_the_connection(stand_in):
    connection = {"write_key": "w", "base_url": stand_in.address, "event": "Order placed"}
    with Segment(connection) as destination:
        destination.send(batch_of(row_of("o1", user_id="u")))
    assert messages(stand_in)[0]["event"] == "Order placed"


def test_a_batch_above_the_limit_is_refused_without_asking(segment, stand_in):
    rows = [row_of(str(n), event="e", user_id="u", note="x" * 30_000) for n in range(140)]
    with pytest.raises(RejectError) as raised:
        segment.send(batch_of(*rows))
    assert raised.value.code == "too_large"
    assert stand_in.requests == []


def test_neither_takes_anything_back(segment):
    assert not segment.capabilities.removal
    assert "mirror" not in segment.capabilities.modes


def test_the_check_writes_nothing(segment, stand_in):
    assert "write key" in segment.check()
    assert all(asked.method == "GET" for asked in stand_in.requests)
