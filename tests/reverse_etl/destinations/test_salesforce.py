"""Salesforce: collections and bulk jobs, a login that expires, records that are gone."""

import csv
import io
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from conformance import SECRET, Books, Case, Request, Response, Vendor, serve
from hypothesis import given
from hypothesis import strategies as st

from reverse_etl import salesforce_bulk, salesforce_records
from reverse_etl.answers import text_of
from reverse_etl.destination import RetryError, StopError
from reverse_etl.destinations.salesforce import Salesforce

DATA = "/services/data/v62.0"


class Org(Vendor):
    """Contacts by record id, unique by Crm_Id__c."""

    def __init__(self) -> None:
        super().__init__()
        self.contacts: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logins: list[dict[str, list[str]]] = []
        self.made = 0

    def is_known(self, request: Request) -> bool:
        return request.headers["authorization"] == f"Bearer token for {self.token}"

    def is_open(self, request: Request) -> bool:
        return request.path == "/services/oauth2/token"

    def answer(self, request: Request) -> Response:
        path = request.path.removeprefix(DATA)
        if self.is_open(request):
            form = parse_qs(request.body.decode())
            self.logins.append(form)
            if form["client_secret"] != [SECRET]:
                return Response(400, {"error": "invalid_client", "error_description": SECRET})
            return Response(200, {"access_token": f"token for {self.token}"})
        if path == "/sobjects/Contact/describe":
            fields = [{"name": "Crm_Id__c", "externalId": True}, {"name": "In_Carts__c"}]
            return Response(200, {"fields": fields})
        if path.startswith("/jobs/ingest"):
            return self.job(request, path)
        if path == "/query":
            return self.query(request.query["q"][0])
        if path == "/composite/sobjects/Contact/Crm_Id__c":
            records = request.json()["records"]
            assert len(records) <= 200
            return Response(200, [self.upsert(dict(record)) for record in records])
        if path == "/composite/sobjects" and request.method == "PATCH":
            return Response(200, [self.update(dict(one)) for one in request.json()["records"]])
        if path == "/composite/sobjects" and request.method == "DELETE":
            return Response(200, [self.delete(one) for one in request.query["ids"][0].split(",")])
        return Response(404, [{"errorCode": "NOT_FOUND", "message": "no such resource"}])

    def query(self, text: str) -> Response:
        wanted = [
            re.sub(r"\\(.)", r"\1", found) for found in re.findall(r"'((?:[^'\\]|\\.)*)'", text)
        ]
        records = [
            {"Id": key, "Crm_Id__c": contact["Crm_Id__c"]}
            for key, contact in self.contacts.items()
            if contact["Crm_Id__c"] in wanted
        ]
        return Response(200, {"records": records})

    def upsert(self, record: dict[str, Any]) -> dict[str, Any]:
        record.pop("attributes", None)
        if record.get("Email") == "no address":
            error = {"statusCode": "INVALID_EMAIL_ADDRESS", "message": "Email: no address"}
            return {"success": False, "errors": [error]}
        known = [k for k, c in self.contacts.items() if c["Crm_Id__c"] == record["Crm_Id__c"]]
        if not known:
            self.made += 1
        (key,) = known or [f"003{self.made:015d}"]
        self.contacts[key] = self.contacts.get(key, {}) | record
        return {"id": key, "success": True, "created": not known, "errors": []}

    def update(self, record: dict[str, Any]) -> dict[str, Any]:
        record.pop("attributes", None)
        key = record.pop("id", None) or record.pop("Id")
        if key not in self.contacts:
            error = {"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}
            return {"id": key, "success": False, "errors": [error]}
        self.contacts[key] |= record
        return {"id": key, "success": True, "errors": []}

    def delete(self, key: str) -> dict[str, Any]:
        answer = self.update({"id": key})
        self.contacts.pop(key, None)
        return answer

    def job(self, request: Request, path: str) -> Response:
        if path == "/jobs/ingest":
            key = f"750{len(self.jobs)}"
            self.jobs[key] = request.json() | {"state": "Open", "done": [], "failed": []}
            return Response(200, {"id": key, "state": "Open"})
        key, _, what = path.removeprefix("/jobs/ingest/").partition("/")
        job = self.jobs[key]
        if what == "batches":
            job["lines"] = list(csv.DictReader(io.StringIO(request.body.decode(), newline="")))
            return Response(201)
        if request.method == "PATCH":
            self.run(job)
            return Response(200, {"id": key, "state": "UploadComplete"})
        if what:
            lines = job["done" if what == "successfulResults" else "failed"]
            text = io.StringIO()
            writer = csv.DictWriter(text, ["sf__Id", "sf__Error", *job["lines"][0]])
            writer.writeheader()
            writer.writerows(lines)
            return Response(200, text.getvalue().encode(), {"Content-Type": "text/csv"})
        state = "JobComplete" if job["state"] == "InProgress" else "InProgress"
        job["state"] = state
        return Response(200, {"id": key, "state": state})

    def run(self, job: dict[str, Any]) -> None:
        for line in job["lines"]:
            kept = {name: None if v == "#N/A" else v for name, v in line.items() if v != ""}
            if job["operation"] == "upsert":
                assert job["externalIdFieldName"] == "Crm_Id__c"
                told = self.upsert(kept)
            elif job["operation"] == "delete":
                told = self.delete(kept["Id"])
            else:
                told = self.update(kept)
            for error in told["errors"]:
                said = f"{error['statusCode']}:{error['message']}:--"
                job["failed"].append({"sf__Id": told.get("id", ""), "sf__Error": said} | line)
            if told["success"]:
                job["done"].append({"sf__Id": told["id"]} | line)
        job["state"] = "UploadComplete"

    def members(self) -> dict[str, dict[str, Any]]:
        return {
            one["Crm_Id__c"]: {
                name: v for name, v in one.items() if name not in {"In_Carts__c", "Crm_Id__c"}
            }
            for one in self.contacts.values()
            if one.get("In_Carts__c") in {True, "true"}
        }


class Emptied(Org):
    """The same, where who leaves is deleted."""

    def members(self) -> dict[str, dict[str, Any]]:
        every = [dict(contact) for contact in self.contacts.values()]
        return {contact.pop("Crm_Id__c"): contact for contact in every}


def person(n: int) -> dict[str, Any]:
    return {
        "Email": f"person{n}@example.com",
        "LastName": f'Zoë, "{n}"',
        "Cart_Value__c": 10.5 + n,
    }


LOGIN = {"client_id": "app", "client_secret": SECRET, "id_field": "Crm_Id__c"}
MARKED = Case(
    "salesforce-checkbox",
    Salesforce,
    Org,
    LOGIN | {"audience_field": "In_Carts__c"},
    person,
    {"LastName": "Noor"},
    {"Email": "no address"},
    address_key="instance_url",
    login_key="client_secret",
    renews=True,
    key=lambda n: f"cus'_\\{n}",
)
DELETED = replace(
    MARKED, id="salesforce-delete", vendor=Emptied, connection=LOGIN | {"on_removal": "delete"}
)


def as_text(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: text_of(value) for name, value in fields.items()}


BULK = replace(
    MARKED,
    id="salesforce-bulk",
    connection=MARKED.connection | {"api": "bulk"},
    shown=as_text,
)
BULK_DELETED = replace(
    DELETED,
    id="salesforce-bulk-delete",
    connection=DELETED.connection | {"api": "bulk"},
    shown=as_text,
)
CASES = [MARKED, DELETED, BULK, BULK_DELETED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
def test_a_record_that_is_gone_has_left(case: Case) -> None:
    org = case.vendor()
    assert isinstance(org, Org)
    with serve(org) as address, case.destination(address) as destination:
        books = Books(case, destination)
        books.add({1: person(1), 2: person(2)})
        del org.contacts[books.remote_ids[case.key(1)]]
        books.remove([1, 2])
    assert not books.errors
    assert org.members() == {}


def test_null_empties_a_field_in_a_job_too() -> None:
    org = Org()
    with serve(org) as address, BULK.destination(address) as destination:
        books = Books(BULK, destination)
        books.add({1: person(1)})
        books.add({1: person(1) | {"Email": None}})
    (contact,) = org.contacts.values()
    assert contact["Email"] is None


def test_more_than_200_rows_are_several_collections() -> None:
    org = Org()
    with serve(org) as address, MARKED.destination(address) as destination:
        books = Books(MARKED, destination)
        books.add({n: person(n) for n in range(450)})
        books.remove(list(range(450)))
    sent = [request for request in org.requests if "composite" in request.path]
    assert len(sent) == 6
    assert org.members() == {}


def test_a_refresh_token_is_used_and_one_login_serves_all() -> None:
    org = Org()
    connection = MARKED.connection | {"refresh_token": "5Aep"}
    with serve(org) as address, replace(MARKED, connection=connection).destination(address) as to:
        books = Books(MARKED, to)
        books.add({1: person(1)})
        books.add({2: person(2)})
    (login,) = org.logins
    assert (login["grant_type"], login["refresh_token"]) == (["refresh_token"], ["5Aep"])


def test_a_refused_login_says_where_to_look_and_no_more() -> None:
    with serve(Org()) as address:
        connection = MARKED.connection | {"client_secret": "wrong-s3cret"}
        with replace(MARKED, connection=connection).destination(address) as to:
            with pytest.raises(StopError, match=r"connection\.client_id") as caught:
                to.check()
            assert "s3cret" not in str(caught.value)


def test_requests_of_a_day_that_are_spent_end_the_run() -> None:
    org = Org()
    org.script = [Response(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "spent"}])]
    with serve(org) as address, MARKED.destination(address) as to:
        with pytest.raises(RetryError) as caught:
            Books(MARKED, to).add({1: person(1)})
        assert caught.value.after_seconds == 3600


@pytest.mark.parametrize("key", ["audience_field", "id_field", "api", "on_removal"])
def test_what_cannot_be_is_said(key: str) -> None:
    org = Org()
    with serve(org) as address, pytest.raises(StopError, match=rf"connection\.{key}"):
        connection = MARKED.connection | {key: "Nothing__c"}
        with replace(MARKED, connection=connection).destination(address) as to:
            to.check()


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["Name", "Note__c", "Amount__c"]),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_a_job_is_given_reads_back_as_it_was(records: list[dict[str, str]]) -> None:
    content = salesforce_bulk.csv_of(records).decode()
    read = [
        {name: value for name, value in line.items() if value != ""}
        for line in salesforce_bulk.rows_of(content)
    ]
    assert read == [dict(record) for record in records]


@given(st.text())
def test_a_text_in_a_query_is_one_text(value: str) -> None:
    written = salesforce_records.soql_text(value)
    (inner,) = re.findall(r"\A'((?:[^'\\]|\\.)*)'\Z", written, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) == value
