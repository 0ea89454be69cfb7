"""How right the answer is, measured against labels that nothing else reads."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Score:
    """Pairwise quality: of the pairs put together, how many belong together (precision), and of
    those that do,     how many were put together (recall)."""

    pairs_true: int
    pairs_predicted: int
    pairs_correct: int
    precision: float
    recall: float
    f1: float
    records: int
    people: int
    customers: int
    largest_cluster: int


def evaluate(con: duckdb.DuckDBPyConnection, truth_relation_sql: str) -> Score:
    """Score identity.crosswalk against truth(contact_key, person_id).

    `truth_relation_sql` is a table name or a query in parentheses, of the caller's own making.
    Records without a label or without a customer are left out. Precision of no pairs at all is 1,
    and so is recall where there was nothing to find.
    """
    row = con.execute(
        f"""
        with labelled as (
            select x.customer_id, t.person_id::varchar as person_id
            from {truth_relation_sql} as t
            join identity.crosswalk as x on x.node_key = t.contact_key
            where t.person_id is not null
        ),
        together as (select count(*) as n from labelled group by customer_id, person_id),
        predicted as (select count(*) as n from labelled group by customer_id),
        truth as (select count(*) as n from labelled group by person_id)
        select
            (select coalesce(sum(n * (n - 1) // 2), 0)::bigint from together),
            (select coalesce(sum(n * (n - 1) // 2), 0)::bigint from predicted),
            (select coalesce(sum(n * (n - 1) // 2), 0)::bigint from truth),
            (select count(*) from labelled),
            (select count(*) from truth),
            (select count(*) from predicted),
            (select coalesce(max(n), 0) from predicted)
        """
    ).fetchall()[0]
    correct, predicted, true, records, people, customers, largest = (int(v) for v in row)
    precision = correct / predicted if predicted else 1.0
    recall = correct / true if true else 1.0
    both = precision + recall
    return Score(
        pairs_true=true,
        pairs_predicted=predicted,
        pairs_correct=correct,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / both if both else 0.0,
        records=records,
        people=people,
        customers=customers,
        largest_cluster=largest,
    )
