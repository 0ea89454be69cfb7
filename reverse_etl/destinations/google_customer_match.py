"""Google Customer Match through the Data Manager API v1: Google Ads, Display & Video 360.

`audienceMembers:ingest` and `:remove`, 10,000 people a request, answered with a request id whose
outcome `requestStatus:retrieve` tells later; so a batch is a job. An update whose identifiers
changed first removes the old ones, waits for that, and then adds the new ones: nothing says that
Google works on requests in order, and an old phone number may lead to the person just added.

Read in Google's documentation: the reference of the API ("Method: audienceMembers.ingest" and
following) and the comments of the google-ads-datamanager types; normalising in "Format user data",
whose examples the tests use; "Limits and quotas".
"""

import re
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from reverse_etl.answers import body_of, in_parts, items_of
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Capabilities,
    Job,
    Rate,
    RowAnswer,
    StopError,
)
from reverse_etl.google_login import LOGIN_KEYS, TOKEN_ADDRESS, check_login, token_request
from reverse_etl.http import COMMON_KEYS, Call, json_call, trouble_of
from reverse_etl.members import (
    Identifiers,
    MemberDestination,
    difference,
    e164,
    is_email,
    sha256,
    text,
)

SCOPE = "https://www.googleapis.com/auth/datamanager"
GOOGLE_MAIL = frozenset({"gmail.com", "googlemail.com"})
CONSENT = {"granted": "CONSENT_GRANTED", "denied": "CONSENT_DENIED"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ASK_AGAIN_SECONDS = 15.0
PENDING = frozenset({"PROCESSING", "REQUEST_STATUS_UNKNOWN"})
# the steps of a batch; a job's id is the step and the ids of its requests
TAKING_BACK, ADDING, REMOVING = "taking_back", "adding", "removing"
REASON_PREFIX = "PROCESSING_ERROR_REASON_"


class GoogleCustomerMatch(MemberDestination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=10_000,
        modes=frozenset({"mirror", "upsert", "add_only"}),
        removal=True,
        connection_keys=frozenset({"account_id", "audience_id", "customer_match_terms"}),
        optional_connection_keys=COMMON_KEYS
        | LOGIN_KEYS
        | {"account_type", "login_account_id", "login_account_type"}
        | {"ad_user_data", "ad_personalization", "default_country"},
        secret_keys=frozenset({"client_secret", "refresh_token"}),
        known_fields=frozenset(
            {"email", "phone", "first_name", "last_name", "country", "postal_code"}
        ),
        one_of_fields=frozenset({"email", "phone", "last_name"}),
        parallel=2,
        rate=Rate(300, 60.0),
        one_operation=True,
        cannot="Google tells how many people of a request it did not take and why, never which, so "
        "a refused row may count as sent; it says of nobody whether they were matched. A request "
        "carries one state of consent, that of the connection. Advertising ids and ids of your own "
        "are other kinds of list and are not sent.",
    )
    base_url = "https://datamanager.googleapis.com"
    token_address = TOKEN_ADDRESS
    login_key = "service_account (or refresh_token)"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        if connection["customer_match_terms"].strip().lower() != "accepted":
            raise StopError(
                "connection.customer_match_terms is not accepted: read Google's Customer Match "
                "policy, then write accepted",
                code="terms_not_accepted",
            )
        check_login(connection)
        self._consent = {
            "adUserData": _consent(connection, "ad_user_data"),
            "adPersonalization": _consent(connection, "ad_personalization"),
        }
        self._token = ""
        self._logging_in = threading.Lock()
        # a taking back → the adding that followed it in this process
        self._followed: dict[str, str] = {}

    def headers(self) -> Mapping[str, str]:
        with self._logging_in:
            if not self._token:
                self._token = self._new_token()
            login = {"Authorization": f"Bearer {self._token}"}
        # what reads an audience through a manager account wants it here as well
        through = self.connection.get("login_account_id")
        return {**login, "login-account": _name_of(self._account("login_"))} if through else login

    def renew(self) -> bool:
        with self._logging_in:
            self._token = self._new_token()
        return True

    def _new_token(self) -> str:
        address, form = token_request(self.connection, SCOPE, self.token_address)
        response = self._once(Call("POST", address, urlencode(form).encode(), FORM), {})
        if response.status_code in {400, 401, 403}:
            raise StopError(
                f"Google refused the login: look at connection.{self.login_key}",
                code="refused_login",
                http_status=response.status_code,
            )
        if error := trouble_of(response, login_key=self.login_key):
            raise error
        return str(body_of(response).get("access_token", ""))

    def identifiers(self, fields: Mapping[str, Any]) -> Identifiers:
        """Hashes of email and phone; the address as hash|hash|region|postal code, as it is sent."""
        plain = normalised(fields, self._country)
        names = sha256(plain["given_name"]), sha256(plain["family_name"])
        address = (*names, plain["region_code"], plain["postal_code"])
        return {
            "email": sha256(plain["email"]),
            "phone": sha256(plain["phone"]),
            "address": "|".join(address) if all(address) else "",
        }

    def calls(self, batch: Batch) -> Sequence[Call]:
        return [*self._removals(batch), *self._additions(batch)]

    def send(self, batch: Batch) -> BatchAnswer | Job:
        additions = self._additions(batch)
        if removals := self._removals(batch):
            return self._start(TAKING_BACK if additions else REMOVING, removals)
        if additions:
            return self._start(ADDING, additions)
        return BatchAnswer(rows=self.settled(batch), requests=0)

    def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
        """How a job ended. When old identifiers are gone, the new ones are sent from here.

        After a kill that happens again; an audience is a set, so it changes nothing.
        """
        followed = self._followed.get(job_id, job_id)
        step, _, listed = followed.partition(":")
        outcomes = [self._outcome(request_id) for request_id in listed.split(",")]
        if any(status in PENDING for status, _ in outcomes):
            return None
        reasons = "; ".join(dict.fromkeys(reasons for _, reasons in outcomes if reasons))
        if all(status == "FAILED" for status, _ in outcomes):
            return BatchAnswer(rows={**self.settled(batch), **self._refused(batch, reasons)})
        if step == TAKING_BACK:
            self._followed[job_id] = self._start(ADDING, self._additions(batch)).job_id
            return None
        remark = f"Google did not take everybody: {reasons}" if reasons else ""
        return BatchAnswer(rows=self.settled(batch), remark=remark)

    def check(self) -> str:
        """Read the audience ("Method: accountTypes.accounts.userLists.get")."""
        path = f"v1/{_name_of(self._account())}/userLists/{self.connection['audience_id']}"
        self.request(Call("GET", path))
        return f"the audience {self.connection['audience_id']} is there for this login"

    def reason(self, response: httpx.Response) -> str:
        error = body_of(response).get("error")
        return str(error.get("message", "")) if isinstance(error, dict) else ""

    def _start(self, step: str, calls: Sequence[Call]) -> Job:
        ids = [str(body_of(self.request(call)).get("requestId", "")) for call in calls]
        sent = sum(len(call.content) for call in calls)
        return Job(f"{step}:{','.join(ids)}", ASK_AGAIN_SECONDS, sent, requests=len(calls))

    def _outcome(self, request_id: str) -> tuple[str, str]:
        """The status of a request, and how many people it did not take for which reasons."""
        query = urlencode({"requestId": request_id})
        said = body_of(self.request(Call("GET", f"v1/requestStatus:retrieve?{query}")))
        (one, *_) = items_of(said, "requestStatusPerDestination") or [{}]
        counts = items_of(one.get("errorInfo"), "errorCounts")
        reasons = ", ".join(
            f"{each.get('recordCount')} {str(each.get('reason')).removeprefix(REASON_PREFIX)}"
            for each in counts
        )
        return str(one.get("requestStatus", "PROCESSING")), reasons

    def _refused(self, batch: Batch, reasons: str) -> Mapping[str, RowAnswer]:
        said = f"Google took nobody of this request: {reasons or 'it gave no reason'}"
        return {
            key: RowAnswer("google_failed", said, remote_id=sent)
            for key, sent in self.addresses(batch).items()
        }

    def _removals(self, batch: Batch) -> list[Call]:
        stale = [
            difference(old, member.now) for member in self.members(batch) for old in member.stale
        ]
        parts = in_parts(stale, self.capabilities.max_rows)
        return [self._call("remove", part) for part in parts]

    def _additions(self, batch: Batch) -> list[Call]:
        now = [member.now for member in self.members(batch) if member.now]
        terms = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        more = {"consent": self._consent, "termsOfService": terms}
        return [self._call("ingest", now, **more)] if now else []

    def _call(self, method: str, people: Sequence[Identifiers], **more: Any) -> Call:
        destination: dict[str, Any] = {
            "operatingAccount": self._account(),
            "productDestinationId": self.connection["audience_id"],
        }
        if self.connection.get("login_account_id"):
            destination["loginAccount"] = self._account("login_")
        members = [
            {"userData": {"userIdentifiers": [_identifier(*each) for each in who.items()]}}
            for who in people
        ]
        body = {"destinations": [destination], "audienceMembers": members, "encoding": "HEX"}
        return json_call("POST", f"v1/audienceMembers:{method}", {**body, **more})

    def _account(self, prefix: str = "") -> dict[str, str]:
        # Google Ads shows its ids with dashes and takes them without
        return {
            "accountType": self.connection.get(f"{prefix}account_type") or "GOOGLE_ADS",
            "accountId": self.connection[f"{prefix}account_id"].replace("-", ""),
        }


def normalised(fields: Mapping[str, Any], country: str | None) -> Mapping[str, str]:
    """What is hashed (email, phone, names) or sent as it is; a value that cannot be one is empty.

    `country` is what phone numbers without a country's code are read as.
    """
    region = text(fields, "country").upper()
    return {
        "email": _email(text(fields, "email")),
        "phone": e164(text(fields, "phone"), country),
        "given_name": _name(text(fields, "first_name")),
        "family_name": _name(text(fields, "last_name")),
        "region_code": region if len(region) == 2 and region.isalpha() else "",
        "postal_code": text(fields, "postal_code"),
    }


def _email(given: str) -> str:
    """No blanks, lower case; dots and what follows a + go from Google's own addresses alone."""
    address = re.sub(r"\s", "", given.lower())
    local, _, domain = address.rpartition("@")
    if domain in GOOGLE_MAIL:
        address = f"{local.partition('+')[0].replace('.', '')}@{domain}"
    return address if is_email(address) else ""


def _name(given: str) -> str:
    """Lower case, composed (é as one character), without punctuation."""
    composed = unicodedata.normalize("NFC", given.lower())
    kept = (each for each in composed if unicodedata.category(each)[0] not in "PS")
    return "".join(kept).strip()


def _identifier(kind: str, sent: str) -> Mapping[str, Any]:
    """A `UserIdentifier`."""
    if kind != "address":
        return {"emailAddress" if kind == "email" else "phoneNumber": sent}
    names = ("givenName", "familyName", "regionCode", "postalCode")
    return {"address": dict(zip(names, sent.split("|", 3), strict=True))}


def _name_of(account: Mapping[str, str]) -> str:
    """An account's resource name."""
    return f"accountTypes/{account['accountType']}/accounts/{account['accountId']}"


def _consent(connection: Mapping[str, str], key: str) -> str:
    given = (connection.get(key) or "granted").strip().lower()
    if given not in CONSENT:
        raise StopError(f"connection.{key} is neither granted nor denied", code=f"bad_{key}")
    return CONSENT[given]
