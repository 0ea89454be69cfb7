"""Zendesk users, with an audience as a checkbox among their user fields.

`POST /api/v2/users/create_or_update_many` takes 100 users and answers with a job;
`PUT /api/v2/users/update_many?external_ids=` unchecks the box of who leaves, also as a job;
`GET /api/v2/job_statuses/{id}` says what became of each (jobs are forgotten after an hour). Read
in Zendesk's API reference: "Users", "Job Statuses", "Rate limits" (200 requests a minute on the
smallest plan, Retry-After). That an error names its user by its place is from users' reports. An
account has to be allowed bulk user imports by Zendesk's support; a 403 says that it is not.

`connection`: base_url (https://<subdomain>.zendesk.com), email and api_token of an agent,
audience_field (the key of a checkbox user field). The row key is the user's external_id; name has
to be mapped. email, phone and the other properties of a user go where they belong, every other
field is a user field by its key. Nobody gets a mail for being made. Who leaves stays a user.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from reverse_etl.answers import body_of, fields_beside_key, is_removal, items_of, object_in
from reverse_etl.conversation import Conversation, Steps
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Capabilities,
    Job,
    Rate,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
)
from reverse_etl.http import COMMON_KEYS, Call, json_call

USERS = "/api/v2/users"
OF_A_USER = frozenset(
    {
        "name",
        "email",
        "phone",
        "alias",
        "details",
        "notes",
        "locale",
        "time_zone",
        "organization_id",
    }
)
JOB_SECONDS = 2.0


class Zendesk(Conversation):
    capabilities = Capabilities(
        max_rows=100,
        default_rows=100,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"base_url", "email", "api_token", "audience_field"}),
        optional_connection_keys=COMMON_KEYS - {"base_url"},
        secret_keys=frozenset({"api_token"}),
        required_fields=frozenset({"name"}),
        parallel=4,
        rate=Rate(200, 60.0),
        one_operation=True,
        cannot="cannot replace the address of a user who is there (Zendesk adds the new one beside "
        "it), and a user field that does not exist is passed over without an error",
    )
    login_key = "api_token"

    def headers(self) -> Mapping[str, str]:
        login = f"{self.connection['email']}/token:{self.connection['api_token']}"
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        if any("," in row.key for row in batch.rows):
            raise RejectError(
                "the row key has a comma, and Zendesk takes external ids in a list with commas",
                code="comma_in_key",
            )
        if is_removal(batch.rows):
            asked = urlencode({"external_ids": ",".join(row.key for row in batch.rows)})
            left = {"user": {"user_fields": {self.connection["audience_field"]: False}}}
            return [json_call("PUT", f"{USERS}/update_many?{asked}", left)]
        users = [self._user(row) for row in batch.rows]
        return [json_call("POST", f"{USERS}/create_or_update_many", {"users": users})]

    def steps(self, batch: Batch) -> Steps:
        (call,) = self.calls(batch)
        return Job(str(_job(body_of((yield call)))["id"]), JOB_SECONDS)

    def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
        job = _job(self.look(f"/api/v2/job_statuses/{job_id}"))
        if job.get("status") in {"queued", "working"}:
            return None
        if job.get("status") != "completed":
            raise RejectError(
                f"Zendesk ended the job as {job.get('status')}", code=f"job_{job.get('status')}"
            )
        refused = dict(_refused(batch.rows, items_of(job, "results")))
        if is_removal(batch.rows):
            # who is not there any more has left
            refused = {k: told for k, told in refused.items() if "notfound" not in _code(told)}
        return BatchAnswer(200, rows=refused)

    def check(self) -> str:
        me = object_in(body_of(self.request(Call("GET", f"{USERS}/me"))), "user")
        if me.get("role") not in {"admin", "agent"}:
            return "the login is right, but it is no agent's: users cannot be written with it"
        return f"the login is that of an {me['role']}"

    def reason(self, response: httpx.Response) -> str:
        body = body_of(response)
        return str(body.get("description") or body.get("error") or "")

    def _user(self, row: Row) -> dict[str, Any]:
        fields = fields_beside_key(row, "external_id")
        own = {name: fields[name] for name in fields if name in OF_A_USER}
        if own.get("email") is None:
            own.pop("email", None)  # an address is never taken away
        others = {name: value for name, value in fields.items() if name not in OF_A_USER}
        marked = others | {self.connection["audience_field"]: True}
        return {"external_id": row.key} | own | {"user_fields": marked, "skip_verify_email": True}


def _job(body: Mapping[str, Any]) -> Mapping[str, Any]:
    job = object_in(body, "job_status")
    if "id" not in job:
        raise RetryError("Zendesk's answer names no job", code="no_job", maybe_applied=True)
    return job


def _code(told: RowAnswer) -> str:
    return str(told.error_code).replace("_", "").lower()


def _refused(
    rows: Sequence[Row], results: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, RowAnswer]]:
    """What failed, by row key; RejectError where Zendesk does not say who it was."""
    keys = {row.key for row in rows}
    for place, result in enumerate(results):
        if not (result.get("error") or result.get("errors") or result.get("status") == "Failed"):
            continue
        named = str(result["external_id"]) if result.get("external_id") in keys else None
        number = result.get("index", place if len(results) == len(rows) else None)
        if named is None and isinstance(number, int) and 0 <= number < len(rows):
            named = rows[number].key
        if named is None:
            raise RejectError("Zendesk refused a user and did not say which", code="unnamed_error")
        details = result.get("details") or result.get("errors") or ""
        yield named, RowAnswer(str(result.get("error") or "failed"), str(details))
