"""Why is this person at a destination, or not: the road of one customer into one sync.

Steps stand in the order of the road, from source to destination; the first one that they are
missing at is the answer. Reads the published file alone, and imports neither Dagster nor dbt; only
for somebody whom nobody knows it looks into the warehouse's quarantine, if nobody is writing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from audiences import published as audiences
from audiences.published import AudienceError
from identity.lookup import find_customers
from orchestration import held_back, lock
from orchestration import trace_steps as steps
from orchestration.home import Home
from orchestration.project import Project
from orchestration.trace_destination import destination
from orchestration.trace_steps import MISSING, Step
from orchestration.warehouse import read_published
from reverse_etl import declarations, trace
from reverse_etl.declarations import Sync

SHOWN_REFUSED = 3
RUNS = "select sync_run_id, status, finished_at from {}sync_runs order by all"


class TraceError(Exception):
    """There is nothing to trace; the message says what to do."""


@dataclass(frozen=True)
class Trace:
    """The page. `is_there` is what the destination holds; `first_missing` names the step that
    explains it, if they are missing at any."""

    asked_for: str
    sync: str
    destination: str
    audience: str
    published_at: datetime
    customer_id: str | None
    other_customers: tuple[str, ...]
    is_there: bool
    answer: str
    first_missing: str | None
    next: str | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The page as plain data, ready for JSON."""
        return asdict(self)


def find_sync(home: Home, name: str) -> Sync:
    """The sync of that name as dbt parsed it last. Raises TraceError with the nearest name."""
    if not home.manifest.exists():
        raise TraceError("nothing is set up yet: do `mainstem run` first")
    manifest = json.loads(home.manifest.read_text(encoding="utf-8"))
    exposures = manifest.get("exposures", {})
    # a destination's module can take a moment to import: only that of the one asked for
    mine = {key: one for key, one in exposures.items() if one["name"] == name}
    found = declarations.read({**manifest, "exposures": mine})
    if found.syncs:
        return found.syncs[0]
    if found.problems:
        raise TraceError("\n".join(str(problem) for problem in found.problems))
    names = [one["name"] for one in exposures.values() if declarations.is_sync(one)]
    raise TraceError(f"there is no sync {name}; {declarations.nearest(name, names)}")


def read(home: Home, what: str, sync: Sync) -> Trace:
    """Trace whom `what` leads to: a customer id, retired or not, a record's key, any identifier.

    Raises FileNotFoundError before anything is published, TraceError where nothing can be said.
    """
    text = what.strip()
    with read_published(home.published) as con:
        found_as, customers, retired = find_customers(con, text)
        found: trace.Standing | None
        if customers:
            road, found = _road(home, con, sync, text, found_as, customers[0], retired)
        else:
            road, found = _nobody(home, con, sync, text)
        notes = tuple(_notes(home, con))
    is_there = any(row.is_held for row in found.rows) if found else False
    missing = next((step for step in road if step.state == MISSING), None)
    return Trace(
        asked_for=text,
        sync=sync.name,
        destination=sync.destination,
        audience=sync.audience_id,
        published_at=_written_at(home.published),
        customer_id=customers[0] if customers else None,
        other_customers=tuple(customers[1:]),
        is_there=is_there,
        answer=_answer(sync, road, missing, is_there=is_there),
        first_missing=missing.name if missing else None,
        next=missing.next if missing else None,
        steps=road,
        notes=notes,
    )


def _road(
    home: Home,
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    text: str,
    found_as: str,
    customer_id: str,
    retired: str | None,
) -> tuple[tuple[Step, ...], trace.Standing]:
    """Every step of somebody who is known, the last first: what is there decides what is asked."""
    found = _standing(home, sync, customer_id)
    planned = next((one for one in found.planned if one.customer_id == customer_id), None)
    return (
        steps.source(con, customer_id),
        steps.identity(con, text, found_as, customer_id, retired),
        _audience(home, con, sync, customer_id),
        steps.consent(sync, found.consent),
        steps.experiment(found.holdout),
        steps.row(sync, planned),
        destination(
            sync, found, customer_id, held_back=held_back.reason(con, Project(home).sources)
        ),
    ), found


def _nobody(
    home: Home, con: duckdb.DuckDBPyConnection, sync: Sync, text: str
) -> tuple[tuple[Step, ...], trace.Standing | None]:
    """The steps of somebody whom nobody knows; a customer of the past may be there all the same."""
    road = [*steps.no_source(con, text, _quarantined(home, text))]
    road += [steps.unasked(name) for name in ("audience", "consent", "experiment", "row")]
    past = con.execute("select 1 from identity.resolve_forward where customer_id = ?", [text])
    if not past.fetchall():
        return (*road, steps.unasked("destination")), None
    found = _standing(home, sync, text)
    return (*road, destination(sync, found, None)), found


def _standing(home: Home, sync: Sync, customer_id: str) -> trace.Standing:
    from reverse_etl.plan import PlanError

    try:
        return trace.standing(home.published, sync, customer_id)
    except PlanError as error:
        raise TraceError(str(error)) from None


def _audience(home: Home, con: duckdb.DuckDBPyConnection, sync: Sync, customer_id: str) -> Step:
    try:
        definition = audiences.find(con, sync.audience_id)
        standing = audiences.standing(con, definition, customer_id)
    except AudienceError as error:
        return Step("audience", steps.UNASKED, str(error))
    judged, unjudged = None, None
    if not standing.is_member:
        from audiences import reasons  # sqlglot takes a moment, which members need not wait for

        try:
            judged = reasons.explain(home.published, definition, customer_id)
        except AudienceError as error:
            unjudged = str(error)
    step = steps.audience(definition, customer_id, standing, judged)
    return step if unjudged is None else replace(step, details=(*step.details, unjudged))


def _quarantined(home: Home, text: str) -> list[str] | None:
    """Where the text stands in refused rows; None if the warehouse cannot be had just now."""
    if not home.warehouse.exists():
        return []
    from ingestion import quarantine  # brings pyarrow, which those who are known need not wait for

    try:
        with lock.hold(home.lock, "mainstem trace"):
            con = duckdb.connect(str(home.warehouse), read_only=True)
            try:
                found = quarantine.holding(con, text, SHOWN_REFUSED)
            finally:
                con.close()
    except (lock.BusyError, duckdb.Error):
        return None
    return [
        f"{one.source}.{one.table_name}, {one.origin}, row {one.row_number}: {one.reason}"
        for one in found
    ]


def _answer(sync: Sync, road: tuple[Step, ...], missing: Step | None, *, is_there: bool) -> str:
    at_the_end = road[-1]
    if is_there and missing is None:
        return f"is there: {at_the_end.what}"
    if is_there and missing is not None:
        goes = any("the next run removes" in detail for detail in at_the_end.details)
        then = "the next run removes them" if goes else f"mode {sync.mode} keeps them"
        if any("removes nothing" in detail for detail in at_the_end.details):
            then = f"{sync.destination} removes nothing"
        return f"is still there, although {missing.what}; {then}"
    if missing is None:
        return f"is not there: {at_the_end.what}"
    return f"is missing at {missing.name}: {missing.what}"


def _notes(home: Home, con: duckdb.DuckDBPyConnection) -> list[str]:
    """Whether something was sent that is not published yet."""
    if not home.sync_ledger.exists():
        return []
    if _written_at(home.sync_ledger) <= _written_at(home.published):
        return []
    try:
        with lock.hold(home.lock, "mainstem trace"):
            ledger = duckdb.connect(str(home.sync_ledger), read_only=True)
            try:
                sent = ledger.execute(RUNS.format("")).fetchall()
            finally:
                ledger.close()
    except (lock.BusyError, duckdb.Error):
        return ["a run is under way: what it sends is not in this"]
    if sent == con.execute(RUNS.format("reverse_etl.")).fetchall():
        return []
    return ["a sync was killed before it could publish what it sent: `mainstem sync` publishes it"]


def _written_at(path: Path) -> datetime:
    """When a file was written, in UTC."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
