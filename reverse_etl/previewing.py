"""What a run of a sync would do, without doing it."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl import destinations, guards, outbox, plan, recording
from reverse_etl import ledger as books
from reverse_etl.connection import MissingVariableError, resolve
from reverse_etl.declarations import Sync
from reverse_etl.destination import Body, DestinationError
from reverse_etl.redaction import masked

SAMPLES_A_KIND = 5
NO_TIME = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Sample:
    """One row of a plan. `fields` is what would be sent, personal data masked."""

    kind: str
    row_key: str
    customer_id: str | None
    reason: str | None
    fields: Mapping[str, object]


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    status: ready; blocked (a guard objects: `error` says why and how to let it through); failed (no
    plan could be made, or no request: `error`). `counts` is rows by kind: add, update, remove,
    suppressed, invalid, parked, unchanged. `requests` is how many batches there would be.
    """

    sync_name: str
    status: str
    counts: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    batches: int = 0
    bodies: tuple[Body, ...] = ()
    error: str | None = None


def preview(
    sync: Sync,
    *,
    published: Path,
    ledger: Path,
    env: Mapping[str, str],
    bodies: int = 0,
    full: bool = False,
) -> Preview:
    """See reverse_etl.engine.preview."""
    with closing(books.connect(ledger if ledger.exists() else ":memory:")) as con:
        try:
            basis = plan.make(con, sync, published, full=full)
        except plan.PlanError as error:
            return Preview(sync.name, "failed", error=str(error))
        objection = guards.nothing_known(con, sync, basis) or guards.objection(con, sync, basis)
        found = counts(con)
        samples = _samples(con, sync)
        try:
            con.begin()
            opened = books.open_run(con, sync, "preview", NO_TIME)
            recording.record_plan(
                con,
                sync,
                opened,
                "preview",
                NO_TIME,
                capabilities=destinations.find(sync.destination).capabilities,
                field_types=basis.field_types,
            )
            refs = outbox.batches(con, opened, "planned")
            shown: list[Body] = []
            if bodies:
                destination = destinations.find(sync.destination)(resolve(sync.connection, env))
                for ref in refs[:bodies]:
                    shown += destination.bodies(outbox.read_batch(con, sync, opened, ref.number))
        except (DestinationError, MissingVariableError) as error:
            message = f"{sync.path}: exposure {sync.name}, config.meta.sync: {error}"
            return Preview(sync.name, "failed", found, samples, error=message)
        finally:
            con.rollback()
    status = "blocked" if objection else "ready"
    return Preview(sync.name, status, found, samples, len(refs), tuple(shown), objection)


def counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by kind of the temporary view `plan`."""
    rows = con.execute("SELECT kind, count(*) FROM plan GROUP BY kind ORDER BY kind").fetchall()
    return dict(rows)


def _samples(con: duckdb.DuckDBPyConnection, sync: Sync) -> tuple[Sample, ...]:
    """A few rows of each kind but `unchanged`, the first in the order of sending.

    A row key is shown where it is an id; an address, a phone number or a name is personal data.
    """
    shown = sync.row_key == "id" or sync.row_key.endswith("_id")
    rows = con.execute(
        """
        SELECT kind, row_key, customer_id, reason, payload FROM plan WHERE kind <> 'unchanged'
        QUALIFY row_number() OVER (PARTITION BY kind ORDER BY position, row_key) <= ?
        ORDER BY min(position) OVER (PARTITION BY kind) NULLS LAST, kind, position, row_key""",
        [SAMPLES_A_KIND],
    ).fetchall()
    return tuple(
        Sample(
            kind,
            key if shown and "@" not in key else str(masked(key)),
            customer,
            reason,
            _fields(payload),
        )
        for kind, key, customer, reason, payload in rows
    )


def _fields(payload: str | None) -> Mapping[str, object]:
    fields = json.loads(payload or "{}")
    return {name: masked(value) for name, value in fields.items()}
