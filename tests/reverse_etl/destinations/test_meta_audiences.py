"""Meta: its published hashes, its sessions, its errors."""

import hashlib
import hmac
import json
import os
from pathlib import Path

import pytest
from conformance import SECRET, Case, Request, Response
from platform_audience import CHANGE, UNUSABLE, PlatformAudience, person

from reverse_etl.destination import Batch, RejectError, RetryError, Row, StopError
from reverse_etl.destinations import meta_audiences
from reverse_etl.destinations.meta_audiences import MetaAudiences
from reverse_etl.members import sha256


class Graph(PlatformAudience):
    """A customer list by its multi-key rows."""

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(200, {"id": "23850", "subtype": "CUSTOM"})
        payload = request.json()["payload"]
        assert request.path == "/v25.0/23850/users"
        assert len(payload["data"]) <= 10_000
        change = self.remove if request.method == "DELETE" else self.add
        for row in payload["data"]:
            change({k: v for k, v in zip(payload["schema"], row, strict=True) if v})
        return Response(200, {"num_received": len(payload["data"]), "num_invalid_entries": 0})


def shown(fields):
    return {
        "EMAIL": sha256(fields["email"].strip().lower()),
        "PHONE": sha256(fields["phone"].replace(" ", "").removeprefix("+")),
    }


CASES = [
    Case(
        "meta_audiences",
        MetaAudiences,
        Graph,
        {"access_token": SECRET, "audience_id": "23850"},
        person,
        CHANGE,
        UNUSABLE,
        shown=shown,
    )
]

# published: "Customer Information Parameters" of Meta's documentation, input → expected SHA-256
PUBLISHED = [
    (
        {"email": "John_Smith@gmail.com"},
        "EMAIL",
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
    ),
    (
        {"phone": "(650)555-1212"},
        "PHONE",
        "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
    ),
    (
        {"first_name": "Mary"},
        "FN",
        "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec",
    ),
    (
        {"first_name": "정"},
        "FN",
        "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14",
    ),
    (
        {"first_name": "Valéry"},
        "FN",
        "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c",
    ),
]
# computed: the rules of "Customer Information Parameters", of which it publishes no hash here
BY_THE_RULES = [
    ({"email": " Mary.Jane+News@Example.com "}, "EMAIL", "mary.jane+news@example.com"),
    ({"email": "no address"}, "EMAIL", ""),
    ({"phone": "+49 (0)30 123456"}, "PHONE", "4930123456"),
    ({"phone": "0044 113 496 0987"}, "PHONE", ""),  # not how one dials out of the US
    ({"phone": "+44 113 496 0987"}, "PHONE", "441134960987"),
    ({"phone": "call me"}, "PHONE", ""),
    ({"last_name": "O'Brien-Smith"}, "LN", "obriensmith"),
    ({"first_name": "गौरव"}, "FN", "गौरव"),
    ({"first_name": "Vale\u0301ry"}, "FN", "val\u00e9ry"),
    ({"gender": "Female"}, "GEN", "f"),
    ({"gender": "other"}, "GEN", ""),
    ({"birth_date": "1997-02-16"}, "DOBM", "02"),
    ({"birth_date": "1997-02-16 00:00:00"}, "DOBD", "16"),
    ({"birth_date": "0097-02-16"}, "DOBY", ""),
    ({"city": "St. Louis"}, "CT", "stlouis"),
    ({"state": "New South Wales"}, "ST", "newsouthwales"),
    ({"zip": "94035-1234"}, "ZIP", "94035"),
    ({"zip": "SW1A 1AA"}, "ZIP", "sw1a1aa"),
    ({"zip": "00-950"}, "ZIP", "00950"),
    ({"country": "US"}, "COUNTRY", "us"),
    ({"country": "United States"}, "COUNTRY", ""),
    ({"email": None, "external_id": 12}, "EXTERN_ID", "12"),
]


@pytest.mark.parametrize(("fields", "kind", "hashed"), PUBLISHED)
def test_hashes_are_those_that_meta_publishes(fields, kind, hashed):
    assert sha256(meta_audiences.normalised(fields, "US")[kind]) == hashed


@pytest.mark.parametrize(("fields", "kind", "plain"), BY_THE_RULES)
def test_values_are_normalised_by_metas_rules(fields, kind, plain):
    assert meta_audiences.normalised(fields, "US")[kind] == plain


CONNECTION = {"access_token": "s3cret", "audience_id": "23850"}


@pytest.fixture
def meta(stand_in):
    with MetaAudiences({**CONNECTION, "base_url": stand_in.address}) as destination:
        yield destination


def rows_of(*emails):
    return [Row(email[0], "upsert", json.dumps({"email": email})) for email in emails]


def batch_of(rows, **more):
    return Batch("ads", "run", 1, "key", ("email",), rows, **more)


def test_people_are_added_and_removed_where_meta_says(meta, stand_in):
    added = meta.send(batch_of(rows_of("a@example.com", "b@example.com")))
    known = added.rows["a"].remote_id
    meta.send(batch_of([Row("a", "remove", "{}", known)]))
    add, remove = stand_in.requests
    assert (add.method, add.path) == ("POST", "/v25.0/23850/users")
    assert (remove.method, remove.path) == ("DELETE", "/v25.0/23850/users")
    assert add.headers["authorization"] == "Bearer s3cret"
    assert add.json() == {
        "payload": {
            "schema": ["EMAIL"],
            "data": [[sha256("a@example.com")], [sha256("b@example.com")]],
        }
    }
    assert remove.json()["payload"]["data"] == [[sha256("a@example.com")]]


def test_old_identifiers_go_before_the_new_ones_come(meta, stand_in):
    known = json.dumps([{"EMAIL": sha256("old@example.com"), "PHONE": "1"}])
    fields = json.dumps({"email": "new@example.com"})
    meta.send(batch_of([Row("a", "upsert", fields, known, is_new=False)]))
    assert [asked.method for asked in stand_in.requests] == ["DELETE", "POST"]
    gone = stand_in.requests[0].json()["payload"]
    assert gone == {"schema": ["EMAIL", "PHONE"], "data": [[sha256("old@example.com"), "1"]]}


def test_a_replacement_is_one_session_over_all_batches(meta, stand_in):
    for position, email in enumerate(("a@example.com", "b@example.com"), start=1):
        meta.send(batch_of(rows_of(email), mode="replace", position=position, of=2, total_rows=2))
    first, second = (asked.json()["session"] for asked in stand_in.requests)
    assert {asked.path for asked in stand_in.requests} == {"/v25.0/23850/usersreplace"}
    assert first["session_id"] == second["session_id"] > 0
    assert [each["batch_seq"] for each in (first, second)] == [1, 2]
    assert [each["last_batch_flag"] for each in (first, second)] == [False, True]
    assert first["estimated_num_total"] == 2


def test_an_app_secret_proves_the_token_and_is_not_shown(stand_in):
    connection = {**CONNECTION, "base_url": stand_in.address, "app_secret": "hidden"}
    with MetaAudiences(connection) as destination:
        batch = batch_of(rows_of("a@example.com"))
        destination.send(batch)
        destination.check()
        proof = hmac.new(b"hidden", b"s3cret", hashlib.sha256).hexdigest()
        assert all(asked.query["appsecret_proof"] == [proof] for asked in stand_in.requests)
        shown = " ".join(body.title + body.content for body in destination.bodies(batch))
        assert proof not in shown


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"num_invalid_entries": 0}, set()),
        ({"num_invalid_entries": 2, "invalid_entry_samples": []}, {"a", "b"}),
        (
            {"num_invalid_entries": 1, "invalid_entry_samples": {"x": [sha256("b@example.com")]}},
            {"b"},
        ),
        ({"num_invalid_entries": 1, "invalid_entry_samples": ["?"]}, set()),
    ],
)
def test_invalid_entries_are_put_on_rows_where_meta_lets_us(meta, stand_in, said, refused):
    stand_in.says = lambda asked: (200, said)
    answer = meta.send(batch_of(rows_of("a@example.com", "b@example.com")))
    assert {key for key, row in answer.rows.items() if row.error_code} == refused
    assert bool(answer.remark) == bool(said["num_invalid_entries"])


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (400, {"code": 17}, RetryError, "meta_17"),
        (400, {"code": 80003}, RetryError, "meta_80003"),
        (500, {"code": 2}, RetryError, "meta_2"),
        (400, {"code": 3920, "is_transient": True}, RetryError, "meta_3920"),
        (400, {"code": 190, "error_subcode": 463}, StopError, "meta_190"),
        (401, {"code": 190}, StopError, "meta_190"),
        (403, {"code": 200}, StopError, "meta_200"),
        (400, {"code": 100, "error_subcode": 1713230}, StopError, "meta_100"),
        (400, {"code": 2650}, StopError, "meta_2650"),
        (400, {"code": 100}, RejectError, "meta_100"),
        (200, {"code": 100}, RejectError, "meta_100"),
    ],
)
def test_errors_mean_what_meta_says(meta, stand_in, status, error, kind, code):
    stand_in.says = lambda asked: (status, {"error": {"message": "a@example.com?", **error}})
    with pytest.raises(kind) as raised:
        meta.send(batch_of(rows_of("a@example.com")))
    assert raised.value.code == code
    assert "a@example.com" not in str(raised.value)


def test_a_throttled_request_waits_as_long_as_meta_says(meta, stand_in):
    usage = json.dumps({"1": [{"call_count": 100, "estimated_time_to_regain_access": 3}]})
    headers = {"X-Business-Use-Case-Usage": usage}
    stand_in.says = lambda asked: (400, {"error": {"code": 80003}}, headers)
    with pytest.raises(RetryError) as raised:
        meta.send(batch_of(rows_of("a@example.com")))
    assert raised.value.after_seconds == 180.0
    assert not raised.value.maybe_applied


def test_the_check_only_reads(meta, stand_in):
    assert "23850" in meta.check()
    assert [asked.method for asked in stand_in.requests] == ["GET"]


def test_requests_are_those_of_metas_own_sdk():
    """The edges and parameters of its API description."""
    specs = Path(os.environ.get("MAINSTEM_VENDOR_SPECS", "../shared/vendor_specs"))
    spec = specs / "meta" / "CustomAudience.json"
    if not spec.exists():
        pytest.skip("no vendor specs: set MAINSTEM_VENDOR_SPECS to the folder that has them")
    edges = {
        (edge["method"], edge["endpoint"]): {param["name"]: param for param in edge["params"]}
        for edge in json.loads(spec.read_text())["apis"]
        if edge.get("endpoint")
    }
    destination = MetaAudiences(CONNECTION)
    known = json.dumps([{"EMAIL": "1"}])
    for batch in (
        batch_of(rows_of("a@example.com")),
        batch_of([Row("a", "remove", "{}", known)]),
        batch_of(rows_of("a@example.com"), mode="replace"),
    ):
        (call,) = destination.calls(batch)
        params = edges[call.method, call.path.rpartition("/")[2]]
        body = json.loads(call.content)
        assert set(body) <= set(params)
        assert {name for name, param in params.items() if param["required"]} <= set(body)
