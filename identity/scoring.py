"""Scores out of tables: the last run's model, asked in SQL, so that no score needs Splink."""

from __future__ import annotations

import math
from dataclasses import dataclass

import duckdb

from identity.model import PRIOR
from identity.quoting import quoted


@dataclass(frozen=True)
class Level:
    """A level of a comparison in the last run's model."""

    label: str
    condition: str
    weight: float
    household: float


@dataclass(frozen=True)
class Model:
    """The last run's model: log2 odds of one person, and of one household, for two at random, and
    pairs of one household for each entity.
    """

    start: float
    household_start: float | None
    families: float | None
    comparisons: dict[str, list[Level]]

    def total(self, weight: float, household: float) -> float:
        """The log2 odds of one person against strangers and against two of one household."""
        if self.household_start is None:
            return weight
        return -math.log2(2**-weight + 2 ** (self.household_start + household))


def read_model(work: duckdb.DuckDBPyConnection, source: str) -> Model | None:
    """Return the model of the last run that `source` (a quoted database name) has, if any."""
    rows = work.execute(
        f"""
        select comparison, label, sql_condition, is_null_level, match_weight, household_weight,
            u_probability
        from {source}.identity.model
        order by comparison, level
        """
    ).fetchall()
    comparisons: dict[str, list[Level]] = {}
    start: tuple[float, float | None, float | None] | None = None
    for name, label, condition, is_null, weight, household, u in rows:
        if name == PRIOR:
            start = (float(weight), household, u)
            continue
        known = (0.0, 0.0) if is_null else (float(weight), float(household or 0.0))
        comparisons.setdefault(name, []).append(Level(label, condition, *known))
    return Model(*start, comparisons) if start is not None and comparisons else None


def levels_of(
    work: duckdb.DuckDBPyConnection, model: Model, pairs: list[tuple[str, str]]
) -> list[list[Level]]:
    """Return the level of each comparison that holds for each of `pairs` of `people`, in their
    order.
    """
    columns = [str(row[0]) for row in work.execute("describe people").fetchall()]
    sides = ", ".join(
        f"{side}.{quoted(c)} as {quoted(f'{c}_{side}')}" for c in columns for side in "lr"
    )
    cases = []
    for levels in model.comparisons.values():
        tests = [
            f"when {'true' if x.condition.strip().upper() == 'ELSE' else x.condition} then {i}"
            for i, x in enumerate(levels)
        ]
        cases.append(f"case {' '.join(tests)} end")
    rows = work.execute(
        f"""
        select {", ".join(cases)}
        from (
            select {sides}, position
            from (select unnest($1::varchar[]) as left_key, unnest($2::varchar[]) as right_key,
                generate_subscripts($1::varchar[], 1) as position)
            join people as l on l.node_key = left_key
            join people as r on r.node_key = right_key)
        order by position
        """,
        [[left for left, _ in pairs], [right for _, right in pairs]],
    ).fetchall()
    return [
        [levels[at] for levels, at in zip(model.comparisons.values(), row, strict=True)]
        for row in rows
    ]
