"""Pairs that only people can decide, drawn so that their answers also measure the engine.

The population is every pair of records with some evidence between them. It is cut into strata by
how sure the engine is; questions go round the strata, in an order that depends on the pairs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from identity import labels as label_file
from identity import overrides_file
from identity.comparison import Comparison, compare_records
from identity.labels import Label
from identity.overrides import Override
from identity.rules import Rules

# Upper bounds of probability; what is held back is a stratum of its own.
STRATA = ((0.8, "0.50-0.80"), (0.95, "0.80-0.95"), (0.99, "0.95-0.99"), (0.999, "0.99-0.999"))
TOP = "0.999-1"
HELD = "held"
NAMES = (*(name for _, name in STRATA), TOP, HELD)

# Of every pair of contacts: the strongest evidence, and whether they are one customer by evidence.
PAIRS = f"""
    select
        e.left_key, e.right_key,
        max(e.match_probability) as probability,
        any_value(e.inactive_reason) filter (e.inactive_reason <> 'below_threshold') as held,
        l.customer_id = r.customer_id as is_together,
        case
            when bool_or(e.inactive_reason in ('too_large', 'weak_bridge')
                or e.inactive_reason = 'conflict: with_another_member') then '{HELD}'
            {" ".join(f"when max(e.match_probability) < {high} then '{name}'" for high, name in STRATA)}
            else '{TOP}'
        end as stratum
    from identity.edges as e
    join identity.crosswalk as l on l.node_key = e.left_key
    join identity.crosswalk as r on r.node_key = e.right_key
    where not starts_with(e.left_key, 'anon:') and not starts_with(e.right_key, 'anon:')
        and e.match_type <> 'override'
    group by all
"""


@dataclass(frozen=True)
class Question:
    """A pair to decide about: what the engine thinks, why it asks, and how the two compare."""

    left_key: str
    right_key: str
    stratum: str
    probability: float
    was_together: bool
    why: str
    comparison: Comparison | None


@dataclass(frozen=True)
class Answer:
    """What a person said of a question."""

    question: Question
    is_match: bool
    author: str

    @property
    def pair(self) -> frozenset[str]:
        """The two records, in no order."""
        return frozenset((self.question.left_key, self.question.right_key))


def populations(con: duckdb.DuckDBPyConnection, labels: Sequence[Label] = ()) -> dict[str, int]:
    """Return how many pairs each stratum has.

    A labelled pair counts in the stratum that it was drawn from: the decision made of the answer
    moves it (a pair held back that is decided is held back no more), or takes its evidence away.
    """
    drawn = {
        (min(label.left_key, label.right_key), max(label.left_key, label.right_key)): label.stratum
        for label in labels
        if label.stratum in NAMES
    }
    rows = con.execute(
        f"""
        with drawn as (
            select unnest($1::varchar[]) as left_key, unnest($2::varchar[]) as right_key,
                unnest($3::varchar[]) as stratum
        )
        select coalesce(drawn.stratum, pairs.stratum), count(*)
        from ({PAIRS}) as pairs
        full join drawn using (left_key, right_key)
        group by all
        """,
        [[left for left, _ in drawn], [right for _, right in drawn], list(drawn.values())],
    ).fetchall()
    return {str(name): int(count) for name, count in rows}


def questions(
    con: duckdb.DuckDBPyConnection,
    rules: Rules,
    *,
    limit: int,
    answered: Sequence[tuple[str, str]] = (),
    only: str | None = None,
) -> list[Question]:
    """Return the next pairs to decide about, going round the strata; `answered` pairs are left out.

    `only` names one stratum. `con` may be attached read-only.
    """
    rows = con.execute(
        f"""
        with pairs as ({PAIRS}),
        done as (
            select unnest($1::varchar[]) as left_key, unnest($2::varchar[]) as right_key
            union all
            select least(left_key, right_key), greatest(left_key, right_key)
            from identity.overrides
        )
        select left_key, right_key, stratum, probability, is_together, held
        from pairs
        anti join done using (left_key, right_key)
        where $3::varchar is null or stratum = $3
        order by
            row_number() over (partition by stratum order by md5(left_key || ' ' || right_key)),
            abs(probability - $4), left_key, right_key
        limit $5
        """,
        [
            [min(pair) for pair in answered],
            [max(pair) for pair in answered],
            only,
            rules.thresholds.customer_id,
            limit,
        ],
    ).fetchall()
    compared, _ = compare_records(con, rules, [(row[0], row[1]) for row in rows])
    return [
        Question(
            left_key=left,
            right_key=right,
            stratum=stratum,
            probability=probability,
            was_together=together,
            why=_why(stratum, probability, held, is_together=together),
            comparison=comparison,
        )
        for (left, right, stratum, probability, together, held), comparison in zip(
            rows, compared, strict=True
        )
    ]


def _why(stratum: str, probability: float, held: str | None, *, is_together: bool) -> str:
    now = "one customer today" if is_together else "two customers today"
    if stratum == HELD and held:
        return f"held back: {held.removeprefix('conflict: ').replace('_', ' ')}; {now}"
    return f"evidence {probability:.4f}; {now}"


def record(
    answers: Sequence[Answer],
    *,
    reason: str,
    now: datetime,
    files: tuple[Path, Path],
    rules: Rules,
) -> list[Override]:
    """Write answers: decisions into the overrides file and labels; `files` are the two.

    An answer that contradicts an earlier one about the pair takes its place. Raises RulesError or
    LabelsError, with nothing written, if one of them cannot be.
    """
    overrides_path, labels_path = files
    decisions = [_decision(answer, reason, now) for answer in answers]
    # labels that cannot be read are found before a decision is written
    labels = [
        *_labels_but(labels_path, {answer.pair for answer in answers}),
        *{answer.pair: _label(answer, now) for answer in answers}.values(),
    ]
    overrides_file.replace(overrides_path, decisions, rules)
    label_file.write(labels_path, labels)
    return decisions


def _decision(answer: Answer, reason: str, now: datetime) -> Override:
    left, right = answer.question.left_key, answer.question.right_key
    return Override(
        action="always_link" if answer.is_match else "never_link",
        left=left,
        right=right,
        author=answer.author,
        reason=reason,
        created_at=now.replace(microsecond=0),
        place=f"the answer about {left} and {right}",
    )


def _label(answer: Answer, now: datetime) -> Label:
    question = answer.question
    return Label(
        left_key=question.left_key,
        right_key=question.right_key,
        is_match=answer.is_match,
        stratum=question.stratum,
        probability=question.probability,
        was_together=question.was_together,
        author=answer.author,
        answered_at=f"{now:%Y-%m-%d %H:%M:%S}",
    )


def take_back(decision: Override, *, files: tuple[Path, Path], rules: Rules) -> None:
    """Undo `record`."""
    overrides_path, labels_path = files
    overrides_file.remove(overrides_path, decision, rules)
    label_file.write(
        labels_path, _labels_but(labels_path, {frozenset((decision.left, decision.right))})
    )


def _labels_but(path: Path, pairs: set[frozenset[str]]) -> list[Label]:
    known = label_file.read(path) if path.exists() else []
    return [label for label in known if frozenset((label.left_key, label.right_key)) not in pairs]
