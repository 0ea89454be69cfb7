"""Braze: attributes of users, and their audiences as the values of one array attribute.

`POST /users/track` with at most 75 attribute objects. Who is in an audience has its name in the
array attribute `audiences_attribute` (default mainstem_audiences): Braze adds and removes one value
of an array by itself, so several syncs share the attribute and a segment is a filter on it. Leaving
takes the name away; the user stays. Read in Braze's documentation: "POST: Track users", "User
attributes object", "Array attributes", "API rate limits" (3,000 requests in 3 seconds, where the
contract says nothing else; X-RateLimit-Reset in unix seconds and no Retry-After), "API errors".

`connection`: base_url (the REST endpoint of the instance, such as https://rest.fra-01.braze.eu),
api_key with the permission users.track, audience (default: the sync's name), audiences_attribute.
The row key is the user's external_id. In mode update_only nobody is made who is not there.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from reverse_etl.answers import body_of, fields_beside_key, items_of
from reverse_etl.destination import (
    Batch,
    Capabilities,
    Rate,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
)
from reverse_etl.http import COMMON_KEYS, Call, HttpDestination, json_call

ATTRIBUTE = "mainstem_audiences"


class Braze(HttpDestination):
    capabilities = Capabilities(
        max_rows=75,
        default_rows=75,
        modes=frozenset({"upsert", "mirror", "update_only"}),
        removal=True,
        connection_keys=frozenset({"api_key", "base_url"}),
        optional_connection_keys=COMMON_KEYS - {"base_url"} | {"audience", "audiences_attribute"},
        secret_keys=frozenset({"api_key"}),
        reserved_fields=frozenset({"_update_existing_only", "braze_id", "user_alias"}),
        parallel=8,
        repeats_in_parts=True,
        rate=Rate(3_000, 3.0),
        changed_fields=True,
        cannot="cannot tell whether Braze applied what it accepted (it works on it later), and "
        "changes no subscription: map email_subscribe or push_subscribe for that",
    )
    login_key = "api_key"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.connection['api_key']}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        attributes = [self._attributes(batch, row) for row in batch.rows]
        return [json_call("POST", "/users/track", {"attributes": attributes})]

    def read(self, batch: Batch, response: httpx.Response) -> Mapping[str, RowAnswer]:
        body = body_of(response)
        if "message" not in body:
            raise RetryError("the answer is none of Braze's", code="bad_answer", maybe_applied=True)
        answers = {}
        for error in items_of(body, "errors"):
            number = error.get("index")
            if not isinstance(number, int) or not 0 <= number < len(batch.rows):
                raise RejectError(
                    "Braze refused a user and did not say which", code="unnamed_error"
                )
            told = str(error.get("type") or "refused")
            answers[batch.rows[number].key] = RowAnswer("invalid_attributes", told)
        return answers

    def check(self) -> str:
        # an update of nobody: it needs the permission, and changes nothing
        with contextlib.suppress(RejectError):
            self.request(json_call("POST", "/users/track", {"attributes": []}))
        return "the key may track users"

    def reason(self, response: httpx.Response) -> str:
        return str(body_of(response).get("message") or "")

    def _attributes(self, batch: Batch, row: Row) -> dict[str, Any]:
        name = self.connection.get("audience") or batch.sync_name
        attribute = self.connection.get("audiences_attribute") or ATTRIBUTE
        if row.operation == "remove":
            return {
                "external_id": row.key,
                "_update_existing_only": True,
                attribute: {"remove": [name]},
            }
        existing = {"_update_existing_only": True} if batch.mode == "update_only" else {}
        fields = fields_beside_key(row, "external_id") | existing
        return {"external_id": row.key} | fields | {attribute: {"add": [name]}}
