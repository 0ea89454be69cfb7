"""Audiences before a change of customers: their members carried over to the customers they would be."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class AudienceEffect:
    """An audience's members now, how many of them would gain or lose records, and how many members it
    would have: who takes members in is one, and of who comes apart at least one part is.

    Its SELECT is not run again, so the sums that it asks for are today's: `members_least` has only
    the part that keeps the id of each that comes apart, `members_most` every part. Whom other sums
    would newly bring in or leave out is known after `apply`.
    """

    audience: str
    members: int
    touched: int
    members_least: int
    members_most: int


def count_members(
    work: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection
) -> tuple[AudienceEffect, ...]:
    """Return the effect on every audience, by name.

    `work` has the tables of a resolution (new_history), and moves(from_id, to_id) of records.
    """
    name = str(con.execute("select current_database()").fetchall()[0][0])
    warehouse = '"' + name.replace('"', '""') + '"'
    tables = con.execute(
        """
        select table_name
        from information_schema.columns
        where table_catalog = current_database() and table_schema = 'audiences'
            and column_name = 'customer_id' and starts_with(table_name, 'aud_')
        order by table_name
        """
    ).fetchall()
    effects = []
    for (table,) in tables:
        quoted = '"' + str(table).replace('"', '""') + '"'
        members, touched, least, most = work.execute(
            f"""
            with members as (select distinct customer_id from {warehouse}.audiences.{quoted}),
            touched as (select from_id as customer_id from moves union select to_id from moves),
            heads as (
                select from_customer_id as customer_id, to_customer_id
                from new_history where event = 'merge'
            ),
            remapped as (
                select distinct coalesce(h.to_customer_id, m.customer_id) as customer_id
                from members as m
                left join heads as h using (customer_id)
            ),
            parts as (
                select distinct to_customer_id as customer_id
                from new_history
                semi join members on members.customer_id = new_history.from_customer_id
                where event = 'split'
            )
            select (select count(*) from members), (select count(*) from members semi join touched
                using (customer_id)), (select count(*) from remapped),
                (select count(*) from (from remapped union from parts))
            """
        ).fetchall()[0]
        effects.append(AudienceEffect(str(table), members, touched, least, most))
    return tuple(effects)
