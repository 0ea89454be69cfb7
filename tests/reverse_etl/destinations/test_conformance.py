"""What every HTTP destination does, played against a stand-in for its vendor over a real socket.

A destination takes part by a list `CASES` in its own test module.
"""

import importlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import openapi
import pytest
from conformance import SECRET, Books, Case, Response, Vendor, serve

from reverse_etl import destinations
from reverse_etl.destination import DestinationError, Job, RetryError, StopError
from reverse_etl.http import HttpDestination

MODULES = [
    importlib.import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    if not path.stem.startswith(Path(__file__).stem)
]
CASES: list[Case] = [case for module in MODULES for case in getattr(module, "CASES", ())]

# they have no vendor: the protocol is ours, and test_sync.py and test_faults.py are about it
WITHOUT_VENDOR = {"webhook"}


@pytest.fixture(params=CASES, ids=lambda case: str(case.id))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def vendor(case: Case) -> Vendor:
    return case.vendor()


@pytest.fixture
def books(case: Case, vendor: Vendor) -> Iterator[Books]:
    with serve(vendor) as address, case.destination(address) as destination:
        yield Books(case, destination)


def people(case: Case, count: int = 5) -> dict[int, dict[str, object]]:
    return {n: case.person(n) for n in range(count)}


def test_every_http_destination_takes_part() -> None:
    types = {
        name
        for name in destinations.names()
        if issubclass(destinations.find(name), HttpDestination)
    }
    tried = {str(case.destination().__class__.__module__).rpartition(".")[2] for case in CASES}
    assert tried == types - WITHOUT_VENDOR


def test_who_enters_changes_and_leaves_is_right_at_the_vendor(
    case: Case, vendor: Vendor, books: Books
) -> None:
    everyone = people(case)
    books.add(everyone)
    assert vendor.members() == case.expected(everyone)
    everyone[1] = everyone[1] | case.change
    books.add({1: everyone[1]})
    assert vendor.members() == case.expected(everyone)
    if books.destination.capabilities.changed_fields:
        everyone[2] = everyone[2] | case.change
        books.add({2: dict(case.change)})
        assert vendor.members() == case.expected(everyone)
    if not books.destination.capabilities.removal:
        return
    books.remove([0, 3])
    del everyone[0], everyone[3]
    assert vendor.members() == case.expected(everyone)
    everyone[3] = case.person(3)
    books.add({3: everyone[3]})
    assert vendor.members() == case.expected(everyone)
    assert not books.errors


def test_sending_again_repeats_nothing(case: Case, vendor: Vendor, books: Books) -> None:
    everyone = people(case)
    batch = books.batch(everyone)
    books.send(batch)
    books.send(batch)
    assert vendor.members() == case.expected(everyone)
    assert not books.errors
    if not books.destination.capabilities.removal:
        return
    leaving = books.batch([0, 1], "remove")
    books.send(leaving)
    books.send(leaving)
    assert vendor.members() == case.expected({n: everyone[n] for n in (2, 3, 4)})
    assert not books.errors


def test_who_may_have_arrived_without_an_answer_can_be_removed(
    case: Case, vendor: Vendor, books: Books
) -> None:
    if not books.destination.capabilities.removal:
        pytest.skip(f"{case.id} removes nobody")
    batch = books.batch(people(case))
    with pytest.raises(RetryError):
        vendor.after = [Response(500)] * 9
        books.send(batch)
    vendor.after = []
    books.send(batch)
    # the answer was lost: what is left is what follows from the batch
    books.remote_ids = dict(books.destination.addresses(batch))
    books.remove(list(people(case)))
    assert vendor.members() == {}


def test_what_is_shown_is_what_is_sent(case: Case, vendor: Vendor, books: Books) -> None:
    operations = ("upsert", "remove") if books.destination.capabilities.removal else ("upsert",)
    for operation in operations:
        batch = books.batch(people(case) if operation == "upsert" else [0, 1], operation)
        before = len(vendor.requests)
        bodies = books.destination.bodies(batch)
        assert len(vendor.requests) == before
        assert bodies
        books.send(batch)
        sent = [request.body.decode() for request in vendor.requests[before:]]
        for body in bodies:
            assert body.content in sent
        assert SECRET not in repr([(body.title, body.content) for body in bodies])


def test_one_bad_row_is_named_and_the_others_arrive(
    case: Case, vendor: Vendor, books: Books
) -> None:
    if case.bad is None:
        pytest.skip(f"{case.id} refuses no single row")
    everyone = people(case, 9)
    books.add(everyone | {4: everyone[4] | case.bad})
    del everyone[4]
    assert vendor.members() == case.expected(everyone)
    assert set(books.errors) == {case.key(4)}
    told = books.errors[case.key(4)]
    assert told.error_code
    assert told.error


def test_asked_to_slow_down_it_says_for_how_long(case: Case, vendor: Vendor, books: Books) -> None:
    headers, seconds = case.told_to_wait
    moment = str(int(time.time()) + 30)
    vendor.script = [
        Response(429, headers={n: v.format(moment=moment) for n, v in headers.items()})
    ]
    with pytest.raises(RetryError) as caught:
        books.send(books.batch(people(case)))
    assert not caught.value.maybe_applied
    assert caught.value.after_seconds == (
        None if seconds is None else pytest.approx(seconds, abs=2)
    )
    assert vendor.members() == {}


def test_a_vendor_in_trouble_is_asked_again(case: Case, vendor: Vendor, books: Books) -> None:
    everyone = people(case)
    batch = books.batch(everyone)
    for status in (500, 502, 503):
        vendor.after = [Response(status)]
        with pytest.raises(RetryError) as caught:
            books.send(batch)
        assert caught.value.maybe_applied
    books.send(batch)
    assert vendor.members() == case.expected(everyone)


STRANGE = (b"", b"<html>", b"null", b"7", b"[]", b"[7]", b"{}", b'{"data":null}', b'{"data":[7]}',
           b'{"errors":7}', b'{"errors":[{}]}', b'{"results":[{}]}', b'{"job_status":{}}', b'{"id":null}')  # fmt: skip


@pytest.mark.parametrize("operation", ["upsert", "remove"])
def test_an_answer_in_a_shape_of_its_own_is_no_crash(
    case: Case, vendor: Vendor, books: Books, operation: str
) -> None:
    if operation == "remove" and not books.destination.capabilities.removal:
        pytest.skip(f"{case.id} removes nobody")
    batch = books.batch(people(case) if operation == "upsert" else [0, 1], operation)
    for status in (200, 207):
        for strange in STRANGE:
            vendor.script = [Response(status, strange)] * 9
            try:
                answer = books.destination.send(batch)
                if isinstance(answer, Job):
                    books.destination.collect(batch, answer.job_id)
            except DestinationError as error:
                assert not isinstance(error, StopError)
    vendor.script = []
    books.send(batch)
    assert vendor.members() == case.expected(people(case) if operation == "upsert" else {})


def test_an_expired_login_is_renewed_or_named(case: Case, vendor: Vendor, books: Books) -> None:
    everyone = people(case)
    vendor.token = "another"
    if case.renews:
        books.add(everyone)
        assert vendor.members() == case.expected(everyone)
        return
    with pytest.raises(StopError, match=f"connection.{case.login_key}"):
        books.send(books.batch(everyone))
    assert vendor.members() == {}


def test_no_error_has_personal_data_or_a_secret(case: Case, vendor: Vendor, books: Books) -> None:
    everyone = people(case)
    batch = books.batch(everyone)
    quoted = json.dumps({"message": f"bad {SECRET}", "errors": [everyone[0]]}).encode()
    for status in (400, 401, 403, 404, 422, 429, 500):
        vendor.script = [Response(status, quoted)] * 3
        with pytest.raises(DestinationError) as caught:
            books.settled(batch)
        for value in [SECRET, *map(str, everyone[0].values())]:
            assert len(value) < 3 or value not in f"{caught.value} {caught.value.code}"
        vendor.script = []
    assert SECRET not in repr(batch)


def test_a_body_stays_within_what_the_vendor_takes(
    case: Case, vendor: Vendor, books: Books
) -> None:
    limits = books.destination.capabilities
    if limits.max_bytes is None:
        pytest.skip(f"{case.id} has no limit in bytes")
    # packed as the engine packs: the fields as JSON, and row_overhead beside them
    change = dict.fromkeys(case.change, "ü" * 2_000)
    row = json.dumps(case.person(0) | change, ensure_ascii=False, separators=(",", ":")).encode()
    rows = int(limits.max_bytes * 0.98) // (len(row) + limits.row_overhead + 1)
    batch = books.batch({n: case.person(n) | change for n in range(min(rows, limits.max_rows))})
    for body in books.destination.bodies(batch):
        assert len(body.content.encode()) <= limits.max_bytes


def test_making_one_and_checking_it_changes_nothing(
    case: Case, vendor: Vendor, books: Books
) -> None:
    assert vendor.requests == []
    assert books.destination.check()
    assert vendor.requests or not case.tries_login
    assert vendor.members() == {}
    books.add(people(case))
    before = dict(vendor.members())
    books.destination.check()
    assert vendor.members() == before


def test_a_check_tells_a_wrong_login(case: Case, vendor: Vendor, books: Books) -> None:
    if case.renews or not case.tries_login:
        pytest.skip("it gets itself a new login, or cannot try one")
    vendor.token = "another"
    with pytest.raises(StopError, match=f"connection.{case.login_key}"):
        books.destination.check()


def test_requests_are_what_the_vendor_describes(case: Case, vendor: Vendor, books: Books) -> None:
    if not case.specs:
        pytest.skip(f"no description of {case.id}'s vendor was to be had")
    described = [openapi.Description(spec) for spec in case.specs]
    everyone = people(case)
    books.add(everyone)
    books.add({1: everyone[1] | case.change})
    books.add(
        {2: dict.fromkeys(everyone[2]) | {k: v for k, v in everyone[2].items() if k in must(case)}}
    )
    if books.destination.capabilities.removal:
        books.remove([0, 3])
    books.destination.check()
    missing = {path for spec in case.specs for path in spec.missing}
    for request in vendor.requests:
        if f"{request.method} {request.path}" in missing:
            continue
        found = [one.complaints(request) for one in described]
        assert [] in found, (request.method, request.path, found)


def test_a_request_that_is_not_described_is_noticed() -> None:
    described = openapi.Description(openapi.Spec("hubspot/2026-03__contacts.json"))
    path, headers = "/crm/objects/2026-03/contacts/batch/read", {"content-type": "application/json"}
    right = {"inputs": [{"id": "1"}], "properties": [], "propertiesWithHistory": []}
    for method, body, complaint in (
        ("POST", right, ""),
        ("PUT", right, "there is no PUT"),
        ("POST", {"inputs": right["inputs"]}, "'properties' is a required property"),
        ("POST", right | {"inputs": [{"id": 1}]}, "1 is not of type 'string'"),
    ):
        request = openapi.Request(method, path, {}, headers, json.dumps(body).encode())
        assert complaint in "; ".join(described.complaints(request))
        assert complaint or not described.complaints(request)


def must(case: Case) -> frozenset[str]:
    """The fields that a row has to have a value in."""
    capabilities = case.destination().capabilities
    return capabilities.required_fields | capabilities.one_of_fields
