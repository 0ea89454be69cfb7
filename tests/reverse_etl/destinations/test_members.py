"""What holds for every platform that is sent hashed people: nobody stays behind, nothing is plain.

Each platform is played by a stand-in that keeps an audience as the set of identifiers that were
added and not taken back, reading the vendor's own requests.
"""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reverse_etl import destinations
from reverse_etl.destination import Batch, BatchAnswer, Job, Row, StopError
from reverse_etl.http import Pace

CONNECTIONS = {
    "meta_audiences": {"access_token": "s3cret", "audience_id": "1"},
    "google_customer_match": {
        "account_id": "123-456-7890",
        "audience_id": "1",
        "customer_match_terms": "accepted",
        "client_id": "c",
        "client_secret": "s3cret",
        "refresh_token": "s3cret",
    },
    "tiktok_audiences": {"access_token": "s3cret", "advertiser_id": "7", "audience_id": "1"},
    "linkedin_audiences": {"access_token": "s3cret", "segment_id": "1"},
}
FIELDS = {"linkedin_audiences": ("email",)}


class Audience:
    """The identifiers that a platform holds."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.requests = 0

    def add(self, *identifiers: str) -> None:
        self.held |= set(identifiers)

    def remove(self, *identifiers: str) -> None:
        self.held -= set(identifiers)

    def meta_audiences(self, asked):
        payload = asked.json()["payload"]
        change = self.remove if asked.method == "DELETE" else self.add
        for who in payload["data"]:
            assert len(who) == len(payload["schema"])
            change(*filter(None, who))
        return 200, {"num_received": len(payload["data"]), "num_invalid_entries": 0}

    def google_customer_match(self, asked):
        if "audienceMembers" not in asked.path:
            status = {"requestStatusPerDestination": [{"requestStatus": "SUCCESS"}]}
            return 200, status
        change = self.remove if asked.path.endswith(":remove") else self.add
        for who in asked.json()["audienceMembers"]:
            for identifier in who["userData"]["userIdentifiers"]:
                change(*map(str, identifier.values()))
        self.requests += 1
        return 200, {"requestId": f"r{self.requests}"}

    def tiktok_audiences(self, asked):
        body = asked.json()
        change = self.add if body["action"] == "add" else self.remove
        for who in body["batch_data"]:
            assert len(who) == len(body["id_schema"])
            change(*(each["id"] for each in who if each))
        return 200, {"code": 0, "message": "OK"}

    def linkedin_audiences(self, asked):
        assert asked.headers["x-restli-method"] == "BATCH_CREATE"
        elements = asked.json()["elements"]
        for element in elements:
            change = self.add if element["action"] == "ADD" else self.remove
            change(*(each["idValue"] for each in element["userIds"]))
        return 200, {"elements": [{"status": 201} for _ in elements]}


def destination_of(name, stand_in, **more):
    destination = destinations.find(name)(
        {**CONNECTIONS[name], "base_url": stand_in.address, **more}
    )
    # the vendors' real pace would make hundreds of requests wait
    destination._pace = Pace(None)
    if name == "google_customer_match":
        destination._token = "t"
    return destination


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


@pytest.fixture(params=sorted(CONNECTIONS))
def platform(request, stand_in):
    audience = Audience()
    stand_in.says = getattr(audience, request.param)
    with destination_of(request.param, stand_in, **_country(request.param)) as destination:
        yield request.param, destination, audience, stand_in


def _country(name):
    return {} if name == "linkedin_audiences" else {"default_country": "DE"}


PHONES = st.sampled_from([None, "+49 30 123456", "030 654321", "no phone"])
EMAILS = st.sampled_from(["a@example.com", "A@Example.com", "b+c@gmail.com", "nothing", None])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(EMAILS, PHONES), min_size=1, max_size=5), st.booleans())
def test_whatever_a_person_was_called_nothing_stays_when_they_go(platform, names, is_lost):
    """A person changes email and phone, an answer may get lost, and then they leave."""
    name, destination, audience, _ = platform
    audience.held.clear()
    known = None
    for email, phone in names:
        fields = {"email": email} if name in FIELDS else {"email": email, "phone": phone}
        batch = batch_of(upsert("k", known, **fields))
        answer = settle(destination, batch)
        told = answer.rows["k"]
        if told.error_code is None:
            expected = destination.identifiers({"email": email, "phone": phone})
            sent = {str(value) for value in expected.values() if value}
            assert audience.held == sent
        # what is kept when no answer came has to do as well as the answer
        given_up = dict(destination.addresses(batch)).get("k", told.remote_id)
        known = given_up if is_lost else told.remote_id
    if known:
        settle(destination, batch_of(Row("k", "remove", "{}", known)))
    assert audience.held == set()


def test_nothing_plain_is_sent_kept_or_said(platform):
    _, destination, _, stand_in = platform
    row = upsert("k", email="Jane.Doe@example.com", phone="+49 30 765432", first_name="Jane")
    answer = settle(destination, batch_of(row))
    kept = answer.rows["k"].remote_id
    bodies = " ".join(body.title + body.content for body in destination.bodies(batch_of(row)))
    for text in (kept, bodies, *(asked.body.decode() for asked in stand_in.requests)):
        assert "jane" not in text.lower()
        assert "765432" not in text
        assert "s3cret" not in text


def test_what_is_shown_is_what_is_sent(platform):
    _, destination, _, stand_in = platform
    batch = batch_of(upsert("k", email="a@example.com"), upsert("l", email="b@example.com"))
    shown = destination.bodies(batch)
    settle(destination, batch)
    sent = [asked for asked in stand_in.requests if asked.body]
    assert [(body.title.split()[0], body.content) for body in shown] == [
        (asked.method, asked.body.decode()) for asked in sent
    ]


def test_a_row_without_a_usable_identifier_is_refused_alone(platform):
    _, destination, audience, _ = platform
    answer = settle(
        destination, batch_of(upsert("bad", email="none"), upsert("good", email="a@example.com"))
    )
    assert answer.rows["bad"].error_code == "no_identifier"
    assert answer.rows["good"].error_code is None
    assert audience.held


def test_a_batch_without_a_usable_identifier_asks_nothing(platform):
    _, destination, _, stand_in = platform
    answer = settle(destination, batch_of(upsert("bad", email="none")))
    assert answer.rows["bad"].error_code == "no_identifier"
    assert (answer.requests, stand_in.requests) == (0, [])


def test_nobody_can_be_taken_back_whose_identifiers_are_not_known(platform):
    _, destination, _, stand_in = platform
    answer = settle(destination, batch_of(Row("k", "remove", "{}", None)))
    assert answer.rows["k"].error_code == "unknown_identifiers"
    assert stand_in.requests == []


def test_a_batch_sent_again_is_the_same_and_changes_nothing(platform):
    _, destination, audience, stand_in = platform
    batch = batch_of(upsert("k", email="a@example.com"))
    settle(destination, batch)
    held = set(audience.held)
    settle(destination, replace(batch))
    assert audience.held == held
    bodies = [asked.body for asked in stand_in.requests if asked.body]
    assert len(set(bodies)) == 1


def test_a_country_that_is_none_is_said_at_once():
    connection = {**CONNECTIONS["meta_audiences"], "default_country": "Germany"}
    with pytest.raises(StopError, match="default_country"):
        destinations.find("meta_audiences")(connection)
