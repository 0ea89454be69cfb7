"""What a run leaves in the warehouse for the next one, so that it need not begin again: the schema
`identity_state`, of which only the model (models, frequent_names) is published.

people, unnamed (rows of people before names were read from emails), alike (hashes of the columns that
exact rules want equal), entities, profiles (what scoring reads of them, and their keys), crowded_keys,
nodes (a hash of what came in), buckets (of many
nodes each, the same), consent_forms, countries, forced and forbidden as the last run had
them; run: which run that was.

Invariant: the state is written in the same transaction as the tables of `identity`, so the two
never disagree.
"""

from __future__ import annotations

import hashlib
from typing import Any

import duckdb

from identity import trained
from identity.blocking import key_columns
from identity.exact import hash_alike
from identity.normalise import EXTRA, OPTIONAL
from identity.profiles import kept_columns
from identity.quoting import quoted
from identity.rules import Rules

SCHEMA = "identity_state"

# Parts that nodes are in by the hash of their key. Hashes are summed: so many bits of room for it.
BUCKETS, SPARE_BITS = 65_536, 20

CONTACT_COLUMNS = (
    "source_system",
    "first_name",
    "last_name",
    "full_name",
    "birth_date",
    "address_line1",
    "city",
    "region",
    "postal_code",
    "country_code",
)


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the schema and the store of models if they are missing."""
    con.execute(f"create schema if not exists {SCHEMA}")
    con.execute(trained.CREATE)
    con.execute(
        f"create table if not exists {SCHEMA}.run (run_number bigint, model_id varchar, shape varchar)"
    )


def is_of(con: duckdb.DuckDBPyConnection, run_number: int, shape: str) -> bool:
    """Return whether the state is what run `run_number` left, made by a program of this `shape`."""
    rows = con.execute(f"select run_number, shape from {SCHEMA}.run").fetchall()
    return rows == [(run_number, shape)]


def hash_input(work: duckdb.DuckDBPyConnection, warehouse: str) -> str:
    """Return a hash of what resolution reads, the same in any row order and whenever it was loaded.

    Creates input_buckets(bucket, total): the same for each of BUCKETS parts of the nodes, so that the
    next run need only look at the nodes of parts that differ.
    """
    work.execute(
        f"""
        create or replace table input_buckets as
        select hash(node_key) % {BUCKETS} as bucket,
            sum(hash(node_key, content, is_deleted) >> {SPARE_BITS}) as total
        from ({_rows(work, warehouse)})
        group by bucket
        """
    )
    found = work.execute(
        f"""
        select (select list((bucket, total) order by bucket) from input_buckets),
            (select (count(*), sum(hash(identifier_type, identifier_value) >> {SPARE_BITS}))
                from {warehouse}.canonical.consents)
        """
    ).fetchall()
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def hash_nodes(work: duckdb.DuckDBPyConnection, warehouse: str, buckets: str | None = None) -> None:
    """Create node_hashes(node_key, is_contact, content): every contact that is not deleted and every
    visitor, with a hash of all that resolution reads of it.

    `buckets` is a table of the buckets to look at, if not at all.
    """
    work.execute(
        f"""
        create or replace table node_hashes as
        select node_key, bool_or(is_contact) as is_contact,
            hash(count(*), sum(content >> {SPARE_BITS})) as content
        from ({_rows(work, warehouse)})
        {"where " + in_buckets(buckets) if buckets is not None else ""}
        group by node_key
        having not bool_or(is_deleted)
        """
    )


def in_buckets(buckets: str) -> str:
    """Return SQL that says whether node_key is in one of a table's buckets."""
    return f"hash(node_key) % {BUCKETS} in (select bucket from {buckets})"


def _rows(work: duckdb.DuckDBPyConnection, warehouse: str) -> str:
    """A query for all rows that resolution reads: node_key, content (a hash), is_contact, is_deleted."""
    known = [
        str(row[0]) for row in work.execute(f"describe {warehouse}.canonical.contacts").fetchall()
    ]
    columns = [
        *CONTACT_COLUMNS,
        *(c for c in known if c in OPTIONAL or c.startswith(EXTRA)),
    ]
    return f"""
        select contact_key as node_key, hash({", ".join(quoted(c) for c in columns)}) as content,
            true as is_contact, coalesce(is_deleted, false) as is_deleted
        from {warehouse}.canonical.contacts
        union all
        select node_key, hash(identifier_type, identifier_value, is_verified, first_seen_at,
            last_seen_at), false, false
        from {warehouse}.canonical.identifiers"""


def gather(work: duckdb.DuckDBPyConnection, warehouse: str, buckets: Any) -> None:
    """Create what a full run leaves and has not made yet; `buckets` is the Arrow table of
    input_buckets.
    """
    work.register("given_buckets", buckets)
    work.execute("create or replace table input_buckets as from given_buckets")
    work.unregister("given_buckets")
    hash_nodes(work, warehouse)
    find_countries(work, warehouse)
    work.execute(
        """
        create or replace table consent_forms as
        select distinct identifier_type, given, value from normal_forms where node_key is null
        """
    )


def find_countries(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create countries(country_code): where contacts live, in which consents' phones are read."""
    work.execute(
        f"""
        create or replace table countries as
        select distinct country_code from {warehouse}.canonical.contacts
        where country_code is not null
        """
    )


def write_all(
    work: duckdb.DuckDBPyConnection,
    target: str,
    rules: Rules,
    run: tuple[int, str | None, str],
) -> None:
    """Replace the whole state, inside the transaction of a full run; `run` is its number, its model
    and the program's shape.
    """
    names = ", ".join([*kept_columns(work, rules), *(f"k.{key}" for key in key_columns(rules))])
    profiles = f"(select {names} from profiles join profile_keys as k using (node_key))"
    queries = {
        "people": _named("people", "node_key"),
        "unnamed": _named("unnamed", "node_key"),
        "alike": _named(f"({hash_alike(rules, 'people')})", "node_key"),
        "entities": _named("(select node_key, entity_key from entities)", "node_key", "entity_key"),
        "profiles": _named(profiles, "entity_key", "record_key"),
        "nodes": "from node_hashes",
        "buckets": "from input_buckets",
        "consent_forms": "from consent_forms",
        "crowded_keys": "from crowded_keys",
        "countries": "from countries",
        "forced": _named("forced", "left_key", "right_key"),
        "forbidden": _named("forbidden", "left_key", "right_key"),
    }
    for table, query in queries.items():
        work.execute(f"create or replace table {target}.{SCHEMA}.{table} as {query}")
    write_run(work, target, run)


def write_run(
    work: duckdb.DuckDBPyConnection, target: str, run: tuple[int, str | None, str]
) -> None:
    """Say which run the state is of."""
    work.execute(f"delete from {target}.{SCHEMA}.run")
    work.execute(f"insert into {target}.{SCHEMA}.run values (?, ?, ?)", list(run))


def _named(table: str, *columns: str) -> str:
    """A query for a table of the run with keys for numbers."""
    swapped = ", ".join(f"n{i}.node_key as {column}" for i, column in enumerate(columns))
    joins = " ".join(
        f"join node_numbers as n{i} on n{i}.number = t.{column}" for i, column in enumerate(columns)
    )
    return f"select t.* replace ({swapped}) from {table} as t {joins}"
