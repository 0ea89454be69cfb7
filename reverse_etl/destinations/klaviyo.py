"""Klaviyo profiles, imported in bulk into a list.

`POST /api/profile-bulk-import-jobs` makes or updates up to 10,000 profiles (5 MB, 100 KB each) and
puts them into the list; the job is asked until it is over, and its `/import-errors` name the rows
that were refused. Who leaves is looked up by external id and taken out of the list with
`DELETE /api/lists/{id}/relationships/profiles` (1,000 a call), never unsubscribed: the bulk
unsubscribe would silence a person everywhere. Read in Klaviyo's API reference, revision 2026-07-15:
"Bulk Import Profiles", "Get Profiles", "Remove Profiles from List", "Rate limits" (10 a second and
150 a minute for these endpoints).

`connection`: api_key (scopes lists and profiles, read and write), list_id. The row key is the
profile's external_id, so a changed address changes the profile instead of making a second one.
Klaviyo's own attributes and those of a location go where they belong, everything else becomes a
custom property; NULL takes a custom property away, and leaves the others as they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from reverse_etl.answers import (
    body_of,
    fields_beside_key,
    found_in,
    in_parts,
    is_removal,
    items_of,
    object_in,
)
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
from reverse_etl.http import COMMON_KEYS, Call, compact

REVISION = "2026-07-15"
ATTRIBUTES = frozenset(
    {
        "email",
        "phone_number",
        "first_name",
        "last_name",
        "organization",
        "locale",
        "title",
        "image",
    }
)
LOCATION = frozenset(
    {
        "address1",
        "address2",
        "city",
        "country",
        "region",
        "zip",
        "timezone",
        "latitude",
        "longitude",
        "ip",
    }
)
JOBS = "/api/profile-bulk-import-jobs"
# half of what a page may have, so that the address of a look-up stays short
LOOKED_UP = 50
REMOVED_AT_ONCE = 1_000
JOB_SECONDS = 5.0


class Klaviyo(Conversation):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=5_000,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"api_key", "list_id"}),
        optional_connection_keys=COMMON_KEYS,
        secret_keys=frozenset({"api_key"}),
        one_of_fields=frozenset({"email", "phone_number"}),
        max_bytes=5_000_000,
        row_overhead=250,
        parallel=4,
        # 150 a minute, and never more than 10 in a second
        rate=Rate(5, 2.0),
        one_operation=True,
        cannot="cannot subscribe anybody (consent is given in Klaviyo's own forms), and NULL does not "
        "clear Klaviyo's own attributes such as phone_number",
    )
    base_url = "https://a.klaviyo.com"
    login_key = "api_key"

    def headers(self) -> Mapping[str, str]:
        return {
            "Authorization": f"Klaviyo-API-Key {self.connection['api_key']}",
            "revision": REVISION,
            "Accept": "application/vnd.api+json",
        }

    def calls(self, batch: Batch) -> Sequence[Call]:
        if is_removal(batch.rows):
            return [_look_up(part) for part in in_parts([row.key for row in batch.rows], LOOKED_UP)]
        return [self._import(batch.rows)]

    def steps(self, batch: Batch) -> Steps:
        found: list[str] = []
        for call in self.calls(batch):
            response = yield call
            if not is_removal(batch.rows):
                return Job(_job(body_of(response))["id"], JOB_SECONDS)
            found += [str(one["id"]) for one in found_in(response, "data") if one.get("id")]
        for ids in in_parts(found, REMOVED_AT_ONCE):
            yield _call("DELETE", self._members, {"data": [_reference("profile", i) for i in ids]})
        return {}

    def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
        job = _job(self.look(f"{JOBS}/{job_id}"))["attributes"]
        if job["status"] in {"queued", "processing"}:
            return None
        if job["status"] != "complete":
            # a batch that is refused is sent again in halves, which is what is wanted here
            raise RejectError(
                f"Klaviyo ended the import job as {job['status']}", code=f"job_{job['status']}"
            )
        answer = self.talk(self._errors(batch, job_id, int(job.get("failed_count") or 0)))
        return answer if isinstance(answer, BatchAnswer) else None

    def check(self) -> str:
        found = body_of(self.request(Call("GET", f"/api/lists/{self.connection['list_id']}")))
        name = object_in(object_in(found, "data"), "attributes").get("name")
        return f"the list {name} is there"

    def reason(self, response: httpx.Response) -> str:
        return "; ".join(_said(error) for error in items_of(body_of(response), "errors"))

    @property
    def _members(self) -> str:
        return f"/api/lists/{self.connection['list_id']}/relationships/profiles"

    def _import(self, rows: Iterable[Row]) -> Call:
        return _call(
            "POST",
            JOBS,
            {
                "data": {
                    "type": "profile-bulk-import-job",
                    "attributes": {"profiles": {"data": [_profile(row) for row in rows]}},
                    "relationships": {
                        "lists": {"data": [_reference("list", self.connection["list_id"])]}
                    },
                }
            },
        )

    def _errors(self, batch: Batch, job_id: str, count: int) -> Steps:
        """What a job refused, by row key."""
        keys = {row.key for row in batch.rows}
        answers: dict[str, RowAnswer] = {}
        page = f"{JOBS}/{job_id}/import-errors?{urlencode({'page[size]': 100})}" if count else ""
        while page:
            body = body_of((yield Call("GET", page)))
            for item in items_of(body, "data"):
                error = object_in(item, "attributes")
                quoted = _refused_id(error)
                key = quoted if quoted in keys else _pointed_at(error, batch.rows)
                if key is None:
                    raise RejectError(
                        "Klaviyo refused a profile and did not say which", code="unnamed_error"
                    )
                answers[key] = RowAnswer(str(error.get("code") or "error"), _said(error))
            following = str(object_in(body, "links").get("next") or "")
            # only on the same host: the login travels with it
            page = following if following.startswith(f"{self._base}/") else ""
        return answers


def _job(body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"id": str(body["data"]["id"]), "attributes": dict(body["data"]["attributes"])}
    except (KeyError, TypeError, ValueError):
        raise RetryError(
            "Klaviyo's answer names no import job", code="no_job", maybe_applied=True
        ) from None


def _call(method: str, path: str, body: Any) -> Call:
    return Call(method, path, compact(body), {"Content-Type": "application/vnd.api+json"})


def _reference(kind: str, identifier: str) -> dict[str, str]:
    return {"type": kind, "id": identifier}


def _profile(row: Row) -> dict[str, Any]:
    attributes: dict[str, Any] = {"external_id": row.key}
    location: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    unset = []
    for name, value in fields_beside_key(row, "external_id").items():
        place = attributes if name in ATTRIBUTES else location if name in LOCATION else properties
        if value is not None:
            place[name] = value
        elif place is properties:
            unset.append(name)
    attributes |= {"location": location} if location else {}
    attributes |= {"properties": properties} if properties else {}
    taken_away = {"meta": {"patch_properties": {"unset": unset}}} if unset else {}
    return {"type": "profile", "attributes": attributes} | taken_away


def _look_up(external_ids: Iterable[str]) -> Call:
    quoted = ",".join('"' + i.replace("\\", "\\\\").replace('"', '\\"') + '"' for i in external_ids)
    asked = {
        "filter": f"any(external_id,[{quoted}])",
        "fields[profile]": "external_id",
        "page[size]": 100,
    }
    return Call("GET", f"/api/profiles?{urlencode(asked)}")


def _refused_id(error: Mapping[str, Any]) -> str:
    """The external id in what Klaviyo quotes of a refused profile."""
    payload = object_in(error, "original_payload")
    quoted = object_in(payload, "attributes") or payload
    return str(quoted.get("external_id") or "")


def _pointed_at(error: Mapping[str, Any], rows: Sequence[Row]) -> str | None:
    """The row that a pointer such as /data/attributes/profiles/data/3/attributes/email names."""
    parts = str(object_in(error, "source").get("pointer") or "").split("/")
    number = next((int(part) for part in parts if part.isdigit()), len(rows))
    return rows[number].key if number < len(rows) else None


def _said(error: Mapping[str, Any]) -> str:
    return str(error.get("detail") or error.get("title") or "")
