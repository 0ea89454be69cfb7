"""What a run leaves in the warehouse for the next one, so that it need not begin again: the schema
`identity_state`, of which only the model (models, frequent_names) is published.

people, unnamed (rows of people before names were read from emails), entities, keys (of each
profile), crowded_keys, nodes (a hash of what came in), consent_forms, countries,
forced and forbidden as the last run had them; run: which run that was.

Invariant: the state is written in the same transaction as the tables of `identity`, so the two
never disagree.
"""

from __future__ import annotations

import duckdb

from identity import trained
from identity.normalise import EXTRA, OPTIONAL

SCHEMA = "identity_state"

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


def hash_nodes(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create node_hashes(node_key, is_contact, content): every contact that is not deleted and every
    visitor, with a hash of all that resolution reads of it.
    """
    known = [
        str(row[0]) for row in work.execute(f"describe {warehouse}.canonical.contacts").fetchall()
    ]
    columns = [
        *CONTACT_COLUMNS,
        *(c for c in known if c in OPTIONAL or c.startswith(EXTRA)),
    ]
    names = ", ".join('"' + c.replace('"', '""') + '"' for c in columns)
    work.execute(
        f"""
        create or replace table node_hashes as
        with contacts as (
            select contact_key as node_key, coalesce(is_deleted, false) as is_deleted,
                hash({names}) as content
            from {warehouse}.canonical.contacts
        ),
        rows as (
            select node_key, hash(identifier_type, identifier_value, is_verified, first_seen_at,
                last_seen_at) as content
            from {warehouse}.canonical.identifiers
        ),
        given as (
            select node_key, hash(count(*), bit_xor(content), sum(content % 1099511627776))
                as content
            from rows
            group by node_key
        )
        select
            coalesce(c.node_key, g.node_key) as node_key,
            c.node_key is not null as is_contact,
            hash(c.content, g.content) as content
        from contacts as c
        full join given as g on g.node_key = c.node_key
        where not coalesce(is_deleted, false)
        """
    )


def gather(work: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Create what a full run leaves, as state_<table> where it does not stand under its own name."""
    hash_nodes(work, warehouse)
    find_countries(work, warehouse)
    work.execute(
        """
        create or replace table consent_forms as
        select distinct identifier_type, given, value from normal_forms where node_key is null
        """
    )
    if not work.execute(
        "select 1 from duckdb_tables() where table_name = 'profile_keys'"
        " and database_name = current_database()"
    ).fetchall():
        work.execute("create table profile_keys (entity_key bigint)")


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
    work: duckdb.DuckDBPyConnection, target: str, run: tuple[int, str | None, str]
) -> None:
    """Replace the whole state, inside the transaction of a full run; `run` is its number, its model
    and the program's shape.
    """
    queries = {
        "people": _named("people", "node_key"),
        "unnamed": _named("unnamed", "node_key"),
        "entities": _named("(select node_key, entity_key from entities)", "node_key", "entity_key"),
        "keys": _named("profile_keys", "entity_key"),
        "nodes": "from node_hashes",
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
