"""Meta Custom Audiences (Facebook, Instagram): people as hashed identifiers in a customer list.

`POST` and `DELETE /{audience}/users`, 10,000 people each; in mode `replace` a session of
`POST /{audience}/usersreplace`. Multi-key schema: several identifiers of one person in one row.

Read in Meta's documentation: endpoints, session, answers and errors in "Custom Audience Users" and
"Custom Audience Usersreplace" (Marketing API reference); normalising and hashing in "Customer
Information Parameters", whose examples the tests use, and in "Customer File Custom Audiences";
codes in "Handling Errors" of the Graph API and "Rate Limiting" of the Marketing API. On secondary
pages only: that 80000 to 80014 are throttling. From memory: subcode 33, and that the samples of
invalid entries quote what was sent (where they do not, nothing is read into them).
"""

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import httpx

from reverse_etl.answers import body_of, in_parts
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call, json_call
from reverse_etl.members import (
    Identifiers,
    MemberDestination,
    e164,
    is_email,
    sha256,
    text,
)
from reverse_etl.pacing import asked_to_wait

# Meta's key types, in the order in which a row gives them
IDENTIFIERS = ("EXTERN_ID", "EMAIL", "PHONE")
PERSON = ("GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "CT", "ST", "ZIP", "COUNTRY")
SCHEMA = (*IDENTIFIERS, *PERSON)
NOT_HASHED = frozenset({"EXTERN_ID"})
# first letters of Unicode's general categories
PUNCTUATION, PUNCTUATION_DIGITS_BLANKS = "PS", "PSNZ"
US_ZIP = re.compile(r"(\d{5})-\d{4}")
GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f"}

THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
TEMPORARY = frozenset({1, 2})
BAD_LOGIN = frozenset({102, 190})
NO_PERMISSION = frozenset({3, 10, *range(200, 300)})
# 368: blocked for now as abusive; 2650: the audience does not take this. Subcodes 33: no such object,
# or not for this login; 1713230: the audience is blocked by an integrity check
BAD_AUDIENCE = frozenset({368, 2_650})
BAD_AUDIENCE_SUBCODES = frozenset({33, 1_713_230})


class MetaAudiences(MemberDestination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=10_000,
        modes=frozenset({"mirror", "upsert", "add_only", "replace"}),
        removal=True,
        connection_keys=frozenset({"access_token", "audience_id"}),
        optional_connection_keys=COMMON_KEYS | {"app_secret", "api_version", "default_country"},
        secret_keys=frozenset({"access_token", "app_secret"}),
        known_fields=frozenset(
            {"email", "phone", "external_id", "first_name", "last_name", "gender", "birth_date"}
            | {"city", "state", "zip", "country"}
        ),
        one_of_fields=frozenset({"email", "phone", "external_id"}),
        parallel=2,
        repeats_in_parts=True,
        one_operation=True,
        cannot="Meta counts the entries it finds invalid and names at most a sample of them, so a "
        "refused row may count as sent; it says of nobody whether they were matched. Advertising "
        "ids are not sent: Meta wants them unhashed, and the ledger keeps what is sent.",
    )
    base_url = "https://graph.facebook.com"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._audience = f"{connection.get('api_version') or 'v25.0'}/{connection['audience_id']}"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.connection['access_token']}"}

    def request(self, call: Call) -> httpx.Response:
        """Make a call; with `app_secret` it carries the proof that "Secure Graph API Calls" asks for."""
        secret = self.connection.get("app_secret")
        if not secret:
            return super().request(call)
        token = self.connection["access_token"]
        proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        joint = "&" if "?" in call.path else "?"
        return super().request(replace(call, path=f"{call.path}{joint}appsecret_proof={proof}"))

    def identifiers(self, fields: Mapping[str, Any]) -> Identifiers:
        plain = normalised(fields, self._country)
        return {
            kind: plain[kind] if kind in NOT_HASHED else sha256(plain[kind])
            for kind in SCHEMA
            if plain.get(kind)
        }

    def calls(self, batch: Batch) -> Sequence[Call]:
        members = self.members(batch)
        now = [member.now for member in members if member.now]
        if batch.mode == "replace":
            body = {"session": session_of(batch), "payload": payload_of(now)}
            return [json_call("POST", f"{self._audience}/usersreplace", body)]
        # a row that goes and comes back ends in the audience, because this order is kept
        stale = [old for member in members for old in member.stale]
        return [
            json_call(method, f"{self._audience}/users", {"payload": payload_of(part)})
            for method, people in (("DELETE", stale), ("POST", now))
            for part in in_parts(people, self.capabilities.max_rows)
        ]

    def read(self, batch: Batch, response: httpx.Response) -> Mapping[str, RowAnswer]:
        """The rows among the entries that Meta names as invalid; all of them if all are."""
        if response.request.method != "POST":
            return {}
        said = body_of(response)
        refused = RowAnswer(
            error_code="invalid_entry", error="Meta counts this entry among the invalid ones"
        )
        members = [member for member in self.members(batch) if member.now]
        if _count(said.get("num_invalid_entries")) >= len(members):
            return {member.row.key: refused for member in members}
        samples = _texts(said.get("invalid_entry_samples"))
        return {member.row.key: refused for member in members if samples & set(member.now.values())}

    def remark(self, response: httpx.Response) -> str:
        """What an answer says of the batch and of no row."""
        invalid = _count(body_of(response).get("num_invalid_entries"))
        return f"Meta found {invalid} entries invalid" if invalid else ""

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        error = body_of(response).get("error")
        if not isinstance(error, dict):
            return super().trouble(response)
        return _trouble(error, response)

    def reason(self, response: httpx.Response) -> str:
        error = body_of(response).get("error")
        said = error if isinstance(error, dict) else {}
        return str(said.get("error_user_msg") or said.get("message") or "")

    def check(self) -> str:
        self.request(Call("GET", f"{self._audience}?fields=id,subtype"))
        return f"the audience {self.connection['audience_id']} is there for this login"


def normalised(fields: Mapping[str, Any], country: str | None) -> Mapping[str, str]:
    """Meta's key types with the values to hash; a value that cannot be one is left out.

    `country` is what phone numbers without a country's code are read as.
    """
    email = text(fields, "email").lower()
    born = _date(text(fields, "birth_date"))
    region = text(fields, "country").lower()
    return {
        "EXTERN_ID": text(fields, "external_id"),
        "EMAIL": email if is_email(email) else "",
        "PHONE": e164(text(fields, "phone"), country).removeprefix("+"),
        "GEN": GENDERS.get(text(fields, "gender").lower(), ""),
        "DOBY": f"{born.year:04}" if born else "",
        "DOBM": f"{born.month:02}" if born else "",
        "DOBD": f"{born.day:02}" if born else "",
        "LN": _without(PUNCTUATION, text(fields, "last_name")),
        "FN": _without(PUNCTUATION, text(fields, "first_name")),
        "CT": _without(PUNCTUATION_DIGITS_BLANKS, text(fields, "city")),
        "ST": _without(PUNCTUATION_DIGITS_BLANKS, text(fields, "state")),
        "ZIP": _zip(text(fields, "zip").lower()),
        "COUNTRY": region if len(region) == 2 and region.isalpha() else "",
    }


def _without(classes: str, given: str) -> str:
    """Lower-cased, composed (é as one character) and without characters of those classes.

    By Unicode's categories and not by \\w, which would drop the vowel signs of Indic scripts.
    """
    composed = unicodedata.normalize("NFC", given.lower())
    kept = (each for each in composed if unicodedata.category(each)[0] not in classes)
    return "".join(kept).strip()


def _zip(given: str) -> str:
    """No blanks and no dash; of a US code with its extension the first five digits."""
    extended = US_ZIP.fullmatch(given)
    return extended[1] if extended else re.sub(r"[\s-]", "", given)


def _date(given: str) -> date | None:
    """The date that an ISO date or timestamp begins with, from 1900 on."""
    try:
        born = date.fromisoformat(given[:10])
    except ValueError:
        return None
    return born if born.year >= 1900 else None


def payload_of(people: Sequence[Identifiers]) -> Mapping[str, Any]:
    """The `payload` of a request: the key types that are used, and a row of them a person."""
    used = set().union(*people)
    schema = [kind for kind in SCHEMA if kind in used]
    return {"schema": schema, "data": [[who.get(kind, "") for kind in schema] for who in people]}


def session_of(batch: Batch) -> Mapping[str, Any]:
    """The `session` that ties the batches of one replacement together: its id follows from the run."""
    digest = hashlib.sha256(batch.sync_run_id.encode()).digest()
    return {
        "session_id": int.from_bytes(digest[:7]) + 1,
        "batch_seq": batch.position,
        "last_batch_flag": batch.position >= batch.of,
        "estimated_num_total": batch.total_rows,
    }


def _trouble(error: Mapping[str, Any], response: httpx.Response) -> DestinationError:
    """What an error of the Graph API means. Its message is left out: it may quote what was sent."""
    number, subcode = _count(error.get("code")), _count(error.get("error_subcode"))
    said = f"Meta answered error {number}" + (f" ({subcode})" if subcode else "")
    code, status = f"meta_{number}", response.status_code
    if number in THROTTLED:
        return RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=False,
            after_seconds=_regain_seconds(response) or asked_to_wait(response, is_limit=True),
        )
    if number in TEMPORARY or error.get("is_transient") is True or status >= 500:
        return RetryError(said, code=code, http_status=status, maybe_applied=True)
    if number in BAD_LOGIN:
        return StopError(
            f"{said}: the login is not valid (any more), renew connection.access_token",
            code=code,
            http_status=status,
        )
    if number in NO_PERMISSION:
        return StopError(
            f"{said}: connection.access_token lacks a permission (ads_management), or "
            "connection.app_secret does not belong to it",
            code=code,
            http_status=status,
        )
    if number in BAD_AUDIENCE or subcode in BAD_AUDIENCE_SUBCODES:
        return StopError(
            f"{said}: the audience in connection.audience_id is unknown to this login, blocked, or "
            "no customer list; look at it in the Audience Manager",
            code=code,
            http_status=status,
        )
    return RejectError(said, code=code, http_status=status)


def _regain_seconds(response: httpx.Response) -> float | None:
    """The longest `estimated_time_to_regain_access` (minutes) of X-Business-Use-Case-Usage."""
    try:
        usage = json.loads(response.headers.get("X-Business-Use-Case-Usage", ""))
        cases = [case for listed in usage.values() for case in listed]
        minutes = max(_count(case.get("estimated_time_to_regain_access")) for case in cases)
    except (ValueError, AttributeError, TypeError):
        return None
    return minutes * 60.0 or None


def _count(given: object) -> int:
    return given if isinstance(given, int) else 0


def _texts(given: object) -> set[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(given, dict):
        return set(given).union(*map(_texts, given.values()))
    if isinstance(given, list):
        return set().union(*map(_texts, given))
    return {given} if isinstance(given, str) else set()
