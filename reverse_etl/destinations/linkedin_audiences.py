"""LinkedIn Matched Audiences: hashed email addresses streamed into a DMP segment.

`POST /rest/dmpSegments/{segment}/users` (BATCH_CREATE): an action ADD or REMOVE an element, and a
status an element in the answer, in the same order.

Read in LinkedIn's documentation: "DMP Segment Users" (rates, headers, permissions), and the element
and its answer in its public request collection. From memory: 5,000 elements a request, and that an
address is lower-cased before hashing. The segment has to be of type USER and takes what is added
five seconds after it was made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from reverse_etl.answers import body_of, items_of
from reverse_etl.destination import Batch, Capabilities, Rate, RowAnswer
from reverse_etl.http import COMMON_KEYS, Call, json_call
from reverse_etl.members import (
    Identifiers,
    Member,
    MemberDestination,
    is_email,
    sha256,
    text,
)

VERSION = "202606"


class LinkedinAudiences(MemberDestination):
    capabilities = Capabilities(
        # an update may need two elements, one of them a REMOVE of what was sent before
        max_rows=2_500,
        default_rows=2_500,
        modes=frozenset({"mirror", "upsert", "add_only"}),
        removal=True,
        connection_keys=frozenset({"access_token", "segment_id"}),
        optional_connection_keys=COMMON_KEYS | {"api_version"},
        secret_keys=frozenset({"access_token"}),
        known_fields=frozenset({"email"}),
        required_fields=frozenset({"email"}),
        parallel=2,
        repeats_in_parts=True,
        rate=Rate(600, 60.0),
        cannot="Only the hashed email is sent: names, titles, companies and advertising ids are "
        "what LinkedIn takes unhashed, and the ledger keeps what is sent. A segment takes up to two "
        "days to follow, and is of use from 300 matched people on.",
    )
    base_url = "https://api.linkedin.com/rest"

    def headers(self) -> Mapping[str, str]:
        return {
            "Authorization": f"Bearer {self.connection['access_token']}",
            "LinkedIn-Version": self.connection.get("api_version") or VERSION,
            "X-Restli-Protocol-Version": "2.0.0",
        }

    def identifiers(self, fields: Mapping[str, Any]) -> Identifiers:
        email = text(fields, "email").lower()
        return {"SHA256_EMAIL": sha256(email) if is_email(email) else ""}

    def calls(self, batch: Batch) -> Sequence[Call]:
        elements = [element for _, element in self._elements(batch)]
        if not elements:
            return []
        call = json_call("POST", f"{self._segment()}/users", {"elements": elements})
        return [
            Call(
                call.method,
                call.path,
                call.content,
                {**call.headers, "X-RestLi-Method": "BATCH_CREATE"},
            )
        ]

    def read(self, batch: Batch, response: httpx.Response) -> Mapping[str, RowAnswer]:
        """The rows of the elements that LinkedIn refused; one is known by its place."""
        statuses = items_of(body_of(response), "elements")
        sent = self.addresses(batch)
        return {
            member.row.key: RowAnswer(
                error_code=f"http_{said['status']}",
                error=str(said.get("message") or "LinkedIn gave no reason"),
                remote_id=sent.get(member.row.key),
            )
            for (member, _), said in zip(self._elements(batch), statuses, strict=False)
            if isinstance(said.get("status"), int) and said["status"] >= 400
        }

    def reason(self, response: httpx.Response) -> str:
        return str(body_of(response).get("message") or "")

    def check(self) -> str:
        self.request(Call("GET", self._segment()))
        return f"the segment {self.connection['segment_id']} is there for this login"

    def _segment(self) -> str:
        return f"dmpSegments/{self.connection['segment_id']}"

    def _elements(self, batch: Batch) -> list[tuple[Member, Mapping[str, Any]]]:
        """What each row is in a request; what goes is before what comes."""
        members = self.members(batch)
        going = [(member, _element("REMOVE", old)) for member in members for old in member.stale]
        coming = [(member, _element("ADD", member.now)) for member in members if member.now]
        return going + coming


def _element(action: str, who: Identifiers) -> Mapping[str, Any]:
    ids = [{"idType": kind, "idValue": sent} for kind, sent in who.items()]
    return {"action": action, "userIds": ids}
