"""How right the engine is, estimated from a sample of pairs that people labelled.

The labels speak for the pairs that have some evidence between them: a pair that no rule and no
blocking proposed cannot be drawn, so recall is an upper bound. Labels drawn by stratum are weighted
by how many pairs of their stratum each stands for. Intervals are Wilson's score intervals (E. B.
Wilson, 1927; recommended by Brown, Cai and DasGupta, 2001) at 95 %, with Kish's effective sample
size for weighted labels (L. Kish, Survey Sampling, 1965).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from identity.labels import Label
from identity.review import PAIRS, populations

Z = 1.959963984540054
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9999)


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval, and the (effective) number of labels that it rests on.

    The value is None where no label says anything about it.
    """

    value: float | None
    low: float
    high: float
    labels: float


@dataclass(frozen=True)
class Point:
    """Precision and recall if evidence from `threshold` on joined two records, and nothing else."""

    threshold: float
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class Stratum:
    """A part of the population: its pairs, and the labels that were drawn from it."""

    name: str
    pairs: int
    labels: int
    matches: int


@dataclass(frozen=True)
class Evaluation:
    """Precision and recall of who is one customer, and the threshold curve of the evidence.

    `is_weighted`: every label has a stratum, and stands for the pairs of it.
    """

    labels: int
    matches: int
    is_weighted: bool
    precision: Estimate
    recall: Estimate
    curve: tuple[Point, ...]
    strata: tuple[Stratum, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def wilson(share: float, labels: float) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share that was seen in so many labels."""
    if labels <= 0:
        return 0.0, 1.0
    square = Z * Z
    middle = (share + square / (2 * labels)) / (1 + square / labels)
    half = (
        Z
        / (1 + square / labels)
        * math.sqrt(share * (1 - share) / labels + square / (4 * labels * labels))
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def evaluate_labels(con: duckdb.DuckDBPyConnection, labels: Sequence[Label]) -> Evaluation:
    """Estimate from labels what the engine does on all pairs with evidence.

    What the engine thought is taken from the label (a decision made of it would hide it), and from
    today's tables where the label does not say.
    """
    seen = _today(con, labels)
    sizes = populations(con, labels)
    drawn = Counter(label.stratum for label in labels)
    is_weighted = bool(labels) and all(sizes.get(label.stratum) for label in labels)
    rows = []
    for label in labels:
        probability, together = seen[label.left_key, label.right_key]
        rows.append(
            _Row(
                label.is_match,
                probability if label.probability is None else label.probability,
                together if label.was_together is None else label.was_together,
                sizes[label.stratum] / drawn[label.stratum] if is_weighted else 1.0,
            )
        )
    matches = Counter(label.stratum for label in labels if label.is_match)
    return Evaluation(
        labels=len(labels),
        matches=sum(matches.values()),
        is_weighted=is_weighted,
        precision=_share(rows, lambda r: r.was_together, lambda r: r.is_match),
        recall=_share(rows, lambda r: r.is_match, lambda r: r.was_together),
        curve=tuple(_point(rows, threshold) for threshold in THRESHOLDS),
        strata=tuple(
            Stratum(name, sizes.get(name, 0), drawn[name], matches[name])
            for name in sorted({*sizes, *drawn})
        ),
    )


@dataclass(frozen=True)
class _Row:
    is_match: bool
    probability: float
    was_together: bool
    weight: float


def _point(rows: list[_Row], threshold: float) -> Point:
    return Point(
        threshold,
        _share(rows, lambda r: r.probability >= threshold, lambda r: r.is_match),
        _share(rows, lambda r: r.is_match, lambda r: r.probability >= threshold),
    )


def _share(
    rows: list[_Row], among: Callable[[_Row], bool], those: Callable[[_Row], bool]
) -> Estimate:
    weights = [(row.weight, those(row)) for row in rows if among(row)]
    total = sum(weight for weight, _ in weights)
    if not total:
        return Estimate(None, 0.0, 1.0, 0)
    effective = total * total / sum(weight * weight for weight, _ in weights)
    value = sum(weight for weight, is_so in weights if is_so) / total
    return Estimate(value, *wilson(value, effective), round(effective, 1))


def _today(
    con: duckdb.DuckDBPyConnection, labels: Sequence[Label]
) -> dict[tuple[str, str], tuple[float, bool]]:
    """Probability and whether they are one customer, of each labelled pair, as the tables say."""
    rows = con.execute(
        f"""
        with asked as (
            select unnest($1::varchar[]) as one, unnest($2::varchar[]) as other
        )
        select a.one, a.other, coalesce(p.probability, 0), l.customer_id is not null
            and l.customer_id = r.customer_id
        from asked as a
        left join ({PAIRS}) as p
            on p.left_key = least(a.one, a.other) and p.right_key = greatest(a.one, a.other)
        left join identity.crosswalk as l on l.node_key = a.one
        left join identity.crosswalk as r on r.node_key = a.other
        """,
        [[label.left_key for label in labels], [label.right_key for label in labels]],
    ).fetchall()
    return {(one, other): (float(p), bool(together)) for one, other, p, together in rows}
