"""Second thoughts about vetoes: one contradiction against all that the model knows of the pair.

A veto of a rule with `unless_probability` stands unless the two are one person all the same, in the
model's eyes: it has counted the contradiction, and how many families there are in this data. That
the pair has met at all, through links to the same records, is worth even odds.
"""

from __future__ import annotations

import math

import duckdb

from identity.patterns import columns_of, known_levels, level_case
from identity.quoting import quoted, text
from identity.rules import Rules, may_overrule
from identity.training import SMALLEST, Model


def overrule(
    work: duckdb.DuckDBPyConnection, rules: Rules, model: Model | None, table: str
) -> None:
    """Take out of `table`(left_key, right_key, reason) the vetoes that the model overrules.

    Looks at the profiles of the two records' entities, the pair of profiles that agrees best.
    """
    if model is None:
        return
    limits = [
        (rule.name, rule.unless_probability)
        for rule in rules.conflicts
        if may_overrule(rule, model.families)
    ]
    if not limits:
        return
    comparisons = model.settings["comparisons"]
    columns = sorted(set[str]().union(*(columns_of(c) for c in comparisons)))
    sides = ", ".join(f"{s}.{quoted(c)} as {quoted(f'{c}_{s}')}" for c in columns for s in "lr")
    levels = ", ".join(f"{level_case(c)} as g{index}" for index, c in enumerate(comparisons))
    person, household = [], [repr(math.log2(max(model.households_per_match, SMALLEST)))]
    for index, comparison in enumerate(comparisons):
        known = known_levels(comparison)
        shared = model.household[comparison["output_column_name"]]
        m = [level["m_probability"] for level in known]
        u = [level["u_probability"] for level in known]
        h = [b if a is None else max(a, SMALLEST) for a, b in zip(shared, u, strict=True)]
        person.append(_lookup(index, [math.log2(a / b) for a, b in zip(m, u, strict=True)]))
        household.append(_lookup(index, [math.log2(a / b) for a, b in zip(h, m, strict=True)]))
    cases = " ".join(f"when {text(name)} then {limit!r}" for name, limit in limits)
    work.execute(
        f"""
        create or replace table {table} as
        with placed as (
            select v.*, l.entity_key as left_entity, r.entity_key as right_entity
            from {table} as v
            join entities as l on l.node_key = v.left_key
            join entities as r on r.node_key = v.right_key
        ),
        asked as (
            select distinct left_entity, right_entity
            from placed
            where reason in ({", ".join(text(name) for name, _ in limits)})
        ),
        pairs as (
            select left_entity, right_entity, {sides}
            from asked
            join profiles as l on l.entity_key = left_entity
            join profiles as r on r.entity_key = right_entity
        ),
        vectors as (select left_entity, right_entity, {levels} from pairs),
        judged as (
            select
                left_entity, right_entity,
                max(1 / (1 + pow(2, -({" + ".join(person)})) + pow(2, {" + ".join(household)})))
                    as probability
            from vectors
            group by all
        )
        select v.* exclude (left_entity, right_entity)
        from placed as v
        left join judged as j using (left_entity, right_entity)
        where round(coalesce(j.probability, 0), 9) < (case v.reason {cases} else 2 end)
        """
    )


def _lookup(index: int, values: list[float]) -> str:
    cases = " ".join(f"when {level} then {value!r}" for level, value in enumerate(values))
    return f"(case g{index} {cases} else 0 end)"
