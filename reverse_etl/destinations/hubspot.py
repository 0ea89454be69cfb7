"""HubSpot contacts: upserted in batches, and kept in a static list or marked by a property.

New contacts go to `POST /crm/objects/2026-03/contacts/batch/upsert`, known ones by their record id
to `.../batch/update` (so an address that changes changes the contact instead of making a second
one), list membership to `PUT /crm/lists/2026-03/{listId}/memberships/add-and-remove`. Read in
HubSpot's pages "Contacts: batch upsert", "Lists: memberships" and "API usage guidelines" (190
requests in 10 seconds for a private app) and its public API specifications; that a batch has at
most 100 inputs is said on pages about them only.

`connection`: access_token of a private app; list_id of a list whose processing type is MANUAL or
SNAPSHOT, or audience_field (a property that is true while a contact is in the audience), or both;
id_property (default email): a mapped field that HubSpot keeps unique. Properties are sent as text,
"" clears one, a list becomes the `a;b` of multiple checkboxes. Leaving the audience is leaving the
list and audience_field false; the contact itself stays.
"""

from collections.abc import Iterable, Mapping, Sequence

import httpx

from reverse_etl.answers import (
    body_of,
    fields_of,
    found_in,
    is_removal,
    items_of,
    object_in,
    text_of,
    texts_in,
)
from reverse_etl.conversation import Conversation, Steps
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    Rate,
    RejectError,
    RetryError,
    Row,
    RowAnswer,
    StopError,
)
from reverse_etl.http import COMMON_KEYS, Call, json_call

CONTACTS = "/crm/objects/2026-03/contacts"
# no record id begins so
BY_PROPERTY = "="
READ = f"{CONTACTS}/batch/read"
LISTS = "/crm/lists/2026-03"
# the requests of a day are spent: an hour is a fair moment to look again
SPENT_SECONDS = 3_600.0
NOT_THERE = "OBJECT_NOT_FOUND"


class HubSpot(Conversation):
    capabilities = Capabilities(
        max_rows=100,
        default_rows=100,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"access_token"}),
        optional_connection_keys=COMMON_KEYS | {"list_id", "audience_field", "id_property"},
        secret_keys=frozenset({"access_token"}),
        required_fields=frozenset({"email"}),
        parallel=4,
        repeats_in_parts=True,
        rate=Rate(190, 10.0),
        one_operation=True,
        changed_fields=True,
        cannot="cannot put people into a list that HubSpot fills itself (DYNAMIC), and does not set "
        "marketing status or subscriptions: map a property for that",
    )
    base_url = "https://api.hubapi.com"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._list = connection.get("list_id") or ""
        self._mark = connection.get("audience_field") or ""
        self._id_property = connection.get("id_property") or "email"
        if not (self._list or self._mark):
            raise StopError(
                "give connection.list_id (a static list) or connection.audience_field (a property): "
                "one of them says who is in the audience",
                code="no_audience",
            )

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.connection['access_token']}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        if is_removal(batch.rows):
            return self._removals(batch.rows)
        known = [row for row in batch.rows if _has_record_id(row)]
        new = [row for row in batch.rows if not _has_record_id(row)]
        return [self._update(known)] * bool(known) + [self._upsert(new)] * bool(new)

    def steps(self, batch: Batch) -> Steps:
        rows = batch.rows
        answers: dict[str, RowAnswer] = {}
        if is_removal(rows):
            for call in self.calls(batch):
                response = yield call
                answers |= self._refused(response, rows)
                if call.path == READ:
                    found = found_in(response, "results")
                    yield self._members(remove=[str(one["id"]) for one in found if one.get("id")])
            # who is not there any more has left
            return {key: told for key, told in answers.items() if told.error_code != NOT_THERE}
        for call in self.calls(batch):
            response = yield call
            answers |= self._accepted(response, rows) | self._refused(response, rows)
        # an update that carries only what changed makes nobody: the next run sends it whole
        deleted = [
            row
            for row in rows
            if answers.get(row.key, RowAnswer()).error_code == NOT_THERE
            and fields_of(row).keys() >= set(batch.field_names)
        ]
        if deleted:
            response = yield self._upsert(deleted)
            answers |= self._accepted(response, rows) | self._refused(response, rows)
        keys = {told.remote_id: key for key, told in answers.items() if told.remote_id}
        if self._list and keys:
            added = body_of((yield self._members(add=[*keys])))
            unlisted = "HubSpot wrote this contact and did not list it"
            answers |= {
                keys[one]: RowAnswer("not_in_list", unlisted, one, is_there=True)
                for one in texts_in(added, "recordIdsMissing")
                if one in keys
            }
        traces = self.addresses(batch)
        silent = "HubSpot's answer says nothing about this contact"
        return {
            row.key: answers.get(row.key)
            or RowAnswer("no_answer", silent, traces[row.key], is_there=True)
            for row in rows
        }

    def addresses(self, batch: Batch) -> Mapping[str, str]:
        """Record ids come with the answer only; until then a contact is known by its id property."""
        return {
            row.key: row.remote_id or f"{BY_PROPERTY}{self._identity(row)}"
            for row in batch.rows
            if row.operation == "upsert"
        }

    def check(self) -> str:
        if not self._list:
            self.request(Call("GET", f"/crm/properties/2026-03/contacts/{self._mark}"))
            return f"the property {self._mark} is there"
        found = object_in(body_of(self.request(Call("GET", f"{LISTS}/{self._list}"))), "list")
        if found.get("processingType") not in {"MANUAL", "SNAPSHOT"}:
            raise StopError(
                "connection.list_id is a list that HubSpot fills itself: make a static one",
                code="dynamic_list",
            )
        return f"the list {found.get('name')} takes members"

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        error = super().trouble(response)
        if isinstance(error, RetryError) and error.after_seconds is None:
            interval = response.headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "")
            if body_of(response).get("policyName") == "DAILY":
                error.after_seconds = SPENT_SECONDS
            elif error.http_status == httpx.codes.TOO_MANY_REQUESTS and interval.isdigit():
                error.after_seconds = int(interval) / 1000
        return error

    def reason(self, response: httpx.Response) -> str:
        return str(body_of(response).get("message") or "")

    def _upsert(self, rows: Iterable[Row]) -> Call:
        inputs = [
            {
                "id": self._identity(row),
                "idProperty": self._id_property,
                "objectWriteTraceId": row.key,
                "properties": self._properties(row),
            }
            for row in rows
        ]
        return json_call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})

    def _update(self, rows: Iterable[Row]) -> Call:
        inputs = [
            {
                "id": row.remote_id,
                "objectWriteTraceId": row.key,
                "properties": self._properties(row),
            }
            for row in rows
        ]
        return json_call("POST", f"{CONTACTS}/batch/update", {"inputs": inputs})

    def _removals(self, rows: Sequence[Row]) -> list[Call]:
        calls = []
        if self._mark:
            inputs = [
                {
                    "id": _address(row),
                    **({} if _has_record_id(row) else {"idProperty": self._id_property}),
                    "objectWriteTraceId": row.key,
                    "properties": {self._mark: "false"},
                }
                for row in rows
            ]
            calls.append(json_call("POST", f"{CONTACTS}/batch/update", {"inputs": inputs}))
        ids = [_address(row) for row in rows if _has_record_id(row)]
        if self._list and ids:
            calls.append(self._members(remove=ids))
        if self._list and (unnamed := [row for row in rows if not _has_record_id(row)]):
            calls.append(self._look_up(unnamed))
        return calls

    def _look_up(self, rows: Iterable[Row]) -> Call:
        return json_call(
            "POST",
            READ,
            {
                "idProperty": self._id_property,
                "inputs": [{"id": _address(row)} for row in rows],
                "properties": [],
                "propertiesWithHistory": [],
            },
        )

    def _members(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Call:
        return json_call(
            "PUT",
            f"{LISTS}/{self._list}/memberships/add-and-remove",
            {"recordIdsToAdd": list(add), "recordIdsToRemove": list(remove)},
        )

    def _identity(self, row: Row) -> str:
        return text_of(fields_of(row).get(self._id_property)) or row.key

    def _properties(self, row: Row) -> dict[str, str]:
        fields = fields_of(row, numbers_as_text=True)
        marked = {self._mark: "true"} if self._mark else {}
        return {name: text_of(value) for name, value in fields.items()} | marked

    def _accepted(self, response: httpx.Response, rows: Sequence[Row]) -> dict[str, RowAnswer]:
        """The contacts that were written, by row key: the trace id, else what they are known by."""
        keys = {self._identity(row).lower(): row.key for row in rows}
        keys |= {row.remote_id: row.key for row in rows if row.remote_id}
        found = {}
        for contact in items_of(body_of(response), "results"):
            record_id = str(contact.get("id") or "")
            shown = object_in(contact, "properties").get(self._id_property)
            key = contact.get("objectWriteTraceId") or keys.get(record_id)
            key = key or keys.get(str(shown).lower())
            if key and record_id:
                found[str(key)] = RowAnswer(remote_id=record_id)
        return found

    def _refused(self, response: httpx.Response, rows: Sequence[Row]) -> dict[str, RowAnswer]:
        """The errors of a 207, by row key; RejectError for one that says nothing of a row."""
        keys = {row.key: row.key for row in rows}
        keys |= {row.remote_id: row.key for row in rows if row.remote_id}
        found: dict[str, RowAnswer] = {}
        for error in items_of(body_of(response), "errors"):
            context = object_in(error, "context")
            named = [*texts_in(context, "objectWriteTraceId"), *texts_in(context, "ids")]
            told = RowAnswer(str(error.get("category") or "error"), str(error.get("message") or ""))
            mine = [keys[name] for name in named if name in keys]
            if not mine and told.error_code != NOT_THERE:
                raise RejectError(
                    "HubSpot refused a contact and did not say which", code="unnamed_error"
                )
            found |= dict.fromkeys(mine, told)
        return found


def _has_record_id(row: Row) -> bool:
    return bool(row.remote_id) and not str(row.remote_id).startswith(BY_PROPERTY)


def _address(row: Row) -> str:
    """The record id, or the value of the id property where no id was ever answered."""
    return (row.remote_id or row.key).removeprefix(BY_PROPERTY)
