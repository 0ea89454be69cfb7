"""What holds for every platform that is sent hashed people: nobody stays behind, nothing is plain.

The stand-ins are those of the suite: an audience of people, each by the hashes they were added with.
"""

import json
from dataclasses import replace

import pytest
import test_google_customer_match
import test_linkedin_audiences
import test_meta_audiences
import test_tiktok_audiences
from conformance import SECRET, serve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reverse_etl.destination import Batch, BatchAnswer, Job, Row, StopError
from reverse_etl.destinations.meta_audiences import MetaAudiences
from reverse_etl.pacing import Pace

PLATFORMS = {
    case.id: case
    for module in (
        test_google_customer_match,
        test_linkedin_audiences,
        test_meta_audiences,
        test_tiktok_audiences,
    )
    for case in module.CASES
}


def held(vendor):
    return {sent for who in vendor.people for sent in who.values()}


def batch_of(*rows, **more):
    return Batch("ads", "run", 1, "key", ("email",), rows, **more)


def settle(destination, batch):
    """Send a batch and wait for the end of what it started."""
    answer = destination.send(batch)
    if isinstance(answer, Job):
        job = answer
        while (answer := destination.collect(batch, job.job_id)) is None:
            pass
    assert isinstance(answer, BatchAnswer)
    return answer


def upsert(key, remote_id=None, **fields):
    return Row(key, "upsert", json.dumps(fields), remote_id, is_new=remote_id is None)


@pytest.fixture(params=sorted(PLATFORMS))
def platform(request):
    case = PLATFORMS[request.param]
    if "default_country" in case.destination().capabilities.optional_connection_keys:
        case = replace(case, connection={**case.connection, "default_country": "DE"})
    vendor = case.vendor()
    with serve(vendor) as address, case.destination(address) as destination:
        # the vendors' real pace would make hundreds of requests wait
        destination._pace = Pace(None)
        yield destination, vendor


PHONES = st.sampled_from([None, "+49 30 123456", "030 654321", "no phone"])
EMAILS = st.sampled_from(["a@example.com", "A@Example.com", "b+c@gmail.com", "nothing", None])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(EMAILS, PHONES), min_size=1, max_size=5), st.booleans())
def test_whatever_a_person_was_called_nothing_stays_when_they_go(platform, names, is_lost):
    """A person changes email and phone, an answer may get lost, and then they leave."""
    destination, vendor = platform
    vendor.people.clear()
    known = None
    for email, phone in names:
        batch = batch_of(upsert("k", known, email=email, phone=phone))
        answer = settle(destination, batch)
        told = answer.rows["k"]
        if told.error_code is None:
            now = destination.identifiers({"email": email, "phone": phone})
            assert held(vendor) == set(filter(None, now.values()))
        # what is kept when no answer came has to do as well as the answer
        given_up = dict(destination.addresses(batch)).get("k", told.remote_id)
        known = given_up if is_lost else told.remote_id
    if known:
        settle(destination, batch_of(Row("k", "remove", "{}", known)))
    assert vendor.people == []


def test_nothing_plain_is_sent_kept_or_said(platform):
    destination, vendor = platform
    row = upsert("k", email="Jane.Doe@example.com", phone="+49 30 765432", first_name="Jane")
    answer = settle(destination, batch_of(row))
    kept = answer.rows["k"].remote_id
    bodies = " ".join(body.title + body.content for body in destination.bodies(batch_of(row)))
    sent = [asked.body.decode() for asked in vendor.requests if not vendor.is_open(asked)]
    for text in (kept, bodies, *sent):
        assert "jane" not in text.lower()
        assert "765432" not in text
        assert SECRET not in text


def test_a_row_without_a_usable_identifier_is_refused_alone(platform):
    destination, vendor = platform
    answer = settle(
        destination, batch_of(upsert("bad", email="none"), upsert("good", email="a@example.com"))
    )
    assert answer.rows["bad"].error_code == "no_identifier"
    assert answer.rows["good"].error_code is None
    assert len(vendor.people) == 1


def test_a_batch_without_a_usable_identifier_asks_nothing(platform):
    destination, vendor = platform
    answer = settle(destination, batch_of(upsert("bad", email="none")))
    assert answer.rows["bad"].error_code == "no_identifier"
    assert (answer.requests, vendor.requests) == (0, [])


def test_nobody_can_be_taken_back_whose_identifiers_are_not_known(platform):
    destination, vendor = platform
    answer = settle(destination, batch_of(Row("k", "remove", "{}", None)))
    assert answer.rows["k"].error_code == "unknown_identifiers"
    assert vendor.requests == []


def test_a_country_that_is_none_is_said_at_once():
    connection = {"access_token": "t", "audience_id": "1", "default_country": "Germany"}
    with pytest.raises(StopError, match="default_country"):
        MetaAudiences(connection)
