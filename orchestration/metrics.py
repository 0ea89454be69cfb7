"""Metrics of the dbt project's semantic layer, compiled to SQL by MetricFlow.

MetricFlow is used as a library that writes SQL: the query runs on the published file, as any other.
It takes a second to import, so nothing but `mainstem metric` does it.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestration.warehouse import quote

GRAINS = ("day", "week", "month", "quarter", "year")


class MetricError(Exception):
    """A question that the semantic layer cannot answer; the message says what it could."""


@dataclass(frozen=True)
class MetricSummary:
    """A metric, in words, and what it can be broken down by (short names)."""

    name: str
    kind: str
    description: str
    dimensions: tuple[str, ...]


class Metrics:
    """The semantic layer as dbt's parsing wrote it down (`semantic_manifest.json`)."""

    def __init__(self, manifest: Path) -> None:
        if not manifest.exists():
            raise FileNotFoundError(
                f"No metrics yet: {manifest} is missing. Do `mainstem run` first."
            )
        self._manifest = manifest

    @cached_property
    def _engine(self) -> Any:
        from metricflow.engine.metricflow_engine import MetricFlowEngine
        from metricflow_semantics.model.dbt_manifest_parser import (
            parse_manifest_from_dbt_generated_manifest,
        )
        from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

        logging.getLogger("metricflow").setLevel(logging.ERROR)
        logging.getLogger("metricflow_semantics").setLevel(logging.ERROR)
        manifest = parse_manifest_from_dbt_generated_manifest(
            self._manifest.read_text(encoding="utf-8")
        )
        return MetricFlowEngine(SemanticManifestLookup(manifest), _sql_writer())

    @cached_property
    def summaries(self) -> tuple[MetricSummary, ...]:
        """Every metric, by name."""
        return tuple(
            MetricSummary(
                name=metric.name,
                kind=str(metric.type.value),
                description=metric.description or "",
                dimensions=tuple(self._dimensions([metric.name])),
            )
            for metric in self._engine.list_metrics()
        )

    def sql(
        self,
        names: Sequence[str],
        *,
        by: Sequence[str] = (),
        grain: str | None = None,
        where: str | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> str:
        """The SQL of metrics by dimensions (short or MetricFlow's own names) and by time.

        `where` is a condition over dimensions; `since` and `until` are days, both included. Raises
        MetricError, naming what there is, for a metric or dimension that is not.
        """
        from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

        known = [metric.name for metric in self._engine.list_metrics(include_dimensions=False)]
        for name in names:
            if name not in known:
                raise MetricError(f"no metric {name}{_nearest(name, known)}")
        dimensions = self._dimensions(names)
        groups = [f"metric_time__{grain}"] if grain else []
        groups += [_dimension(name, dimensions, names) for name in by]
        request = MetricFlowQueryRequest.create(
            metric_names=list(names),
            group_by_names=groups,
            where_constraints=[_template(where, dimensions, names)] if where else None,
            time_constraint_start=datetime.combine(since, time.min) if since else None,
            time_constraint_end=datetime.combine(until, time.max) if until else None,
        )
        try:
            query = str(self._engine.explain(request).sql_statement.sql)
        except Exception as error:
            # MetricFlow's errors are essays; the first paragraph says what is wrong.
            raise MetricError(str(error).strip().split("\n\n")[0]) from error
        # Short names, in the order asked for, sorted.
        columns = [f"{quote(name)} as {quote(name.rsplit('__', 1)[-1])}" for name in groups]
        columns += [quote(name) for name in names]
        order = ", ".join(f"{position} nulls last" for position in range(1, len(groups) + 1))
        ordered = f"\norder by {order}" if groups else ""
        return f"select {', '.join(columns)}\nfrom (\n{query}\n) as answer{ordered}"

    def _dimensions(self, names: Sequence[str]) -> dict[str, str]:
        """Short name -> MetricFlow's name of the dimensions that all these metrics have; a short
        name that two dimensions share belongs to the one that is nearer."""
        found: dict[str, str] = {}
        properties: tuple[Any, ...] = ()
        dimensions = self._engine.simple_dimensions_for_metrics(list(names), properties)
        for dimension in sorted(
            dimensions, key=lambda d: (d.dunder_name.count("__"), d.dunder_name)
        ):
            name = str(dimension.dunder_name)
            if name.startswith("metric_time") or str(dimension.type.value) == "time":
                continue
            found.setdefault(name.rsplit("__", 1)[-1], name)
        return found


def _dimension(name: str, dimensions: dict[str, str], metrics: Sequence[str]) -> str:
    if name in dimensions.values():
        return name
    if name not in dimensions:
        there = ", ".join(sorted(dimensions)) or "nothing but time (--grain)"
        together = " together" if len(metrics) > 1 else ""
        raise MetricError(
            f"{', '.join(metrics)} cannot be broken down by {name}{together};"
            f" there is {there}{_nearest(name, dimensions)}"
        )
    return dimensions[name]


def _template(where: str, dimensions: dict[str, str], metrics: Sequence[str]) -> str:
    """A condition with its dimensions in MetricFlow's template syntax; text in quotes is left alone."""
    reserved = {
        "and", "or", "not", "in", "is", "null", "like", "ilike", "between", "true", "false", "date",
        "cast", "as", "lower", "upper", "coalesce",
    }  # fmt: skip

    def replace(match: re.Match[str]) -> str:
        word = match[0]
        if word.startswith("'") or word.lower() in reserved:
            return word
        return "{{ Dimension('" + _dimension(word, dimensions, metrics) + "') }}"

    return re.sub(r"'(?:[^']|'')*'|[A-Za-z_]\w*", replace, where)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _sql_writer() -> Any:
    """MetricFlow's idea of a database, of which only the dialect is asked for."""
    from metricflow.protocols.sql_client import SqlEngine
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer

    class SqlWriter:
        sql_engine_type = SqlEngine.DUCKDB
        sql_plan_renderer = DuckDbSqlPlanRenderer()

        def query(self, *_: Any) -> Any:
            raise NotImplementedError("the published file is queried by `mainstem metric` itself")

        execute = dry_run = query

        def close(self) -> None:
            pass

        def render_bind_parameter_key(self, bind_parameter_key: str) -> str:
            return f"${bind_parameter_key}"

    return SqlWriter()
