"""What hangs together with what: all nodes that links and groups lead to."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb


def spread_from(
    work: duckdb.DuckDBPyConnection,
    seeds: str,
    *,
    links: Sequence[str],
    groups: Sequence[str],
    into: str,
) -> None:
    """Create table `into`(node_key): what is reached from the query `seeds`.

    `links` are queries for (left_key, right_key), `groups` for (node_key, group_key): a node leads
    to all of its group. Each step costs a scan of them; what is far away takes more steps.
    """
    work.execute(f"create or replace table {into} as select distinct node_key from ({seeds})")
    work.execute(f"create or replace table frontier as from {into}")
    steps = [
        f"select l.{far} as node_key from ({link}) as l"
        f" semi join frontier as f on f.node_key = l.{near}"
        for link in links
        for near, far in (("left_key", "right_key"), ("right_key", "left_key"))
    ]
    steps += [
        f"""
        select g.node_key
        from ({group}) as g
        semi join (
            select g.group_key from ({group}) as g
            semi join frontier using (node_key)
        ) as chosen using (group_key)
        """
        for group in groups
    ]
    while work.execute("select count(*) from frontier").fetchall()[0][0]:
        work.execute(
            f"""
            create or replace table frontier as
            select distinct node_key
            from ({" union all ".join(steps)})
            anti join {into} using (node_key)
            """
        )
        work.execute(f"insert into {into} from frontier")
