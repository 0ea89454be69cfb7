"""Exact evidence: pairs that share an identifier or have equal columns, judged by the rules.

Creates exact_edges(left_key, right_key, rule, probability, shared): a row per pair and rule,
left_key < right_key; and agreements: how every pair that was looked at agrees.
"""

from __future__ import annotations

import duckdb

from identity.agreement import compare, rule_error
from identity.quoting import quoted
from identity.rules import ExactRule, Rules

# Above this many records with the very same columns, or profiles with the same value, each is
# compared with the first of them only.
PAIRWISE_LIMIT = 20


def link_exactly(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `exact_edges` and `agreements` from `people`, `open_ids` and `value_people`."""
    _pair_sharers(work, rules)
    _pair_equals(work, rules)
    compare(work, "candidates", "agreements")
    work.execute(
        """
        create or replace table exact_edges as
        select left_key, right_key, ''::varchar as rule, 0::double as probability,
            ''::varchar as shared
        from candidates
        limit 0
        """
    )
    for rule in rules.exact_rules:
        try:
            work.execute(
                f"""
                insert into exact_edges
                select distinct left_key, right_key, $name, $probability, $shared::varchar
                from candidates
                join agreements using (left_key, right_key)
                where found_by = $found_by and (both_verified or not $verified) and ({rule.when})
                """,
                {
                    "name": rule.name,
                    "probability": rule.probability,
                    "shared": rule.shares or ", ".join(rule.same),
                    "found_by": _found_by(rule),
                    "verified": rule.verified,
                },
            )
        except duckdb.Error as error:
            raise rule_error(f"exact_rules: {rule.name}", error) from error


def _found_by(rule: ExactRule) -> str:
    return rule.shares or "=" + ",".join(rule.same)


def _pair_sharers(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    # Records with the same value and the same name, date and suffix are one profile: each is
    # compared with the first of its profile, and only those with one another. A million sign-ups
    # of one address cost a million.
    work.execute(
        """
        create or replace table candidates as
        with carriers as (
            select
                i.identifier_type, i.value, i.is_verified, i.node_key,
                -- one shop's card 17 is not another's
                case when list_contains($2::varchar[], i.identifier_type)
                    then p.source_system else '' end as scope,
                min(i.node_key) over (
                    partition by i.identifier_type, i.value, scope, i.is_verified,
                        p.first_name, p.last_name, p.birth_date, p.suffix
                ) as profile_key
            from open_ids as i
            semi join shared_values using (identifier_type, value)
            join people as p using (node_key)
            where list_contains($1::varchar[], i.identifier_type)
        ),
        profiles as (
            select *, row_number() over (
                partition by identifier_type, value, scope order by node_key) as position
            from carriers
            where node_key = profile_key
        ),
        pairs as (
            select identifier_type, value, profile_key as left_key, node_key as right_key,
                is_verified as both_verified
            from carriers
            where node_key <> profile_key
            union all
            select l.identifier_type, l.value, l.node_key, r.node_key, l.is_verified
                and r.is_verified
            from profiles as l
            join profiles as r using (identifier_type, value, scope)
            where l.position < r.position and (l.position = 1 or r.position <= $3)
        ),
        worded as (
            select
                *,
                case when identifier_type = 'email'
                    then replace(coalesce(fold_name(split_part(value, '@', 1)), ''), ' ',
                        '') end as email_words
            from pairs
        )
        select
            w.identifier_type as found_by, w.left_key, w.right_key, w.both_verified,
            v.first_names as people,
            coalesce(
                contains(email_words, coalesce(l.first_name, r.first_name))
                    and length(coalesce(l.first_name, r.first_name)) >= 3
                or starts_with(email_words, coalesce(l.first_name, r.first_name)[1])
                    and contains(email_words, replace(coalesce(l.last_name, r.last_name), ' ', ''))
                    and length(email_words) <= length(coalesce(l.last_name, r.last_name)) + 2,
                false) as email_fits
        from worded as w
        join value_people as v using (identifier_type, value)
        join people as l on l.node_key = w.left_key
        join people as r on r.node_key = w.right_key
        """,
        [
            list(rules.of_strength("strong", "contact_point")),
            [i.identifier_type for i in rules.identifiers if i.scoped_to_source],
            PAIRWISE_LIMIT,
        ],
    )


def _pair_equals(work: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    for columns in dict.fromkeys(rule.same for rule in rules.exact_rules if rule.same):
        names = ", ".join(f'"{c}"' for c in columns)
        known = " and ".join(f'"{c}" is not null' for c in columns)
        work.execute(
            f"""
            insert into candidates
            with equals as (
                select
                    node_key,
                    dense_rank() over (order by {names}) as group_id,
                    row_number() over (partition by {names} order by node_key) as position
                from people
                where {known}
            )
            select $1, l.node_key, r.node_key, false, 1, false
            from equals as l
            join equals as r using (group_id)
            where l.position < r.position and (l.position = 1 or r.position <= $2)
            """,
            ["=" + ",".join(columns), PAIRWISE_LIMIT],
        )


def groups_alike(rules: Rules) -> dict[str, tuple[str, ...]]:
    """Return the columns that exact rules want equal, by the name of their hash in `alike`."""
    sets = dict.fromkeys(rule.same for rule in rules.exact_rules if rule.same)
    return {f"same_{index}": tuple(columns) for index, columns in enumerate(sets)}


def hash_alike(rules: Rules, people: str) -> str:
    """Return a query for `alike`(node_key, same_0, ...): records of table `people` whose hashes are
    equal have equal columns; null where one is missing.
    """
    hashes = "".join(
        f", case when {' and '.join(f'{quoted(c)} is not null' for c in columns)}"
        f" then hash({', '.join(quoted(c) for c in columns)}) end as {name}"
        for name, columns in groups_alike(rules).items()
    )
    return f"select node_key{hashes} from {people}"
