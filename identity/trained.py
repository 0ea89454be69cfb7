"""The model in force, kept under version until the rules of the model change, the data drifts away
from what it was trained on, or somebody asks for a new one.

Everything that scoring needs from the whole is decided here once: m, u, shares, how frequent terms
are, how many profiles a blocking key may have. A full run and an incremental one then give a pair
the same score.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from identity.email_names import count_names
from identity.quoting import quoted
from identity.rules import Rules
from identity.training import Model

# What is compared to say whether the data is still what the model was trained on.
WATCHED = ("birth_text", "postcode", "street", "city")

CREATE = """
    create table if not exists identity_state.models (
        model_id varchar, trains_on varchar, content json, records bigint, trained_at timestamp,
        reason varchar);
    create table if not exists identity_state.frequent_names (
        model_id varchar, kind varchar, name varchar, written varchar, n bigint)"""


@dataclass(frozen=True)
class Trained:
    """A model and what it was decided from.

    `frequencies` is the share of each term by column, for terms more frequent than `rarest`, which
    all others count as; `limits` the most profiles that may share a key, by the key's name; `usual`
    the most people that a value of an identifier usually has; `filled` the share of records that
    have each watched column.
    """

    model: Model
    frequencies: Mapping[str, Mapping[str, float]]
    rarest: Mapping[str, float]
    limits: Mapping[str, int]
    usual: Mapping[str, int]
    records: int
    filled: Mapping[str, float]

    @property
    def model_id(self) -> str:
        """The model's version: a hash of what it decides."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the model as text, the same for the same model."""
        content = {
            "settings": self.model.settings,
            "household": {k: list(v) for k, v in self.model.household.items()},
            "households_per_match": self.model.households_per_match,
            "families": self.model.families,
            "frequencies": self.frequencies,
            "rarest": self.rarest,
            "limits": self.limits,
            "usual": self.usual,
            "records": self.records,
            "filled": self.filled,
        }
        return json.dumps(content, sort_keys=True)


def learn(work: duckdb.DuckDBPyConnection, model: Model, limits: Mapping[str, int]) -> Trained:
    """Return the trained model with the term frequencies of `profiles` and what `people` is like."""
    frequencies: dict[str, dict[str, float]] = {}
    rarest: dict[str, float] = {}
    for column, least in _adjusted(model.settings).items():
        name = quoted(column)
        total = _number(work, f"select count({name}) from profiles")
        rarest[column] = least or 1 / max(total, 1)
        rows = work.execute(
            f"""
            select {name}::varchar, count(*) / $1
            from profiles
            where {name} is not null
            group by 1
            having count(*) / $1 > $2
            order by 1
            """,
            [max(total, 1), rarest[column]],
        ).fetchall()
        frequencies[column] = {str(term): round(float(share), 9) for term, share in rows}
    usual = work.execute("select identifier_type, usual_people from usual order by all").fetchall()
    records, filled = watch(work, "people", "ids")
    return Trained(
        model,
        frequencies,
        rarest,
        dict(limits),
        {str(kind): int(people) for kind, people in usual},
        records,
        filled,
    )


def frequency_tables(work: duckdb.DuckDBPyConnection, trained: Trained) -> dict[str, str]:
    """Create a table of term frequencies for each column that is adjusted by them, as Splink wants
    it: every term of `profiles` has a share. Returns their names by column.
    """
    tables = {}
    for number, (column, shares) in enumerate(trained.frequencies.items()):
        name = quoted(column)
        work.execute(
            f"""
            create or replace table term_shares_{number} as
            select t.term as {name}, coalesce(s.share, $3) as {quoted("tf_" + column)}
            from (select distinct {name} as term from profiles where {name} is not null) as t
            left join (select unnest($1::varchar[]) as term, unnest($2::double[]) as share) as s
                on s.term = t.term::varchar
            """,
            [list(shares), list(shares.values()), trained.rarest[column]],
        )
        tables[column] = f"term_shares_{number}"
    return tables


def watch(con: duckdb.DuckDBPyConnection, people: str, ids: str) -> tuple[int, dict[str, float]]:
    """Return how many records there are and the share of them that has each watched column, or an
    identifier of each type (how many there are for each record, one at most).
    """
    counts = ", ".join(f"count({c})" for c in WATCHED)
    records, *filled = con.execute(f"select count(*), {counts} from {people}").fetchall()[0]
    kinds = con.execute(
        f"select identifier_type, count(*) from {ids} group by all order by all"
    ).fetchall()
    found = [*zip(WATCHED, filled, strict=True), *((str(kind), n) for kind, n in kinds)]
    shares = {name: round(min(int(n) / max(int(records), 1), 1.0), 6) for name, n in found}
    return int(records), shares


def drift(rules: Rules, trained: Trained, records: int, filled: Mapping[str, float]) -> str | None:
    """Say why the data is no longer what the model was trained on, or return None.

    Either there are far more (or fewer) records, or a column is filled in for another share of
    them: by the population stability index, whose customary limit is 0.1 (Siddiqi, Credit Risk
    Scorecards, 2006).
    """
    growth = 1 + rules.splink.max_growth
    if not trained.records / growth <= records <= trained.records * growth:
        return f"trained on {trained.records:,} records, and there are {records:,} now"
    for column, now in filled.items():
        index = _stability(trained.filled.get(column, 0.0), now)
        if index > rules.splink.max_drift:
            return (
                f"{column} is there for {now:.0%} of the records, and for"
                f" {trained.filled.get(column, 0.0):.0%} when the model was trained"
            )
    return None


def in_force(
    con: duckdb.DuckDBPyConnection,
    work: duckdb.DuckDBPyConnection,
    rules: Rules,
    version: str,
    *,
    is_retrain: bool,
    keeps_model: bool = False,
) -> tuple[Trained | None, str | None]:
    """Return the model to score with, or None and why a new one is trained. Asks `people`, unless the
    kept model stays whatever they say (`keeps_model`).
    """
    if is_retrain:
        return None, "asked for"
    known = load(con, rules, version)
    if known is None:
        return None, "no model was kept for these rules"
    if keeps_model:
        return known, None
    why = drift(rules, known, *watch(work, "people", "ids"))
    return (None, why) if why else (known, None)


def name_people(work: duckdb.DuckDBPyConnection, warehouse: str, known: Trained | None) -> None:
    """Create `frequent_names`: those of the model, or those of `people` where a new one is trained."""
    if known is None:
        count_names(work)
        return
    work.execute(
        f"""
        create or replace table frequent_names as
        select kind, name, written, n from {warehouse}.identity_state.frequent_names
        where model_id = $1
        """,
        [known.model_id],
    )


def trains_on(rules: Rules, version: str) -> str:
    """Return a hash of the rules that training follows; `version` is the program's."""
    content = [version, rules.splink.max_training_records, rules.splink.prior_pairs]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def load(con: duckdb.DuckDBPyConnection, rules: Rules, version: str) -> Trained | None:
    """Return the model last trained by these rules, or None."""
    if not con.execute(
        "select 1 from duckdb_tables() where schema_name = 'identity_state'"
        " and table_name = 'models' and database_name = current_database()"
    ).fetchall():
        return None
    rows = con.execute(
        """
        select content
        from identity_state.models
        where trains_on = ?
            and model_id in (select model_id from identity_state.frequent_names)
        order by trained_at desc, rowid desc
        limit 1
        """,
        [trains_on(rules, version)],
    ).fetchall()
    return parse(str(rows[0][0])) if rows else None


def parse(text: str) -> Trained:
    """Read a model from what `to_json` wrote."""
    content: dict[str, Any] = json.loads(text)
    return Trained(
        model=Model(
            content["settings"],
            {k: tuple(v) for k, v in content["household"].items()},
            float(content["households_per_match"]),
            float(content["families"]),
        ),
        frequencies=content["frequencies"],
        rarest=content["rarest"],
        limits=content["limits"],
        usual=content["usual"],
        records=int(content["records"]),
        filled=content["filled"],
    )


def keep(
    con: duckdb.DuckDBPyConnection,
    target: str,
    trained: Trained,
    rules: Rules,
    run: tuple[str, datetime, str],
) -> None:
    """Insert a model into `target`'s store; `run` is the program's version, the moment and why."""
    version, now, reason = run
    con.execute(
        f"insert into {target}.identity_state.models values (?, ?, ?, ?, ?, ?)",
        [
            trained.model_id,
            trains_on(rules, version),
            trained.to_json(),
            trained.records,
            now,
            reason,
        ],
    )
    # names that no model in the store goes by any more are of no use; those of nobody keep a row
    con.execute(f"delete from {target}.identity_state.frequent_names")
    con.execute(
        f"insert into {target}.identity_state.frequent_names"
        " select $1, kind, name, written, n from frequent_names union all"
        " select $1, 'none', '', '', 0",
        [trained.model_id],
    )


def _adjusted(settings: Mapping[str, Any]) -> dict[str, float]:
    """The columns whose terms' frequencies count, and the least that a term counts as."""
    found: dict[str, float] = {}
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            column = level.get("tf_adjustment_column")
            if column:
                least = float(level.get("tf_minimum_u_value", 0))
                found[column] = min(found.get(column, least), least)
    return found


def _stability(before: float, now: float) -> float:
    index = 0.0
    for was, now_is in ((before, now), (1 - before, 1 - now)):
        p, q = max(was, 0.0005), max(now_is, 0.0005)
        index += (q - p) * math.log(q / p)
    return index


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])
