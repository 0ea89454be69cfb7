"""`mainstem identity evaluate` and `charts`: how right it is, and how it decides, in pictures."""

from __future__ import annotations

import glob
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.console import Console
from rich.table import Table

from identity import charts as drawing
from identity import configs, estimates
from identity import evaluate as scoring
from identity import labels as label_file
from identity.estimates import Estimate, Evaluation
from identity.labels import LabelsError
from identity.sections import RulesError
from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.warehouse import attach_published


@click.command()
@click.option("--labels", type=click.Path(dir_okay=False, path_type=Path),
    help="Labels of your own, instead of identity/labels.csv.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def evaluate(labels: Path | None, as_json: bool) -> None:
    """Measure precision and recall against labels, with 95 % intervals.

    Labels are those of `mainstem identity review`, a CSV with left_key, right_key, is_match, or one
    with contact_key, person_id (every record of some people), which is counted instead of estimated.
    """
    home = find_home()
    path = labels or home.labels
    try:
        with attach_published(home.published) as con:
            if _names_people(path):
                score = scoring.evaluate(con, _people(con, path))
                found: dict[str, Any] = asdict(score)
                if not as_json:
                    _show_score(score)
            else:
                evaluation = estimates.evaluate_labels(con, label_file.read(path))
                found = evaluation.to_dict()
                if not as_json:
                    _show_evaluation(evaluation)
    except LabelsError as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found, indent=2))


def _names_people(path: Path) -> bool:
    if not path.exists():
        return False
    with label_file.reading(path), path.open(encoding="utf-8-sig") as file:
        header = {name.strip().strip('"') for name in file.readline().split(",")}
    return {"contact_key", "person_id"} <= header


def _people(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    if glob.has_magic(str(path)):
        # DuckDB would read the files that match the name instead
        raise LabelsError(f"{path}: a name with [ ] * or ? cannot be read; rename the file")
    try:
        con.execute(
            "create temp table labelled_people as select contact_key, person_id"
            " from read_csv(?, header = true, all_varchar = true)",
            [str(path)],
        )
    except duckdb.Error as error:  # its own words quote the line, which is personal data
        raise LabelsError(f"{path}: {label_file.UNREADABLE}") from error
    return "labelled_people"


def _show_score(score: scoring.Score) -> None:
    low, high = estimates.wilson(score.precision, score.pairs_predicted)
    below, above = estimates.wilson(score.recall, score.pairs_true)
    print(
        f"{score.records:,} labelled records of {score.people:,} people, in {score.customers:,}"
        " customers; all their pairs, counted:"
    )
    print(f"  precision {score.precision:.4f}  (95 % {low:.4f} to {high:.4f})")
    print(f"  recall    {score.recall:.4f}  (95 % {below:.4f} to {above:.4f})")
    print(f"  F1        {score.f1:.4f}; largest customer {score.largest_cluster} records")
    print(
        "The intervals take pairs as drawn one by one, which flatters: pairs of one person go together."
    )


def _show_evaluation(found: Evaluation) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not found.labels:
        console.print("No labels yet. Next: mainstem identity review")
        return
    console.print(f"\n[bold]{found.labels} labels[/], {found.matches} of them one person")
    console.print(f"precision  {_said(found.precision)}")
    console.print(f"recall     {_said(found.recall)}")
    curve = Table(box=None, header_style="bold")
    for title in ("threshold", "precision", "95 %", "recall", "95 %"):
        curve.add_column(title, justify="right")
    for point in found.curve:
        curve.add_row(
            f"{point.threshold:g}",
            *_cells(point.precision),
            *_cells(point.recall),
        )
    console.print("\n[bold]If evidence from a threshold on joined two records, and nothing else[/]")
    console.print(curve)
    strata = Table(box=None, header_style="bold")
    for title in ("evidence", "pairs", "labels", "one person"):
        strata.add_column(title, justify="right")
    for stratum in found.strata:
        strata.add_row(
            stratum.name or "(none)",
            f"{stratum.pairs:,}",
            str(stratum.labels),
            str(stratum.matches),
        )
    console.print("\n[bold]What the labels speak for[/]")
    console.print(strata)
    weighted = (
        "Each label is weighted by the pairs of its stratum that it stands for."
        if found.is_weighted
        else "Not every label has a stratum: all count alike, and speak for themselves alone."
    )
    unasked = [s.name for s in found.strata if s.pairs and not s.labels]
    if found.is_weighted and unasked:
        console.print(
            f"No label speaks for {', '.join(unasked)}: the figures leave these pairs out."
        )
    console.print(
        f"{weighted} They speak for pairs with some evidence between them; pairs without any are not"
        " seen, so recall is an upper bound.",
        style="dim",
    )


def _said(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown: no label says anything about it"
    return (
        f"{estimate.value:.3f}  (95 % {estimate.low:.3f} to {estimate.high:.3f};"
        f" worth {estimate.labels:g} labels)"
    )


def _cells(estimate: Estimate) -> tuple[str, str]:
    if estimate.value is None:
        return "·", "·"
    return f"{estimate.value:.3f}", f"{estimate.low:.2f}-{estimate.high:.2f}"


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Another folder.")
def charts(out: Path | None) -> None:
    """Draw match weights, scores, customer sizes, sources and, with labels, the threshold curve."""
    home = find_home()
    try:
        with attach_published(home.published) as con:
            made = drawing.build(
                con, configs.rules_in_force(con, home.rules), _evaluation(home, con)
            )
    except (LabelsError, RulesError) as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    page = drawing.write(made, out or home.charts)
    print(f"{len(made)} charts are in {home.shown(page)}")


def _evaluation(home: Home, con: duckdb.DuckDBPyConnection) -> Evaluation | None:
    if not home.labels.exists():
        return None
    return estimates.evaluate_labels(con, label_file.read(home.labels))
