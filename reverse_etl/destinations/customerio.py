"""Customer.io: people, and who is in an audience by a manual segment or an attribute.

`POST /api/v2/batch` identifies people (500 KB a request, 32 KB a person);
`POST /api/v1/segments/{id}/add_customers` and `.../remove_customers` take 1,000 ids. Read in
Customer.io's Track API reference, and in its API overview: 100 requests a second; no rate-limit
headers. EU accounts give base_url https://track-eu.customer.io.

`connection`: site_id and api_key of the Track API; segment_id of a manual segment, or
audience_field (an attribute that is true while a person is in the audience), or both. The row key
is the person's id, by which segments know people. Leaving is leaving the segment and the attribute
false; the person stays. NULL empties an attribute.
"""

import base64
from collections.abc import Container, Mapping, Sequence
from typing import Any

import httpx

from reverse_etl.answers import body_of, fields_beside_key, in_parts, is_removal, items_of
from reverse_etl.conversation import Conversation, Steps
from reverse_etl.destination import (
    Batch,
    Capabilities,
    Rate,
    RejectError,
    RowAnswer,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call, json_call

SEGMENT_ROWS = 1_000


class CustomerIo(Conversation):
    capabilities = Capabilities(
        max_rows=1_000,
        default_rows=1_000,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"site_id", "api_key"}),
        optional_connection_keys=COMMON_KEYS | {"segment_id", "audience_field"},
        secret_keys=frozenset({"api_key"}),
        reserved_fields=frozenset({"_update"}),
        max_bytes=500_000,
        row_overhead=200,
        parallel=8,
        repeats_in_parts=True,
        rate=Rate(100, 1.0),
        one_operation=True,
        changed_fields=True,
        cannot="cannot put people into a data-driven segment, and Customer.io works on what it "
        "accepted later, so what it drops then is not seen",
    )
    base_url = "https://track.customer.io"
    login_key = "api_key"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._segment = connection.get("segment_id") or ""
        self._mark = connection.get("audience_field") or ""
        if not (self._segment or self._mark):
            raise StopError(
                "give connection.segment_id (a manual segment) or connection.audience_field (an "
                "attribute): one of them says who is in the audience",
                code="no_audience",
            )

    def headers(self) -> Mapping[str, str]:
        login = f"{self.connection['site_id']}:{self.connection['api_key']}"
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        leaving = is_removal(batch.rows)
        calls = [] if leaving and not self._mark else [self._identify(batch)]
        return calls + (self._segment_calls(batch, set()) if self._segment else [])

    def steps(self, batch: Batch) -> Steps:
        answers: dict[str, RowAnswer] = {}
        for call in self.calls(batch):
            if call.path.startswith("/api/v2/"):
                answers |= self._refused(batch, (yield call))
        if self._segment:
            for call in self._segment_calls(batch, answers.keys()):
                yield call
        return answers

    def check(self) -> str:
        found = body_of(self.request(Call("GET", "/api/v1/accounts/region")))
        return f"the login is right (region {found.get('region')}); a segment cannot be looked at"

    def reason(self, response: httpx.Response) -> str:
        return "; ".join(_said(error) for error in items_of(body_of(response), "errors"))

    def _identify(self, batch: Batch) -> Call:
        leaving = is_removal(batch.rows)
        people = []
        for row in batch.rows:
            attributes: dict[str, Any] = {} if leaving else fields_beside_key(row, "id")
            attributes |= {self._mark: not leaving} if self._mark else {}
            # who was deleted over there is not made anew to say that they have left
            attributes |= {"_update": True} if leaving else {}
            people.append(
                {
                    "type": "person",
                    "action": "identify",
                    "identifiers": {"id": row.key},
                    "attributes": attributes,
                }
            )
        return json_call("POST", "/api/v2/batch", {"batch": people})

    def _segment_calls(self, batch: Batch, without: Container[str]) -> list[Call]:
        verb = "remove_customers" if is_removal(batch.rows) else "add_customers"
        ids = [row.key for row in batch.rows if row.key not in without]
        return [
            json_call("POST", f"/api/v1/segments/{self._segment}/{verb}", {"ids": list(part)})
            for part in in_parts(ids, SEGMENT_ROWS)
        ]

    def _refused(self, batch: Batch, response: httpx.Response) -> dict[str, RowAnswer]:
        answers = {}
        for error in items_of(body_of(response), "errors"):
            number = error.get("batch_index")
            if not isinstance(number, int) or not 0 <= number < len(batch.rows):
                raise RejectError(
                    "Customer.io refused a person and did not say which", code="unnamed_error"
                )
            code = str(error.get("reason") or "error")
            answers[batch.rows[number].key] = RowAnswer(code, _said(error))
        return answers


def _said(error: Mapping[str, Any]) -> str:
    return " ".join(str(error[name]) for name in ("field", "message") if error.get(name))
