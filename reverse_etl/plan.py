"""The plan of a sync: the difference between who should be there and what was sent, as one query.

`make` leaves a temporary view `plan` in the ledger's connection, one row a row key: row_key,
customer_id, kind (add | update | remove | suppressed | invalid | parked | unchanged), reason,
payload (JSON text, only for what is sent), payload_hash, field_hashes, position (the order of
sending; NULL for what is not sent), phase (0 who must go, 1 other removals, 2 the rest), remote_id,
is_held (the destination has it, or may), is_news (the ledger has to note something).

Consent is compiled in: only customers whose decision in force for (the sync's purpose, its channel)
is `granted` are sent. Who was sent before and is not granted any more is removed, in every mode but
`events`, before anything else is sent; in the modes `mirror` and `replace`, who left the audience is
too. Where a destination removes nothing, who has to go is `suppressed`: kept, never sent again.

Whom a running experiment of the audience holds out is suppressed with the reason `holdout`, and in
mode `mirror` removed if the destination has them.

`parked` is what was refused too often and has not changed since.

Behind the view is the table `plan_rows`. Many rows are planned in slices, so that memory does not grow
with them: each is written in its own order (`nth`), and `plan_places` says how many come before it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from reverse_etl import catalog, destinations, difference, leavers, quoting
from reverse_etl.declarations import GOLDEN, Sync, nearest
from reverse_etl.difference import GOLDEN_TABLE, GRANTED, HELD_OUT, PUBLISHED, Slice
from reverse_etl.ledger import OpenRun
from reverse_etl.payload import Columns
from reverse_etl.room import with_room

NEEDED = (
    ("marts", GOLDEN),
    ("marts", "customer_consents"),
    ("identity", "history"),
    ("audiences", "definitions"),
    ("canonical", "experiments"),
    ("canonical", "experiment_assignments"),
)


# of so many rows the plan is made in less than 160 MB
SLICE_ROWS = 125_000
THREADS_FOR_MANY = 2
# an id takes as much room as a small part of a row
IDS_A_ROW = 4


class PlanError(Exception):
    """The plan cannot be made; the message names the sync's file and what to look at."""


@dataclass(frozen=True)
class Basis:
    """What a plan rests on, for the guards: rows of the source, of golden_customers and of all
    consents, DuckDB's types of the fields in declared order, and per target field its column and
    type (JSON)."""

    source_rows: int
    customers: int
    consents: int
    field_types: tuple[str, ...]
    shape: str


def make(
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    published: Path,
    run: OpenRun | None = None,
    *,
    full: bool = False,
) -> Basis:
    """Write the temporary view `plan`; the published file is closed again when this returns.

    `run` is the run that the plan is for; rows it has already been answered about are not planned a
    second time. `full` plans everything as changed. Raises PlanError.
    """
    bound = {
        "name": sync.name,
        "purpose": sync.consent_purpose,
        "channel": sync.channel,
        "audience": sync.audience_id,
        "run": run.sync_run_id if run else None,
    }
    attach(con, sync, published)
    try:
        columns = _columns(con, sync)
        ((source_rows, customers, consents),) = con.execute(
            f"""SELECT (SELECT count(*) FROM {difference.source_table(sync)}),
                (SELECT count(*) FROM {GOLDEN_TABLE}),
                (SELECT count(*) FROM {difference.CONSENTS_TABLE})"""
        ).fetchall()
        rows = max(source_rows, consents // IDS_A_ROW)
        _write(con, sync, columns, bound, rows, full=full)
    except duckdb.Error as error:
        # DuckDB's messages can quote values of rows, so only their kind is passed on
        raise PlanError(
            f"{sync.path}: exposure {sync.name}: its rows cannot be computed from the "
            f"published file ({type(error).__name__}): look at {sync.audience_id} and at "
            "config.meta.sync.fields"
        ) from None
    finally:
        con.execute(f"DETACH {PUBLISHED}")
    if sync.mode == "replace":
        _send_everyone(con)
    shape = json.dumps(columns.shape(sync), ensure_ascii=False, sort_keys=True)
    types = tuple(columns.source(column)[1] for _, column in sync.fields)
    return Basis(source_rows, customers, consents, types, shape)


def _write(
    con: duckdb.DuckDBPyConnection,
    sync: Sync,
    columns: Columns,
    bound: Mapping[str, str | None],
    rows: int,
    *,
    full: bool,
) -> None:
    capabilities = destinations.find(sync.destination).capabilities
    slices = max(1, -(-rows // SLICE_ROWS))

    def run(sql: str) -> None:
        given = {name: value for name, value in bound.items() if f"${name}" in sql}
        with_room(con, rows // slices, lambda: con.execute(sql, given))

    con.execute(f"SET threads = {1 if slices == 1 else THREADS_FOR_MANY}")
    run(difference.shared_keys_sql(sync, columns))
    ((any_shared,),) = con.execute("SELECT count(*) > 0 FROM shared_keys").fetchall()
    ((any_held,),) = con.execute(
        "SELECT count(*) > 0 FROM sync_state WHERE sync_name = ? AND is_held", [sync.name]
    ).fetchall()
    run(leavers.leavers_sql(sync, capabilities, columns, any_shared=any_shared, any_held=any_held))
    for number in range(slices):
        rows_of_slice = difference.plan_sql(
            sync,
            capabilities,
            columns,
            any_shared=any_shared,
            full=full,
            resumed=bound["run"] is not None,
            part=Slice(number, slices),
        )
        into = (
            "INSERT INTO plan_rows BY NAME"
            if number
            else "CREATE OR REPLACE TEMP TABLE plan_rows AS"
        )
        run(f"{into} {rows_of_slice}")
    # from here on the threads are those that send
    con.execute("SET threads = 1")
    _number(con)


def _number(con: duckdb.DuckDBPyConnection) -> None:
    """Say where the rows of each slice stand in the whole, and show them so."""
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE plan_places AS
        SELECT class, slice, rows, (sum(rows) OVER so_far - rows)::BIGINT AS before,
            -- what a row's place in its slice is to be raised by
            before - first + 1 AS raised
        FROM (SELECT class, slice, count(*) AS rows, min(nth) AS first
              FROM plan_rows WHERE class IS NOT NULL GROUP BY ALL)
        WINDOW so_far AS (ORDER BY class, slice ROWS UNBOUNDED PRECEDING)"""
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP VIEW plan AS
        SELECT r.* EXCLUDE (class, slice, nth), nth + raised AS position
        FROM plan_rows r LEFT JOIN plan_places p ON p.class = r.class AND p.slice = r.slice"""
    )


def keep_must_go(con: duckdb.DuckDBPyConnection) -> None:
    """Take out of `plan` what is not to be sent now: all but who must go. The rest is pending."""
    _renumber(con, "kind = 'remove' AND phase = 0")


def keep_nothing(con: duckdb.DuckDBPyConnection) -> None:
    """Take out of `plan` everything that would be sent: it is pending."""
    _renumber(con, "false")


def keep_left_over(con: duckdb.DuckDBPyConnection, sync: Sync) -> None:
    """Take out of `plan` what an interrupted run had not planned already; the next run plans it."""
    con.execute(
        """
        DELETE FROM plan_rows WHERE kind IN ('add', 'update', 'remove') AND row_key NOT IN (
            SELECT row_key FROM planned_rows WHERE sync_run_id IN (
                SELECT sync_run_id FROM sync_runs WHERE sync_name = ?))""",
        [sync.name],
    )
    _renumber(con, "position IS NOT NULL")


def keep_from_overtaking(con: duckdb.DuckDBPyConnection, run: OpenRun) -> None:
    """Take out of `plan` whose batch is in flight still: an old one must not arrive after a new."""
    _renumber(
        con,
        f"""position IS NOT NULL AND row_key NOT IN (
            SELECT row_key FROM planned_rows JOIN sync_batches USING (sync_run_id, batch_number)
            WHERE sync_run_id = {quoting.text(run.sync_run_id)} AND status = 'sent')""",
    )


def _send_everyone(con: duckdb.DuckDBPyConnection) -> None:
    """Mode replace: nothing at all, or one session with everyone who should be there."""
    ((changed,),) = con.execute(
        "SELECT count(*) > 0 FROM plan WHERE kind IN ('add', 'update', 'remove')"
    ).fetchall()
    _renumber(con, "kind IN ('add', 'update', 'unchanged')" if changed else "false")


def _renumber(con: duckdb.DuckDBPyConnection, is_sent: str) -> None:
    """Write the plan again with other rows to be sent (a condition): these first, and in order."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE renumbered AS
        SELECT * EXCLUDE (is_in, position), CASE WHEN is_in THEN 0 END::UTINYINT AS class,
            0 AS slice, CASE WHEN is_in THEN row_number() OVER () END AS nth
        FROM (SELECT *, {is_sent} AS is_in FROM plan ORDER BY is_in DESC, position, row_key)"""
    )
    con.execute("DROP TABLE plan_rows")
    con.execute("ALTER TABLE renumbered RENAME TO plan_rows")
    _number(con)


def attach(con: duckdb.DuckDBPyConnection, sync: Sync, published: Path) -> None:
    """Attach the published file read-only; raises PlanError if it is not there or is locked."""
    try:
        con.execute(f"ATTACH {quoting.text(str(published))} AS {PUBLISHED} (READ_ONLY)")
    except duckdb.Error as error:
        hint = "does not exist" if not published.exists() else f"opens not ({type(error).__name__})"
        raise PlanError(
            f"{sync.path}: exposure {sync.name}: the published file {published.name} {hint}: "
            "run `mainstem run`"
        ) from None


def no_longer_allowed(
    con: duckdb.DuckDBPyConnection, sync: Sync, published: Path, run: OpenRun
) -> list[int]:
    """Numbers of the batches in flight that hold an upsert of somebody who withdrew or is held out."""
    attach(con, sync, published)
    try:
        _columns(con, sync)
        rows = con.execute(
            f"""
            SELECT DISTINCT batch_number FROM planned_rows p
            JOIN sync_batches b USING (sync_run_id, batch_number)
            WHERE sync_run_id = $run AND b.status = 'sent' AND p.kind <> 'remove'
              AND (p.customer_id NOT IN ({GRANTED}) OR p.customer_id IN ({HELD_OUT}))
            ORDER BY ALL""",
            {
                "run": run.sync_run_id,
                "purpose": sync.consent_purpose,
                "channel": sync.channel,
                "audience": sync.audience_id,
            },
        ).fetchall()
    finally:
        con.execute(f"DETACH {PUBLISHED}")
    return [number for (number,) in rows]


def _columns(con: duckdb.DuckDBPyConnection, sync: Sync) -> Columns:
    """The columns at hand; raises PlanError for a relation or a column that is not there."""
    audience = (sync.audience_schema, sync.audience_table)
    relations: dict[tuple[str, str], dict[str, str]] = {}
    for relation in (audience, *NEEDED):
        found = catalog.columns(con, PUBLISHED, *relation)
        if not found:
            raise PlanError(
                f"{sync.path}: exposure {sync.name}: {'.'.join(relation)} is not in the published "
                "file: run `mainstem run` and look at what failed before publishing"
            )
        relations[relation] = {name: column.data_type for name, column in found.items()}
    columns = Columns(relations[audience], relations["marts", GOLDEN])
    known = columns.audience.keys() | columns.golden.keys()
    for column in (sync.row_key, *(column for _, column in sync.fields)):
        if column not in known:
            raise PlanError(
                f"{sync.path}: exposure {sync.name}, config.meta.sync: no column {column} in "
                f"{sync.audience_id} or {GOLDEN}; {nearest(column, known)}"
            )
    if "customer_id" not in columns.audience:
        raise PlanError(
            f"{sync.path}: exposure {sync.name}: {sync.audience_id} has no column customer_id, by "
            "which consent is asked for: add it to the model's SELECT"
        )
    return columns
