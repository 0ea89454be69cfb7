"""TikTok audiences: people as hashed identifiers, added to and deleted from an audience segment.

`POST /open_api/v1.3/segment/mapping/` with `action` add or delete. TikTok answers 200 to nearly
everything; what it means is the `code` in the body, 0 for success.

Read in the Marketing API v1.3: the request in "Add or delete audience segment mappings", by way of
two open clients that quote it; normalising in TikTok's help page "About Customer File audiences",
whose examples the tests use; codes 40001, 40002, 40007, 40100 and 40105 in lists of its error
codes. From memory: codes from 40101 on as trouble with the login, 50000 and above as TikTok's own.
The page on the request names no largest batch that could be read; a refused batch is split.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from reverse_etl.answers import body_of, in_parts
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call, compact, json_call
from reverse_etl.members import (
    Identifiers,
    MemberDestination,
    difference,
    e164,
    is_email,
    sha256,
    text,
)
from reverse_etl.pacing import asked_to_wait

SCHEMA = ("EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256")
THROTTLED = frozenset({40_016, 40_100, 40_133})
BAD_LOGIN = frozenset({40_001, *range(40_101, 40_133)})
NOT_THERE = 40_007
ITS_OWN = 50_000


class TiktokAudiences(MemberDestination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=1_000,
        modes=frozenset({"mirror", "upsert", "add_only"}),
        removal=True,
        connection_keys=frozenset({"access_token", "advertiser_id", "audience_id"}),
        optional_connection_keys=COMMON_KEYS | {"default_country"},
        secret_keys=frozenset({"access_token"}),
        known_fields=frozenset({"email", "phone", "idfa", "aaid"}),
        one_of_fields=frozenset({"email", "phone", "idfa", "aaid"}),
        parallel=2,
        repeats_in_parts=True,
        one_operation=True,
        cannot="TikTok answers for a request as a whole, so a wrong row is found by splitting the "
        "batch; it says of nobody whether they were matched, and an audience is of use from 1,000 "
        "matched people on.",
    )
    base_url = "https://business-api.tiktok.com/open_api/v1.3"

    def headers(self) -> Mapping[str, str]:
        return {"Access-Token": self.connection["access_token"]}

    def identifiers(self, fields: Mapping[str, Any]) -> Identifiers:
        plain = normalised(fields, self._country)
        return {kind: sha256(plain[kind]) for kind in SCHEMA}

    def calls(self, batch: Batch) -> Sequence[Call]:
        """A row that goes and comes back ends in the audience, because the order is kept."""
        members = self.members(batch)
        stale = [difference(old, member.now) for member in members for old in member.stale]
        now = [member.now for member in members if member.now]
        return [
            json_call("POST", "segment/mapping/", self._body(action, part))
            for action, people in (("delete", stale), ("add", now))
            for part in in_parts(people, self.capabilities.max_rows)
        ]

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        number = body_of(response).get("code")
        if not isinstance(number, int):
            return super().trouble(response) or _unreadable(response)
        return _trouble(number, response)

    def reason(self, response: httpx.Response) -> str:
        return str(body_of(response).get("message") or "")

    def check(self) -> str:
        query = {
            "advertiser_id": self.connection["advertiser_id"],
            "custom_audience_ids": compact([self.connection["audience_id"]]).decode(),
        }
        self.request(Call("GET", f"dmp/custom_audience/get/?{urlencode(query)}"))
        return f"the audience {self.connection['audience_id']} is there for this login"

    def _body(self, action: str, people: Sequence[Identifiers]) -> Mapping[str, Any]:
        used = set().union(*people)
        schema = [kind for kind in SCHEMA if kind in used]
        audiences = [self.connection["audience_id"]]
        return {
            "advertiser_ids": [self.connection["advertiser_id"]],
            "action": action,
            "id_schema": schema,
            # an identifier that a person does not have keeps its place
            "batch_data": [
                [
                    {"id": who[kind], "audience_ids": audiences} if kind in who else {}
                    for kind in schema
                ]
                for who in people
            ],
        }


def normalised(fields: Mapping[str, Any], country: str | None) -> Mapping[str, str]:
    """TikTok's id types with the values to hash; a value that cannot be one is empty.

    `country` is what phone numbers without a country's code are read as.
    """
    email = "".join(text(fields, "email").lower().split())
    return {
        "EMAIL_SHA256": email if is_email(email) else "",
        "PHONE_SHA256": e164(text(fields, "phone"), country),
        "IDFA_SHA256": text(fields, "idfa").lower(),
        "AAID_SHA256": text(fields, "aaid").lower(),
    }


def _trouble(number: int, response: httpx.Response) -> DestinationError | None:
    """What TikTok's `code` means. Its message is left out: it may quote what was sent."""
    if number == 0:
        return None
    said, code, status = f"TikTok answered code {number}", f"tiktok_{number}", response.status_code
    if number in THROTTLED:
        return RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=False,
            after_seconds=asked_to_wait(response, is_limit=True),
        )
    if number >= ITS_OWN or status >= 500:
        return RetryError(said, code=code, http_status=status, maybe_applied=True)
    if number in BAD_LOGIN:
        return StopError(
            f"{said}: look at connection.access_token and its rights on connection.advertiser_id",
            code=code,
            http_status=status,
        )
    if number == NOT_THERE:
        return StopError(
            f"{said}: there is no audience connection.audience_id of connection.advertiser_id",
            code=code,
            http_status=status,
        )
    return RejectError(said, code=code, http_status=status)


def _unreadable(response: httpx.Response) -> RetryError:
    return RetryError(
        "TikTok's answer has no code, so it says neither yes nor no",
        code="no_code",
        http_status=response.status_code,
        maybe_applied=True,
    )
