"""Google Customer Match: its published formats and hashes, its jobs, its logins."""

import base64
import json
from urllib.parse import parse_qs

import pytest
from conformance import SECRET, Case, Request, Response
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from platform_audience import CHANGE, UNUSABLE, PlatformAudience, person, shown

from reverse_etl.destination import Batch, RejectError, Row, StopError
from reverse_etl.destinations import google_customer_match
from reverse_etl.destinations.google_customer_match import GoogleCustomerMatch
from reverse_etl.members import sha256


class DataManager(PlatformAudience):
    """An audience, requests that take two looks, and the place where logins come from."""

    email_type = "emailAddress"

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = []

    def is_open(self, request: Request) -> bool:
        return request.path == "/token"

    def answer(self, request: Request) -> Response:
        if self.is_open(request):
            return Response(200, {"access_token": self.token, "expires_in": 3599})
        if request.path == "/v1/requestStatus:retrieve":
            number = int(request.query["requestId"][0])
            self.looks[number] += 1
            status = "SUCCESS" if self.looks[number] > 1 else "PROCESSING"
            return Response(200, {"requestStatusPerDestination": [{"requestStatus": status}]})
        if request.method == "GET":
            return Response(200, {"id": "77"})
        body = request.json()
        assert len(body["audienceMembers"]) <= 10_000
        change = {"ingest": self.add, "remove": self.remove}[request.path.rpartition(":")[2]]
        for who in body["audienceMembers"]:
            identifiers = who["userData"]["userIdentifiers"]
            assert 1 <= len(identifiers) <= 10
            change({kind: sent for each in identifiers for kind, sent in each.items()})
        self.looks.append(0)
        return Response(200, {"requestId": str(len(self.looks) - 1)})


def with_refresh_token(connection):
    """Logs in where it sends to."""
    destination = GoogleCustomerMatch(connection)
    destination.token_address = f"{connection['base_url']}/token"
    return destination


CASES = [
    Case(
        "google_customer_match",
        with_refresh_token,
        DataManager,
        {
            "account_id": "123-456-7890",
            "audience_id": "77",
            "customer_match_terms": "accepted",
            "client_id": "client",
            "client_secret": SECRET,
            "refresh_token": SECRET,
        },
        person,
        CHANGE,
        UNUSABLE,
        shown=shown("emailAddress", "phoneNumber"),
        renews=True,
    )
]

# published: "Format user data" of the Data Manager API, input → formatted
FORMATTED = [
    ("email", "cloudy.sanfrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"),
    ("email", "user.name+NYC@Example.com", "user.name+nyc@example.com"),
    ("phone", "(800)555-0100", "+18005550100"),
    # published: the tests of Google's own formatter (googleads/data-manager-python)
    ("email", "Jefferson.LOVES.Hiking@googlemail.com", "jeffersonloveshiking@googlemail.com"),
    ("email", "QuinnY@EXAMPLE.com", "quinny@example.com"),
    ("email", " ...@gmail.com", ""),
    ("email", " @googlemail.com", ""),
    ("email", "quinn", ""),
    ("phone", "1 800 555 0100", "+18005550100"),
    ("phone", "+44-113-496-0987", "+441134960987"),
    ("phone", " +A BCD EFG ", ""),
    # computed, by the same rules
    ("email", "a b@example.com", "ab@example.com"),
    ("email", "cloudy.sanfrancisco@gmail.com.example", "cloudy.sanfrancisco@gmail.com.example"),
]
# published: the tests of Google's own formatter
HASHED = [
    (
        "email",
        "  ALEXZ@example.com   ",
        "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a",
    ),
    (
        "phone",
        "   +1-800-555-0100",
        "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30",
    ),
    (
        "first_name",
        "  GivenName  ",
        "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814",
    ),
    (
        "last_name",
        "  FamilyName ",
        "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574",
    ),
]
OUTCOME = {"first_name": "given_name", "last_name": "family_name"}


@pytest.mark.parametrize(("field", "given", "formatted"), FORMATTED)
def test_values_are_formatted_as_google_publishes(field, given, formatted):
    assert google_customer_match.normalised({field: given}, "US")[field] == formatted


@pytest.mark.parametrize(("field", "given", "hashed"), HASHED)
def test_hashes_are_those_that_google_publishes(field, given, hashed):
    plain = google_customer_match.normalised({field: given}, None)
    assert sha256(plain[OUTCOME.get(field, field)]) == hashed


CONNECTION = {
    "account_id": "123-456-7890",
    "audience_id": "77",
    "customer_match_terms": "accepted",
    "default_country": "DE",
}
REFRESH = {"client_id": "c", "client_secret": "s3cret", "refresh_token": "r3fresh"}
SUCCESS = {"requestStatusPerDestination": [{"requestStatus": "SUCCESS"}]}


class Google:
    """The API: what was asked by method, and the outcome of every request."""

    def __init__(self) -> None:
        self.outcome = SUCCESS
        self.accepted: list[str] = []

    def __call__(self, asked):
        if "requestStatus" in asked.path:
            return 200, self.outcome
        if asked.method == "GET":
            return 200, {"name": asked.path}
        self.accepted.append(asked.path.rpartition(":")[2])
        return 200, {"requestId": f"r{len(self.accepted)}"}


@pytest.fixture
def google(stand_in):
    api = Google()
    stand_in.says = api
    connection = {**CONNECTION, **REFRESH, "base_url": stand_in.address}
    with GoogleCustomerMatch(connection) as destination:
        destination._token = "t0ken"
        yield destination, api


def batch_of(*rows, **more):
    return Batch("ads", "run", 1, "key", ("email",), rows, **more)


def row_of(key="k", remote_id=None, **fields):
    return Row(key, "upsert", json.dumps(fields), remote_id, is_new=remote_id is None)


def test_people_are_ingested_with_consent_and_terms(google, stand_in):
    destination, _ = google
    row = row_of(
        email="a@example.com",
        phone="030 123456",
        first_name="Anne-Marie",
        last_name="Groß",
        country="de",
        postal_code=" 10115 ",
    )
    batch = batch_of(row)
    job = destination.send(batch)
    (asked,) = stand_in.requests
    assert (asked.method, asked.path) == ("POST", "/v1/audienceMembers:ingest")
    assert asked.headers["authorization"] == "Bearer t0ken"
    assert asked.json()["destinations"] == [
        {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "productDestinationId": "77",
        }
    ]
    assert asked.json()["encoding"] == "HEX"
    assert asked.json()["consent"] == {
        "adUserData": "CONSENT_GRANTED",
        "adPersonalization": "CONSENT_GRANTED",
    }
    assert asked.json()["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    assert asked.json()["audienceMembers"] == [
        {
            "userData": {
                "userIdentifiers": [
                    {"emailAddress": sha256("a@example.com")},
                    {"phoneNumber": sha256("+4930123456")},
                    {
                        "address": {
                            "givenName": sha256("annemarie"),
                            "familyName": sha256("groß"),
                            "regionCode": "DE",
                            "postalCode": "10115",
                        }
                    },
                ]
            }
        }
    ]
    assert job.job_id == "adding:r1"
    assert destination.collect(batch, job.job_id).rows["k"].error_code is None


def test_a_job_is_waited_for(google):
    destination, api = google
    batch = batch_of(row_of(email="a@example.com"))
    job = destination.send(batch)
    api.outcome = {"requestStatusPerDestination": [{"requestStatus": "PROCESSING"}]}
    assert destination.collect(batch, job.job_id) is None
    api.outcome = SUCCESS
    assert destination.collect(batch, job.job_id) is not None


def test_new_identifiers_are_added_when_the_old_ones_are_gone(google, stand_in):
    """Also by a process that knows of the job only its id."""
    destination, api = google
    known = json.dumps([{"email": "1", "phone": sha256("+4930123456")}])
    batch = batch_of(row_of(remote_id=known, email="a@example.com", phone="030 123456"))
    job = destination.send(batch)
    assert api.accepted == ["remove"]
    assert stand_in.requests[0].json()["audienceMembers"] == [
        {"userData": {"userIdentifiers": [{"emailAddress": "1"}]}}
    ]
    api.outcome = {"requestStatusPerDestination": [{"requestStatus": "PROCESSING"}]}
    assert destination.collect(batch, job.job_id) is None
    assert api.accepted == ["remove"]
    api.outcome = SUCCESS
    with GoogleCustomerMatch({**CONNECTION, **REFRESH, "base_url": stand_in.address}) as another:
        another._token = "t0ken"
        assert another.collect(batch, job.job_id) is None
        assert api.accepted == ["remove", "ingest"]
        told = another.collect(batch, job.job_id).rows["k"].remote_id
    assert json.loads(told) == [{"email": sha256("a@example.com"), "phone": sha256("+4930123456")}]
    assert api.accepted == ["remove", "ingest"]


def test_a_removal_sends_what_was_sent(google, stand_in):
    destination, api = google
    row = row_of(
        email="a@example.com", first_name="A", last_name="B", country="DE", postal_code="1|2"
    )
    batch = batch_of(row)
    known = destination.collect(batch, destination.send(batch).job_id).rows["k"].remote_id
    gone = batch_of(Row("k", "remove", "{}", known))
    destination.collect(gone, destination.send(gone).job_id)
    assert api.accepted == ["ingest", "remove"]
    added, removed = (asked.json() for asked in stand_in.requests if asked.body)
    assert removed["audienceMembers"] == added["audienceMembers"]
    assert "consent" not in removed


def test_a_request_that_failed_refuses_its_rows(google):
    destination, api = google
    batch = batch_of(row_of(email="a@example.com"), row_of("bad", email="none"))
    job = destination.send(batch)
    reason = {"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_DENIED_CONSENT"}
    failed = {"requestStatus": "FAILED", "errorInfo": {"errorCounts": [reason]}}
    api.outcome = {"requestStatusPerDestination": [failed]}
    rows = destination.collect(batch, job.job_id).rows
    assert rows["k"].error_code == "google_failed"
    assert "DENIED_CONSENT" in rows["k"].error
    assert rows["bad"].error_code == "no_identifier"


def test_a_request_that_failed_in_part_is_remarked_on(google):
    destination, api = google
    batch = batch_of(row_of(email="a@example.com"))
    job = destination.send(batch)
    reason = {"recordCount": "3", "reason": "PROCESSING_ERROR_REASON_INVALID_FORMAT"}
    partly = {"requestStatus": "PARTIAL_SUCCESS", "errorInfo": {"errorCounts": [reason]}}
    api.outcome = {"requestStatusPerDestination": [partly]}
    answer = destination.collect(batch, job.job_id)
    assert answer.rows["k"].error_code is None
    assert "3 INVALID_FORMAT" in answer.remark


def test_a_refusal_keeps_googles_words_apart(google, stand_in):
    destination, _ = google
    stand_in.says = lambda asked: (400, {"error": {"message": "a@example.com is no hash"}})
    with pytest.raises(RejectError) as raised:
        destination.send(batch_of(row_of(email="a@example.com")))
    assert raised.value.detail == "a@example.com is no hash"
    assert "a@example.com" not in str(raised.value)


def test_a_login_that_expired_is_renewed_once(stand_in):
    api = Google()
    tokens = iter(("first", "second"))

    def answer(asked):
        if asked.path == "/token":
            assert parse_qs(asked.body.decode())["refresh_token"] == ["r3fresh"]
            return 200, {"access_token": next(tokens)}
        if asked.headers["authorization"] == "Bearer first":
            return 401, {"error": {"code": 401}}
        return api(asked)

    stand_in.says = answer
    connection = {**CONNECTION, **REFRESH, "base_url": stand_in.address}
    with with_refresh_token(connection) as destination:
        job = destination.send(batch_of(row_of(email="a@example.com")))
    assert job.job_id == "adding:r1"
    assert [asked.path for asked in stand_in.requests].count("/token") == 2


def test_a_service_account_signs_for_its_token(stand_in, tmp_path):
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path = tmp_path / "key.json"
    account = {"client_email": "sync@example.iam", "token_uri": f"{stand_in.address}/token"}
    path.write_text(json.dumps({"private_key": pem, **account}))
    claims = {}

    def answer(asked):
        if asked.path != "/token":
            return 200, {"requestId": "r1"}
        form = parse_qs(asked.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        head, body, signature = form["assertion"][0].split(".")
        private.public_key().verify(
            decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        claims.update(json.loads(decoded(body)))
        return 200, {"access_token": "t"}

    stand_in.says = answer
    connection = {**CONNECTION, "service_account": str(path), "base_url": stand_in.address}
    with GoogleCustomerMatch(connection) as destination:
        destination.send(batch_of(row_of(email="a@example.com")))
    assert claims["iss"] == "sync@example.iam"
    assert claims["aud"] == f"{stand_in.address}/token"
    assert claims["scope"] == "https://www.googleapis.com/auth/datamanager"
    assert 0 < claims["exp"] - claims["iat"] <= 3600


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"customer_match_terms": "not yet"}, "terms_not_accepted"),
        ({"refresh_token": ""}, "no_login"),
        ({"ad_user_data": "perhaps"}, "bad_ad_user_data"),
    ],
)
def test_a_connection_of_no_use_is_said_before_anything_is_sent(changed, code):
    with pytest.raises(StopError) as raised:
        GoogleCustomerMatch({**CONNECTION, **REFRESH, **changed})
    assert raised.value.code == code


def test_a_key_file_that_is_none_is_named_and_not_quoted(stand_in, tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"private_key": "s3cret"}')
    connection = {**CONNECTION, "service_account": str(path), "base_url": stand_in.address}
    with GoogleCustomerMatch(connection) as destination, pytest.raises(StopError) as raised:
        destination.check()
    assert raised.value.code == "bad_service_account"
    assert "s3cret" not in str(raised.value)
    assert stand_in.requests == []


def test_the_check_reads_the_audience(google, stand_in):
    destination, _ = google
    destination.check()
    (asked,) = stand_in.requests
    assert asked.path == "/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/77"


def test_a_manager_account_is_named_where_google_looks_for_it(stand_in):
    stand_in.says = Google()
    manager = {"login_account_id": "9-9", "account_type": "DISPLAY_VIDEO_ADVERTISER"}
    connection = {**CONNECTION, **REFRESH, **manager, "base_url": stand_in.address}
    with GoogleCustomerMatch(connection) as destination:
        destination._token = "t0ken"
        destination.check()
        destination.send(batch_of(row_of(email="a@example.com")))
    read, ingest = stand_in.requests
    assert read.headers["login-account"] == "accountTypes/GOOGLE_ADS/accounts/99"
    (named,) = ingest.json()["destinations"]
    assert named["loginAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "99"}
    assert named["operatingAccount"]["accountType"] == "DISPLAY_VIDEO_ADVERTISER"
