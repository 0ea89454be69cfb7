"""Identity's charts, as files below MAINSTEM_HOME and as metadata of the crosswalk."""

from typing import Any

import dagster as dg
import duckdb

from identity import charts, configs, estimates, labels
from orchestration.runtime import Mainstem


def draw(mainstem: Mainstem, con: duckdb.DuckDBPyConnection, config: configs.Config) -> None:
    """Draw the charts of the run that just ended."""
    evaluation = None
    if mainstem.home.labels.exists():
        try:
            evaluation = estimates.evaluate_labels(con, labels.read(mainstem.home.labels))
        except labels.LabelsError as error:
            mainstem.progress.say(f"identity: no threshold curve: {error}")
    charts.write(charts.build(con, config.rules, evaluation), mainstem.home.charts)


def metadata(mainstem: Mainstem, con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Sizes of customers and sets of sources as tables, and where the charts are: counts alone."""
    sizes = charts.cluster_sizes(con)
    sources = charts.source_sets(con)
    return {
        "charts": dg.MetadataValue.path(mainstem.home.charts / "index.html"),
        "records_of_a_customer": dg.MetadataValue.md(
            _table(("records", "customers"), [(size, f"{count:,}") for size, count in sizes])
        ),
        "known_from": dg.MetadataValue.md(
            _table(("sources", "customers"), [(", ".join(s), f"{n:,}") for s, n in sources])
        ),
    }


def _table(titles: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {titles[0]} | {titles[1]} |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {name} | {count} |" for name, count in rows)])
