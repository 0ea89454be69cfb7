"""Salesforce's sObject collections: requests about up to 200 records, and what they answer of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from reverse_etl.answers import items_of
from reverse_etl.destination import RetryError, RowAnswer
from reverse_etl.http import Call, json_call


def collection(path: str, records: Sequence[Mapping[str, Any]]) -> Call:
    """A request that writes up to 200 records, each by itself."""
    return json_call("PATCH", path, {"allOrNone": False, "records": records})


def list_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an answer that is a list; empty if it is something else."""
    try:
        return items_of({"all": response.json()}, "all")
    except (ValueError, RecursionError):
        return []


def results_of(response: httpx.Response, count: int) -> list[dict[str, Any]]:
    """What a collection request says of each record, in the order they were sent."""
    results = list_of(response)
    if len(results) != count:
        raise RetryError(
            "Salesforce's answer does not speak of every record",
            code="bad_answer",
            maybe_applied=True,
        )
    return results


def answer_of(result: Mapping[str, Any]) -> RowAnswer:
    """What a collection request says of one record."""
    if result.get("success"):
        return RowAnswer(remote_id=str(result["id"]) if result.get("id") else None)
    (error, *_) = items_of(result, "errors") or [{}]
    return RowAnswer(str(error.get("statusCode") or "error"), str(error.get("message") or ""))


def soql_text(value: str) -> str:
    """A text as SOQL writes it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
