"""LinkedIn: an action and a status an element."""

import json

import pytest
from conformance import SECRET, Case, Request, Response
from platform_audience import PlatformAudience

from reverse_etl.destination import Batch, RetryError, Row, StopError
from reverse_etl.destinations.linkedin_audiences import LinkedinAudiences
from reverse_etl.members import sha256


class Segment(PlatformAudience):
    """A DMP segment by its users."""

    email_type = "SHA256_EMAIL"

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, {"id": 55, "type": "USER"})
        assert request.headers["x-restli-method"] == "BATCH_CREATE"
        elements = request.json()["elements"]
        assert len(elements) <= 5_000
        for element in elements:
            change = {"ADD": self.add, "REMOVE": self.remove}[element["action"]]
            change({each["idType"]: each["idValue"] for each in element["userIds"]})
        return Response(200, {"elements": [{"status": 201} for _ in elements]})


CASES = [
    Case(
        "linkedin_audiences",
        LinkedinAudiences,
        Segment,
        {"access_token": SECRET, "segment_id": "55"},
        lambda n: {"email": f"Person{n}@Example.com "},
        {"email": "new@example.com"},
        {"email": "nobody"},
        shown=lambda fields: {"SHA256_EMAIL": sha256(fields["email"].strip().lower())},
    )
]


@pytest.fixture
def linkedin(stand_in):
    connection = {"access_token": "s3cret", "segment_id": "55", "base_url": stand_in.address}
    with LinkedinAudiences(connection) as destination:
        yield destination


def row_of(key, email, remote_id=None):
    return Row(key, "upsert", json.dumps({"email": email}), remote_id, is_new=remote_id is None)


def batch_of(*rows):
    return Batch("ads", "run", 1, "key", ("email",), rows)


def element(action, hashed):
    return {"action": action, "userIds": [{"idType": "SHA256_EMAIL", "idValue": hashed}]}


def test_additions_and_removals_travel_together_what_goes_first(linkedin, stand_in):
    linkedin.send(
        batch_of(
            row_of("a", "A@example.com "),
            row_of("b", "new@example.com", '[{"SHA256_EMAIL":"old"}]'),
            Row("c", "remove", "{}", '[{"SHA256_EMAIL":"gone"}]'),
        )
    )
    (asked,) = stand_in.requests
    assert (asked.method, asked.path) == ("POST", "/dmpSegments/55/users")
    assert asked.json()["elements"] == [
        element("REMOVE", "old"),
        element("REMOVE", "gone"),
        element("ADD", sha256("a@example.com")),
        element("ADD", sha256("new@example.com")),
    ]
    assert asked.headers["x-restli-method"] == "BATCH_CREATE"
    assert asked.headers["x-restli-protocol-version"] == "2.0.0"
    assert asked.headers["linkedin-version"].isdigit()
    assert asked.headers["authorization"] == "Bearer s3cret"


def test_a_status_is_that_of_the_element_in_its_place(linkedin, stand_in):
    statuses = [{"status": 201}, {"status": 400, "message": "bad hash"}, {"status": 201}]
    stand_in.says = lambda asked: (200, {"elements": statuses})
    answer = linkedin.send(
        batch_of(
            row_of("a", "a@example.com", '[{"SHA256_EMAIL":"old"}]'),
            row_of("b", "b@example.com"),
        )
    )
    # the elements are: old out, a in, b in
    assert answer.rows["a"].error_code == "http_400"
    assert answer.rows["a"].error == "bad hash"
    assert "old" in answer.rows["a"].remote_id
    assert answer.rows["b"].error_code is None


@pytest.mark.parametrize(
    ("status", "headers", "kind", "seconds"),
    [(429, {"Retry-After": "7"}, RetryError, 7.0), (401, {}, StopError, None)],
)
def test_statuses_mean_what_http_says(linkedin, stand_in, status, headers, kind, seconds):
    stand_in.says = lambda asked: (status, {}, headers)
    with pytest.raises(kind) as raised:
        linkedin.send(batch_of(row_of("a", "a@example.com")))
    assert getattr(raised.value, "after_seconds", None) == seconds


def test_the_check_only_reads(linkedin, stand_in):
    assert "55" in linkedin.check()
    assert [(asked.method, asked.path) for asked in stand_in.requests] == [
        ("GET", "/dmpSegments/55")
    ]
