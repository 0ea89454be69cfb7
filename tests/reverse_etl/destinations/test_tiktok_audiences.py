"""TikTok: its published hashes, its schema, its codes behind a 200."""

import json

import pytest
from conformance import SECRET, Case, Request, Response
from platform_audience import CHANGE, UNUSABLE, PlatformAudience, person, shown

from reverse_etl.destination import Batch, RejectError, RetryError, Row, StopError
from reverse_etl.destinations import tiktok_audiences
from reverse_etl.destinations.tiktok_audiences import TiktokAudiences
from reverse_etl.members import sha256


class Segments(PlatformAudience):
    """An audience segment by its mappings; every answer is a 200."""

    email_type = "EMAIL_SHA256"
    header, login = "access-token", SECRET

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, {"code": 0, "data": {"list": []}})
        body = request.json()
        change = {"add": self.add, "delete": self.remove}[body["action"]]
        for who in body["batch_data"]:
            ids = zip(body["id_schema"], who, strict=True)
            change({kind: each["id"] for kind, each in ids if each})
        return Response(200, {"code": 0, "message": "OK"})


CASES = [
    Case(
        "tiktok_audiences",
        TiktokAudiences,
        Segments,
        {"access_token": SECRET, "advertiser_id": "7", "audience_id": "99"},
        person,
        CHANGE,
        UNUSABLE,
        shown=shown("EMAIL_SHA256", "PHONE_SHA256"),
    )
]

# published: TikTok's help page "About Customer File audiences", normalised value → SHA-256. Its
# hash of a phone number is of the digits without the + (which it says is taken as well); the page
# on this endpoint asks for E.164, so that is what is sent
PUBLISHED = [
    (
        {"email": " JaneDoe@gmail.com"},
        "EMAIL_SHA256",
        "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69",
    ),
    (
        {"aaid": "5F3A2B18-9C4D-4E7F-B8E2-17D3A1E69B25"},
        "AAID_SHA256",
        "83dc3f5f32b9472613b0f038d36f22585a609d018af6f6067f50da318bf354bd",
    ),
]


@pytest.mark.parametrize(("fields", "kind", "hashed"), PUBLISHED)
def test_hashes_are_those_that_tiktok_publishes(fields, kind, hashed):
    assert sha256(tiktok_audiences.normalised(fields, None)[kind]) == hashed


@pytest.mark.parametrize(
    ("given", "plain"), [("(657) 777-0000", "+16577770000"), ("+374 93 828222", "+37493828222")]
)
def test_phones_are_e164(given, plain):
    assert tiktok_audiences.normalised({"phone": given}, "US")["PHONE_SHA256"] == plain


CONNECTION = {"access_token": "s3cret", "advertiser_id": "7", "audience_id": "99"}


@pytest.fixture
def tiktok(stand_in):
    stand_in.says = lambda asked: (200, {"code": 0, "message": "OK"})
    connection = {**CONNECTION, "base_url": stand_in.address, "default_country": "DE"}
    with TiktokAudiences(connection) as destination:
        yield destination


def row_of(key, remote_id=None, **fields):
    return Row(key, "upsert", json.dumps(fields), remote_id, is_new=remote_id is None)


def batch_of(*rows):
    return Batch("ads", "run", 1, "key", ("email",), rows)


def test_an_identifier_that_is_not_there_keeps_its_place(tiktok, stand_in):
    tiktok.send(batch_of(row_of("a", email="a@example.com"), row_of("b", phone="030 123456")))
    (asked,) = stand_in.requests
    assert (asked.method, asked.path) == ("POST", "/segment/mapping/")
    assert asked.headers["access-token"] == "s3cret"
    assert asked.json() == {
        "advertiser_ids": ["7"],
        "action": "add",
        "id_schema": ["EMAIL_SHA256", "PHONE_SHA256"],
        "batch_data": [
            [{"id": sha256("a@example.com"), "audience_ids": ["99"]}, {}],
            [{}, {"id": sha256("+4930123456"), "audience_ids": ["99"]}],
        ],
    }


def test_only_what_changed_is_taken_back_and_first(tiktok, stand_in):
    known = json.dumps([{"EMAIL_SHA256": "old", "PHONE_SHA256": sha256("+4930123456")}])
    tiktok.send(batch_of(row_of("a", known, email="a@example.com", phone="030 123456")))
    assert [asked.json()["action"] for asked in stand_in.requests] == ["delete", "add"]
    assert stand_in.requests[0].json()["id_schema"] == ["EMAIL_SHA256"]


@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        (200, {"code": 40100}, RetryError, "tiktok_40100"),
        (200, {"code": 50002}, RetryError, "tiktok_50002"),
        (200, {"code": 40105}, StopError, "tiktok_40105"),
        (200, {"code": 40001}, StopError, "tiktok_40001"),
        (200, {"code": 40007}, StopError, "tiktok_40007"),
        (200, {"code": 40002}, RejectError, "tiktok_40002"),
        (200, {"message": "?"}, RetryError, "no_code"),
        (503, {}, RetryError, "http_503"),
        (403, {}, StopError, "http_403"),
    ],
)
def test_a_200_is_read_by_its_code(tiktok, stand_in, status, said, kind, code):
    stand_in.says = lambda asked: (status, {"message": "a@example.com", **said})
    with pytest.raises(kind) as raised:
        tiktok.send(batch_of(row_of("a", email="a@example.com")))
    assert raised.value.code == code
    assert "a@example.com" not in str(raised.value)


def test_the_check_only_reads(tiktok, stand_in):
    assert "99" in tiktok.check()
    (asked,) = stand_in.requests
    assert asked.method == "GET"
    assert asked.query == {
        "advertiser_id": ["7"],
        "custom_audience_ids": ['["99"]'],
    }
