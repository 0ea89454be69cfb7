"""Salesforce records of one object, upserted by an external id.

`PATCH /services/data/vXX.X/composite/sobjects/{object}/{id_field}` takes 200 records and answers
for each; with `api: bulk` a batch is a job of Bulk API 2.0 (create, upload CSV, close, ask, read the
results). Read in Salesforce's REST API guide ("Upsert, update and delete records using sObject
Collections"), its Bulk API 2.0 guide ("Create a job", "Get job failed record results": sf__Id,
sf__Error; #N/A empties a field) and its help pages on the OAuth client-credentials and
refresh-token flows.

`connection`: instance_url (My Domain), client_id, client_secret and, where the flow is that one,
refresh_token; object (default Contact); id_field, an external id field, which gets the
row key; what leaving means: audience_field, a checkbox that is true while a record is in the
audience, or on_removal: delete, which deletes the record; api: composite (default) or bulk, which
pays from some 2,000 rows (then set batch_rows to 10,000); api_version.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from reverse_etl import salesforce_bulk
from reverse_etl.answers import (
    body_of,
    fields_beside_key,
    found_in,
    in_parts,
    is_removal,
    items_of,
)
from reverse_etl.conversation import Conversation, Steps
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call
from reverse_etl.salesforce_records import answer_of, collection, list_of, results_of, soql_text

VERSION = "62.0"
AT_ONCE = 200
LOOKED_UP = 100
# requests are counted over 24 hours, so an hour is a fair moment to look again
SPENT_SECONDS = 3_600.0


class Salesforce(Conversation):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=200,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"instance_url", "client_id", "client_secret", "id_field"}),
        optional_connection_keys=COMMON_KEYS - {"base_url"}
        | {"refresh_token", "object", "audience_field", "on_removal", "api", "api_version"},
        secret_keys=frozenset({"client_secret", "refresh_token"}),
        reserved_fields=frozenset({"Id", "attributes"}),
        parallel=4,
        one_operation=True,
        changed_fields=True,
        cannot="cannot write a record by another object's external id, and the fields of a batch are "
        "those of one object",
    )
    address_key = "instance_url"
    login_key = "client_secret"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._mark = connection.get("audience_field") or ""
        self._deletes = connection.get("on_removal") == "delete"
        self._is_bulk = connection.get("api") == "bulk"
        self._object = connection.get("object") or "Contact"
        self._id_field = connection["id_field"]
        self._data = f"/services/data/v{connection.get('api_version') or VERSION}"
        self._token = ""
        self._getting = threading.Lock()
        if connection.get("api") not in {None, "", "composite", "bulk"}:
            raise StopError("connection.api is neither composite nor bulk", code="bad_api")
        if connection.get("on_removal") not in {None, "", "delete"}:
            raise StopError("connection.on_removal can only be delete", code="bad_on_removal")
        if not (self._mark or self._deletes):
            raise StopError(
                "give connection.audience_field (a checkbox) or connection.on_removal: delete: they "
                "say what leaving the audience does to a record",
                code="no_audience",
            )

    def headers(self) -> Mapping[str, str]:
        with self._getting:
            if not self._token:
                self._log_in()
            return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        with self._getting:
            self._log_in()
        return True

    def calls(self, batch: Batch) -> Sequence[Call]:
        if is_removal(batch.rows):
            unnamed = [row for row in batch.rows if not row.remote_id]
            named = [str(row.remote_id) for row in batch.rows if row.remote_id]
            asked = [self._look_up(part) for part in in_parts(unnamed, LOOKED_UP)]
            return asked + self._leaving(named)
        if self._is_bulk:
            return salesforce_bulk.calls(
                self._jobs,
                self._object,
                "upsert",
                [self._record(row) for row in batch.rows],
                self._id_field,
            )
        path = f"{self._data}/composite/sobjects/{self._object}/{self._id_field}"
        kind = {"attributes": {"type": self._object}}
        return [
            collection(path, [kind | self._record(row) for row in part])
            for part in in_parts(batch.rows, AT_ONCE)
        ]

    def steps(self, batch: Batch) -> Steps:
        if is_removal(batch.rows):
            return (yield from self._remove(batch.rows))
        if self._is_bulk:
            return (yield from salesforce_bulk.begin(self.calls(batch)))
        answers: dict[str, RowAnswer] = {}
        parts = in_parts(batch.rows, AT_ONCE)
        for call, rows in zip(self.calls(batch), parts, strict=True):
            results = results_of((yield call), len(rows))
            answers |= {
                row.key: answer_of(result) for row, result in zip(rows, results, strict=True)
            }
        return answers

    def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
        job = self.look(f"{self._jobs}/{job_id}")
        state = job.get("state")
        if state in {"Open", "UploadComplete", "InProgress"}:
            return None
        if state != "JobComplete":
            error = RejectError(f"Salesforce ended the job as {state}", code=f"job_{state}".lower())
            error.detail = str(job.get("errorMessage") or "")
            raise error
        if is_removal(batch.rows):
            known = {str(row.remote_id): row.key for row in batch.rows}
            steps = salesforce_bulk.left(f"{self._jobs}/{job_id}", known)
        else:
            known = {row.key: row.key for row in batch.rows}
            steps = salesforce_bulk.written(f"{self._jobs}/{job_id}", known, self._id_field)
        answer = self.talk(steps)
        return answer if isinstance(answer, BatchAnswer) else None

    def check(self) -> str:
        path = f"{self._data}/sobjects/{self._object}/describe"
        fields = {
            one.get("name"): one
            for one in items_of(body_of(self.request(Call("GET", path))), "fields")
        }
        if not fields.get(self._id_field, {}).get("externalId"):
            raise StopError(
                f"connection.id_field is no external id field of {self._object}",
                code="bad_id_field",
            )
        if self._mark and self._mark not in fields:
            raise StopError(
                f"connection.audience_field is no field of {self._object}",
                code="bad_audience_field",
            )
        return f"{self._object} has the fields"

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        if response.status_code == httpx.codes.FORBIDDEN and "REQUEST_LIMIT" in response.text:
            return RetryError(
                "Salesforce's requests of the last 24 hours are spent",
                code="request_limit",
                http_status=403,
                maybe_applied=False,
                after_seconds=SPENT_SECONDS,
            )
        return super().trouble(response)

    def reason(self, response: httpx.Response) -> str:
        return "; ".join(str(error.get("message") or "") for error in list_of(response))

    @property
    def _jobs(self) -> str:
        return f"{self._data}/jobs/ingest"

    def _log_in(self) -> None:
        given = self.connection
        form = {"client_id": given["client_id"], "client_secret": given["client_secret"]}
        if given.get("refresh_token"):
            form |= {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        else:
            form |= {"grant_type": "client_credentials"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        call = Call("POST", "/services/oauth2/token", urlencode(form).encode(), headers)
        try:
            response = self._once(call, {})
            error = super().trouble(response)
            if isinstance(error, RetryError):
                raise error
        except RetryError as error:
            error.maybe_applied = False  # it was the login that failed
            raise
        token = body_of(response).get("access_token")
        if error or not token:
            raise StopError(
                "Salesforce refused the login: look at connection.client_id, "
                "connection.client_secret and connection.refresh_token",
                code="refused_login",
                http_status=response.status_code,
            )
        self._token = str(token)

    def _remove(self, rows: Sequence[Row]) -> Steps:
        keys = {str(row.remote_id): row.key for row in rows if row.remote_id}
        for part in in_parts([row for row in rows if not row.remote_id], LOOKED_UP):
            for record in found_in((yield self._look_up(part)), "records"):
                keys[str(record.get("Id"))] = str(record.get(self._id_field))
        if self._is_bulk and keys:
            return (yield from salesforce_bulk.begin(self._leaving(list(keys))))
        answers: dict[str, RowAnswer] = {}
        parts = in_parts(list(keys), AT_ONCE)
        for call, ids in zip(self._leaving(list(keys)), parts, strict=True):
            for identifier, result in zip(ids, results_of((yield call), len(ids)), strict=True):
                told = answer_of(result)
                # who is not there any more has left
                if told.error_code and told.error_code not in salesforce_bulk.GONE:
                    answers[keys[identifier]] = told
        return answers

    def _leaving(self, ids: Sequence[str]) -> list[Call]:
        if not ids:
            return []
        if self._is_bulk:
            marked = {} if self._deletes else {self._mark: False}
            records = [{"Id": identifier} | marked for identifier in ids]
            return salesforce_bulk.calls(
                self._jobs, self._object, "delete" if self._deletes else "update", records
            )
        path = f"{self._data}/composite/sobjects"
        if self._deletes:
            return [
                Call("DELETE", f"{path}?{urlencode({'ids': ','.join(part), 'allOrNone': 'false'})}")
                for part in in_parts(ids, AT_ONCE)
            ]
        kind = {"attributes": {"type": self._object}}
        return [
            collection(path, [kind | {"id": one, self._mark: False} for one in part])
            for part in in_parts(ids, AT_ONCE)
        ]

    def _look_up(self, rows: Iterable[Row]) -> Call:
        quoted = ",".join(soql_text(row.key) for row in rows)
        query = (
            f"SELECT Id, {self._id_field} FROM {self._object} WHERE {self._id_field} IN ({quoted})"
        )
        return Call("GET", f"{self._data}/query?{urlencode({'q': query})}")

    def _record(self, row: Row) -> dict[str, Any]:
        marked = {self._mark: True} if self._mark else {}
        return fields_beside_key(row, self._id_field) | {self._id_field: row.key} | marked
