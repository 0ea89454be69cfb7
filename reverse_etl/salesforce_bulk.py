"""Salesforce's Bulk API 2.0: a job is made, given its rows as CSV, started, asked, and read.

Read in its guide: "Create a job", "Upload job data", "Get job successful record results", "Get job
failed record results" (sf__Id, sf__Error; an empty cell leaves a field as it is, #N/A empties it).
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from reverse_etl.answers import body_of, text_of
from reverse_etl.conversation import Steps
from reverse_etl.destination import Job, RejectError, RetryError, RowAnswer
from reverse_etl.http import Call, json_call

EMPTIED = "#N/A"
# a record that is not there has nothing to leave
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
JOB_SECONDS = 5.0
JOB_ID = "{id}"


def calls(
    jobs: str,
    sobject: str,
    operation: str,
    records: Sequence[Mapping[str, Any]],
    id_field: str | None = None,
) -> list[Call]:
    """The requests that make, fill and start a job; JOB_ID in a path stands for its id."""
    declared = {
        "object": sobject,
        "operation": operation,
        "contentType": "CSV",
        "lineEnding": "LF",
        **({"externalIdFieldName": id_field} if id_field else {}),
    }
    return [
        json_call("POST", jobs, declared),
        Call("PUT", f"{jobs}/{JOB_ID}/batches", csv_of(records), {"Content-Type": "text/csv"}),
        json_call("PATCH", f"{jobs}/{JOB_ID}", {"state": "UploadComplete"}),
    ]


def begin(requests: Sequence[Call]) -> Steps:
    """Make those requests."""
    create, *others = requests
    job_id = str(body_of((yield create)).get("id") or "")
    if not job_id:
        raise RetryError("Salesforce's answer names no job", code="no_job", maybe_applied=False)
    for call in others:
        yield replace(call, path=call.path.replace(JOB_ID, quote(job_id)))
    return Job(job_id, JOB_SECONDS)


def written(job: str, known: Mapping[str, str], id_field: str) -> Steps:
    """What an upsert did, by row key; `known` are the keys by the value of `id_field`."""
    silent = RowAnswer("unprocessed", "Salesforce's job ended before it came to this record")
    answers = dict.fromkeys(known.values(), silent)
    for line in rows_of((yield Call("GET", f"{job}/successfulResults")).text):
        if line.get(id_field) in known:
            answers[known[line[id_field]]] = RowAnswer(remote_id=line["sf__Id"])
    for line in rows_of((yield Call("GET", f"{job}/failedResults")).text):
        answers[_key(known, line.get(id_field))] = _refused(line)
    return answers


def left(job: str, known: Mapping[str, str]) -> Steps:
    """What a removal could not do, by row key; `known` are the keys by record id."""
    failed = rows_of((yield Call("GET", f"{job}/failedResults")).text)
    refused = [(line, _refused(line)) for line in failed]
    return {
        _key(known, line.get("sf__Id") or line.get("Id")): told
        for line, told in refused
        if told.error_code not in GONE
    }


def csv_of(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Records as UTF-8 CSV with LF, their fields in the order of the first that has each."""
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO(newline="")
    # a lone carriage return would go unquoted otherwise
    lines = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    lines.writerow(names)
    for record in records:
        lines.writerow(
            EMPTIED if name in record and record[name] is None else text_of(record.get(name))
            for name in names
        )
    return text.getvalue().encode()


def rows_of(content: str) -> Iterable[Mapping[str, str]]:
    """The lines of a result, by column."""
    return csv.DictReader(io.StringIO(content, newline=""))


def _key(known: Mapping[str, str], identifier: str | None) -> str:
    if identifier is None or identifier not in known:
        raise RejectError("Salesforce refused a record and did not say which", code="unnamed_error")
    return known[identifier]


def _refused(line: Mapping[str, str]) -> RowAnswer:
    code, _, said = line["sf__Error"].partition(":")
    return RowAnswer(code or "error", said)
