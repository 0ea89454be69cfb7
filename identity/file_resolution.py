"""Who is who in a file: the whole engine on files of people, with nothing else set up.

The answer stands in the connection's own database: `given` (the rows), `row_ids` (row_number, id),
and the tables of `identity`, whose node_key is the padded row number.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from identity.columns import Column, need_column, need_people, recognise
from identity.evaluate import evaluate
from identity.files import PARQUET, empty_markers, read_files
from identity.findings import Findings, find_out
from identity.given import FileError, Given
from identity.intake import KEY, add_findings, build_contacts
from identity.normalise import EXTRA, load_macros
from identity.resolve import resolve
from identity.rules import ExactRule, Rules
from identity.summary import Progress

OnColumns = Callable[[Given, tuple[Column, ...], str | None], None]


@dataclass(frozen=True)
class FileScore:
    """Quality against the truth column; pairwise, and B-cubed (Bagga and Baldwin 1998)."""

    labelled: int
    pairs_true: int
    pairs_predicted: int
    precision: float
    recall: float
    f1: float
    bcubed_f1: float


@dataclass(frozen=True)
class FileReport:
    """What became of a file; `blocked` are values that link nobody, `notes` what was odd."""

    records: int
    customers: int
    largest_cluster: int
    seconds: float
    peak_memory_mb: float
    id_column: str | None
    columns: tuple[Column, ...]
    blocked: int
    notes: tuple[str, ...]
    steps: dict[str, float]
    score: FileScore | None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, the score's figures beside the others."""
        score = asdict(self.score) if self.score else {}
        columns = {c.header: {"field": c.field, "why": c.why} for c in self.columns}
        plain = asdict(replace(self, columns=(), score=None))
        del plain["score"]
        return plain | {"columns": columns} | score


def resolve_files(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    rules: Rules,
    *,
    id_column: str | None = None,
    asked: Mapping[str, str] | None = None,
    truth: str | None = None,
    ignore: Sequence[str] = (),
    now: datetime | None = None,
    progress: Progress | None = None,
    on_columns: OnColumns | None = None,
) -> FileReport:
    """Resolve the people of the files in `con`, an empty database.

    `asked` says what a column is (header to field), `ignore` which columns to leave out,
    `truth` which one the answer is scored against: it leaves `given` before anything looks.
    `on_columns` is told the columns as soon as they are recognised. Raises FileError.
    """
    began = time.perf_counter()
    tell = progress or (lambda _: None)
    tell("read")
    given = read_files(con, paths)
    if truth is not None:
        _set_truth_aside(con, given, need_column(given, truth))
        ignore = (*ignore, truth)
    markers = empty_markers(con, given)
    tell("recognise columns")
    load_macros(con)
    columns = recognise(con, given, asked or {}, id_column=id_column, ignore=tuple(ignore))
    columns, id_header, notes = _choose_id(con, columns, id_column)
    if markers:
        notes = (*notes, f"cells that say {', '.join(markers)} were taken for empty ones")
    build_contacts(con, columns)
    columns, findings = find_out(con, columns, rules)
    need_people(given, columns)
    add_findings(con, columns, findings)
    if on_columns is not None:
        on_columns(given, columns, id_header)
    summary = resolve(
        con,
        with_findings(rules, findings),
        run_id="file",
        now=now or datetime.now(UTC),
        keeps_state=False,
        progress=progress,
    )
    largest = con.execute(
        "select max(n) from (select count(*) as n from identity.crosswalk group by customer_id)"
    ).fetchall()[0][0]
    blocked = con.execute("""
        select count(*) from identity.held_clusters
        where kind in ('placeholder', 'too_many_people')
        """).fetchall()[0][0]
    return FileReport(
        records=given.rows,
        customers=summary.customers,
        largest_cluster=int(largest or 0),
        seconds=round(time.perf_counter() - began, 2),
        peak_memory_mb=peak_memory_mb(),
        id_column=id_header,
        columns=columns,
        blocked=int(blocked),
        notes=(*(n for f in given.files for n in (f"{f.path.name}: {m}" for m in f.notes)), *notes),
        steps=summary.seconds,
        score=_score(con) if truth is not None else None,
    )


def with_findings(rules: Rules, findings: Findings) -> Rules:
    """Return the rules with what `found` says about the columns that only this file has."""
    known = {i.identifier_type for i in rules.identifiers}
    new = [f for f in findings.identifiers if f.name not in known]
    settings = rules.splink.settings()
    found = rules.found
    templates = [
        (f, found.sequence_comparison if f.is_sequence else found.identifier_comparison)
        for f in findings.identifiers
    ]
    templates += [(f, rules.found.attribute_comparison) for f in findings.attributes]
    for finding, template in templates:
        settings["comparisons"].append(
            json.loads(template.replace("{column}", EXTRA + finding.name))
        )
    settings["blocking_rules_to_generate_predictions"] += [
        {"blocking_rule": f"l.{EXTRA}{f.name} = r.{EXTRA}{f.name}"} for f in findings.identifiers
    ]
    names = tuple(f.name for f in new)
    return replace(
        rules,
        identifiers=rules.identifiers
        + tuple(
            replace(rules.found.identifier, identifier_type=f.name, label=f.column.header)
            for f in new
        ),
        exact_rules=rules.exact_rules
        + tuple(
            ExactRule(
                f"same_{name}",
                rules.found.identifier_probability,
                shares=name,
                when=rules.found.identifier_when,
            )
            for name in names
        ),
        conflicts=tuple(
            replace(c, unless_shared=c.unless_shared + names) if c.unless_shared else c
            for c in rules.conflicts
        ),
        splink=replace(rules.splink, settings_json=json.dumps(settings, sort_keys=True)),
    )


def write_clusters(con: duckdb.DuckDBPyConnection, path: Path, given_id: str | None) -> None:
    """Write every row as its id and customer_id, in the file's order, as CSV (or Parquet)."""
    several = con.execute("select max(file) from given").fetchall()[0][0]
    file = ", file" if several else ""
    _export(
        con,
        f"""
        select r.id as "{(given_id or "row_number").replace('"', '""')}", customer_id{file}
        from row_ids as r
        join given using (row_number)
        join identity.crosswalk as x on x.node_key = {KEY}
        order by r.row_number
        """,
        path,
    )


def write_pairs(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write left_id, right_id, probability, rule, is_used: a row per pair that anything spoke for."""
    _export(
        con,
        """
        select
            l.id as left_id, r.id as right_id,
            max(match_probability) as probability,
            arg_max(rule, (match_probability, rule)) as rule,
            bool_or(is_active) as is_used
        from identity.edges as e
        join row_ids as l on l.row_number = e.left_key::bigint
        join row_ids as r on r.row_number = e.right_key::bigint
        group by l.row_number, r.row_number, l.id, r.id
        order by l.row_number, r.row_number
        """,
        path,
    )


def _export(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    suffix = path.suffix.lower()
    form = "format parquet" if suffix in PARQUET else "format csv, header"
    if suffix == ".tsv":
        form += ", delimiter '\t'"
    # a device or a pipe is written into; a file in its place would take /dev/null from everybody
    is_special = path.exists() and not path.is_file()
    target = path if is_special else path.resolve()
    draft = target if is_special else target.with_name(f".{target.name}.part")
    try:
        con.execute(
            f"copy ({query}) to '{str(draft).replace(chr(39), chr(39) * 2)}'"
            f" ({form}, use_tmp_file false)"
        )
        if not is_special:
            draft.replace(target)
    except (duckdb.IOException, OSError) as error:
        raise FileError(f"{path} cannot be written; does its folder exist?") from error


def _choose_id(
    con: duckdb.DuckDBPyConnection,
    columns: tuple[Column, ...],
    asked: str | None,
) -> tuple[tuple[Column, ...], str | None, tuple[str, ...]]:
    """Create row_ids(row_number, id), and return the columns, the id's header and what was odd.

    Without being told, a column named like an id is taken if it is filled and unique over all rows.
    """
    chosen = next((c for c in columns if c.field == "id"), None)
    notes: tuple[str, ...] = ()
    if chosen is not None:
        unique = con.execute(
            f"select count(distinct {chosen.sql_name}) = count(*) from given"
        ).fetchall()[0][0]
        if not unique and asked:
            notes = (f"`{asked}` is empty or the same in several rows; each row is kept",)
        elif not unique:
            columns = tuple(
                replace(c, field="identifier", why="") if c is chosen else c for c in columns
            )
            chosen = None
    value = f"coalesce({chosen.sql_name}, row_number::varchar)" if chosen else "row_number::varchar"
    con.execute(f"create or replace table row_ids as select row_number, {value} as id from given")
    return columns, chosen.header if chosen else None, notes


def _set_truth_aside(con: duckdb.DuckDBPyConnection, given: Given, header: str) -> None:
    """Move the labels to a table that only the score reads; their column stays, empty."""
    name = given.sql_name(header)
    con.execute(
        f"""
        create or replace table truth as
        select {KEY} as contact_key, {name} as person_id from given where {name} is not null
        """
    )
    con.execute(f"update given set {name} = null")


def _score(con: duckdb.DuckDBPyConnection) -> FileScore:
    pairs = evaluate(con, "truth")
    precision, recall = con.execute(
        """
        with labelled as (
            select x.customer_id, t.person_id
            from truth as t
            join identity.crosswalk as x on x.node_key = t.contact_key
        ),
        cells as (select customer_id, person_id, count(*)::double as n from labelled group by all),
        found as (select customer_id, sum(n) as n from cells group by all),
        people as (select person_id, sum(n) as n from cells group by all)
        select sum(c.n * c.n / f.n) / sum(c.n), sum(c.n * c.n / p.n) / sum(c.n)
        from cells as c
        join found as f using (customer_id)
        join people as p using (person_id)
        """
    ).fetchall()[0]
    both = (precision or 0) + (recall or 0)
    return FileScore(
        labelled=pairs.records,
        pairs_true=pairs.pairs_true,
        pairs_predicted=pairs.pairs_predicted,
        precision=round(pairs.precision, 6),
        recall=round(pairs.recall, 6),
        f1=round(pairs.f1, 6),
        bcubed_f1=round(2 * precision * recall / both, 6) if both else 0.0,
    )


def peak_memory_mb() -> float:
    """Return the most memory that this process held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
