"""Mailchimp: members of an audience (a list), who are archived when they leave.

`POST /3.0/lists/{list_id}` adds or updates up to 500 members; `DELETE /3.0/lists/{list_id}/members/
{md5 of the lower-cased address}` archives one. Read in Mailchimp's Marketing API reference: "Batch
subscribe or unsubscribe", "Archive list member", and its fundamentals: 10 connections at once a
user, no rate-limit headers, and a 403 without a body that stands for a 429. That `status_if_new`
holds in a batch too is in the reference's example only.

Nobody is subscribed again who unsubscribed there: a status is given to new members, and to those
whom this sync archived before (Mailchimp refuses it for who unsubscribed themselves). An address
that changes is a new member; the old one is archived.

`connection`: api_key (its ending, such as -us6, names the data centre, unless base_url does),
list_id, status of new members: subscribed (default), pending (Mailchimp asks them first) or
transactional. email_address has to be mapped. What is no field of a member is a merge field, by
its tag (FNAME); NULL empties it.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from reverse_etl.answers import body_of, fields_of, items_of, text_of
from reverse_etl.conversation import Conversation, Steps
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call, json_call

OF_A_MEMBER = frozenset({"email_address", "email_type", "language", "vip", "ip_signup", "ip_opt"})
STATUSES = ("subscribed", "pending", "transactional")
ONE_BY_ONE = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})


class Mailchimp(Conversation):
    capabilities = Capabilities(
        max_rows=500,
        default_rows=500,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"api_key", "list_id"}),
        optional_connection_keys=COMMON_KEYS | {"status"},
        secret_keys=frozenset({"api_key"}),
        required_fields=frozenset({"email_address"}),
        parallel=8,
        repeats_in_parts=True,
        one_operation=True,
        cannot="cannot subscribe again who unsubscribed at Mailchimp, and archives one member a "
        "request, so removals are slow",
    )
    login_key = "api_key"

    def __init__(self, connection: Mapping[str, str]) -> None:
        _, dash, centre = connection.get("api_key", "").rpartition("-")
        if not connection.get("base_url") and not (dash and centre.isalnum()):
            raise StopError(
                "connection.api_key does not end in a data centre such as -us6: give "
                "connection.base_url, as https://us6.api.mailchimp.com",
                code="no_data_centre",
            )
        self.base_url = f"https://{centre}.api.mailchimp.com"
        super().__init__(connection)
        self._status = connection.get("status") or STATUSES[0]
        if self._status not in STATUSES:
            raise StopError(
                f"connection.status is none of {', '.join(STATUSES)}", code="bad_status"
            )
        self._list = f"/3.0/lists/{connection['list_id']}"

    def headers(self) -> Mapping[str, str]:
        login = base64.b64encode(f"key:{self.connection['api_key']}".encode()).decode()
        return {"Authorization": f"Basic {login}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        joining = [row for row in batch.rows if row.operation == "upsert"]
        members = {"members": [self._member(row) for row in joining], "update_existing": True}
        # an address that somebody gave up and another took stays
        taken = {_member_id(str(fields_of(row)["email_address"])) for row in joining}
        gone = [old for row in batch.rows if (old := _to_archive(row)) and old not in taken]
        posted = [json_call("POST", self._list, members)] if joining else []
        return posted + [Call("DELETE", f"{self._list}/members/{address}") for address in gone]

    def steps(self, batch: Batch) -> Steps:
        answers: dict[str, RowAnswer] = {}
        rows = {_to_archive(row): row for row in batch.rows}
        for call in self.calls(batch):
            if call.method == "POST":
                answers |= self._taken(batch, (yield call))
                continue
            key = rows[call.path.rpartition("/")[2]].key
            if answers.get(key, RowAnswer()).error_code:
                continue  # the new address was refused, so the old one stays
            response = yield call
            if response.status_code in ONE_BY_ONE:
                response = yield Call("GET", f"{call.path}?fields=status")
                if response.status_code in ONE_BY_ONE:
                    yield Call("GET", f"{self._list}?fields=name")  # a wrong list is no success
                elif body_of(response).get("status") != "archived":
                    answers[key] = RowAnswer("not_archived", "Mailchimp keeps this member")
        return answers

    def addresses(self, batch: Batch) -> Mapping[str, str]:
        return {
            row.key: _member_id(str(fields_of(row)["email_address"]))
            for row in batch.rows
            if row.operation == "upsert"
        }

    def check(self) -> str:
        name = body_of(self.request(Call("GET", f"{self._list}?fields=name"))).get("name")
        return f"the audience {name} is there"

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        is_one_member = "/members/" in response.request.url.path
        if is_one_member and response.status_code in ONE_BY_ONE:
            return None
        if response.status_code == httpx.codes.FORBIDDEN and not body_of(response):
            return RetryError(
                "the destination answered 403 without a word, which stands for too many requests",
                code="http_403",
                http_status=403,
                maybe_applied=False,
            )
        return super().trouble(response)

    def reason(self, response: httpx.Response) -> str:
        return str(body_of(response).get("detail") or "")

    def _member(self, row: Row) -> dict[str, Any]:
        fields = fields_of(row)
        own = {name: fields[name] for name in fields if name in OF_A_MEMBER}
        merged = {name: _merge_value(fields[name]) for name in fields if name not in OF_A_MEMBER}
        was_archived = row.is_new and row.remote_id
        return {
            **{name: value for name, value in own.items() if value is not None},
            "status_if_new": self._status,
            **({"status": self._status} if was_archived else {}),
            **({"merge_fields": merged} if merged else {}),
        }

    def _taken(self, batch: Batch, response: httpx.Response) -> dict[str, RowAnswer]:
        body = body_of(response)
        if not body.keys() & {"new_members", "updated_members", "errors"}:
            raise RetryError(
                "the answer is none of Mailchimp's", code="bad_answer", maybe_applied=True
            )
        answers = {
            key: RowAnswer(remote_id=member) for key, member in self.addresses(batch).items()
        }
        keys = {told.remote_id: key for key, told in answers.items()}
        for error in items_of(body, "errors"):
            key = keys.get(_member_id(str(error.get("email_address") or "")))
            if key is None:
                raise RejectError(
                    "Mailchimp refused a member and did not say which", code="unnamed_error"
                )
            code = str(error.get("error_code") or "error").lower()
            answers[key] = RowAnswer(code, str(error.get("error") or ""))
        return answers


def _member_id(address: str) -> str:
    # Mailchimp's name for a member, not a protection
    return hashlib.md5(address.strip().lower().encode(), usedforsecurity=False).hexdigest()


def _to_archive(row: Row) -> str:
    """The member that is to go: who leaves, or the old address of who has a new one; or nobody."""
    if row.operation == "remove":
        return row.remote_id or _member_id(row.key)
    if row.is_new or not row.remote_id:
        return ""
    now = _member_id(str(fields_of(row)["email_address"]))
    return row.remote_id if row.remote_id != now else ""


def _merge_value(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else text_of(value)
