"""Identity in pictures: SVG files and one page of them, made from the tables alone.

They show counts, weights and keys of comparisons; no value of any record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import duckdb

from identity import drawing
from identity.estimates import Evaluation
from identity.model import PRIOR
from identity.rules import Rules

MOST_SOURCES = 14
BINS = 40


@dataclass(frozen=True)
class Chart:
    """A picture: its name (of the file), its title, what it says, and its SVG text."""

    name: str
    title: str
    says: str
    svg: str


def build(
    con: duckdb.DuckDBPyConnection, rules: Rules, evaluation: Evaluation | None = None
) -> list[Chart]:
    """Draw what the tables of the last run have; `evaluation` adds the threshold curve."""
    charts = [
        Chart(
            "match_weights",
            "What each agreement weighs",
            "log2 odds that a level of agreement adds to, or takes from, two records being one person",
            drawing.diverging(_match_weights(con)),
        ),
        Chart(
            "scores",
            "Evidence between pairs",
            "pairs of records by the strongest evidence between them (log scale); the lines are the"
            " thresholds of customer_id and strict_customer_id",
            drawing.histogram(
                _scores(con), [rules.thresholds.customer_id, rules.thresholds.strict_customer_id]
            ),
        ),
        Chart(
            "cluster_sizes",
            "Records of a customer",
            "customers by how many contact records they have (log scale)",
            drawing.bars(cluster_sizes(con), is_log=True),
        ),
        Chart(
            "sources",
            "Where customers are known from",
            f"customers by the set of sources that know them; the {MOST_SOURCES} largest sets",
            drawing.upset(source_sets(con)),
        ),
        Chart(
            "weakest_link",
            "The weakest link that was followed",
            "how its evidence adds up: the pair with the least probability that joins two records",
            drawing.diverging(_weakest(con)),
        ),
    ]
    if evaluation is not None:
        charts.append(
            Chart(
                "threshold_curve",
                "Precision and recall by threshold",
                f"estimated from {evaluation.labels} labels, with 95 % intervals",
                drawing.curve(
                    [
                        (p.threshold, p.precision.value, p.precision.low, p.precision.high,
                            p.recall.value, p.recall.low, p.recall.high)
                        for p in evaluation.curve
                    ]
                ),
            )
        )  # fmt: skip
    return charts


def write(charts: Sequence[Chart], folder: Path) -> Path:
    """Write each chart as `<name>.svg` and all of them as `index.html`; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for chart in charts:
        (folder / f"{chart.name}.svg").write_text(chart.svg, encoding="utf-8")
    figures = "\n".join(
        f"<figure><h2>{escape(c.title)}</h2>{c.svg}<figcaption>{escape(c.says)}</figcaption></figure>"
        for c in charts
    )
    page = folder / "index.html"
    page.write_text(drawing.PAGE.replace("{figures}", figures), encoding="utf-8")
    return page


def cluster_sizes(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    """Return (contact records, customers) by size, from 10 on in classes."""
    rows = con.execute(
        """
        with sizes as (
            select x.customer_id, count(*) as records
            from identity.crosswalk as x
            where not starts_with(x.node_key, 'anon:')
            group by all
        )
        select
            case when records < 10 then records::varchar when records < 20 then '10-19'
                when records < 50 then '20-49' else '50+' end as size,
            count(*)
        from sizes
        group by all
        order by min(records)
        """
    ).fetchall()
    return [(str(size), int(count)) for size, count in rows]


def source_sets(con: duckdb.DuckDBPyConnection) -> list[tuple[tuple[str, ...], int]]:
    """Return (sources, customers that exactly these know), the most common sets first."""
    rows = con.execute(
        """
        with known as (
            select x.customer_id, list_sort(list(distinct split_part(x.node_key, ':', 1))) as sources
            from identity.crosswalk as x
            where not starts_with(x.node_key, 'anon:')
            group by all
        )
        select sources, count(*) as customers
        from known
        group by all
        order by customers desc, sources
        limit $1
        """,
        [MOST_SOURCES],
    ).fetchall()
    return [(tuple(sources), int(count)) for sources, count in rows]


def _match_weights(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, float]]:
    rows = con.execute(
        """
        select comparison, label, match_weight
        from identity.model
        where not is_null_level
        order by comparison <> $1, comparison, match_weight desc, level
        """,
        [PRIOR],
    ).fetchall()
    return [(name.replace("_", " "), label, float(weight)) for name, label, weight in rows]


def _scores(con: duckdb.DuckDBPyConnection) -> list[tuple[float, int]]:
    """Pairs by log2 odds of their strongest evidence: (lower bound of the bin, pairs)."""
    rows = con.execute(
        """
        with pairs as (
            select left_key, right_key, max(match_weight) as weight
            from identity.edges
            where match_type <> 'override'
            group by all
        )
        select floor(least(greatest(weight, -5), 30) * 2) / 2 as bin, count(*)
        from pairs
        group by all
        order by bin
        """
    ).fetchall()
    return [(float(bin_), int(count)) for bin_, count in rows]


def _weakest(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, float]]:
    rows = con.execute(
        """
        with link as (
            select evidence, match_weight
            from identity.edges
            where is_active and match_type = 'probabilistic'
                and (evidence ->> '$.weights') is not null
            order by match_weight, left_key, right_key
            limit 1
        ),
        parts as (
            select key, value::double as weight
            from link, json_each(evidence, '$.weights')
            where value is not null and value::varchar <> 'null' and value::double <> 0
        ),
        start as (select match_weight as weight from identity.model where comparison = $1),
        told as (
            select 0 as place, 'start' as part, 'two at random' as label, weight from start
            union all
            select 1, replace(key, '_', ' '), '', weight from parts
        ),
        total as (select match_weight as weight from link)
        select part, label, weight from told
        union all
        select 'household', 'two of one household would be, too',
            (select weight from total) - (select sum(weight) from told)
        where abs((select weight from total) - (select sum(weight) from told)) >= 0.05
        union all
        select 'score', 'probability ' || round(1 / (1 + pow(2, -weight)), 4), weight from total
        """,
        [PRIOR],
    ).fetchall()
    return [(str(part), str(label), float(weight)) for part, label, weight in rows]
