"""Identity as Dagster assets: canonical contacts in, the tables of the graph out, in one step."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from identity import configs, evaluate, rollback, steering
from orchestration import sample
from orchestration.defs import pictures
from orchestration.runtime import Mainstem
from orchestration.warehouse import quote

POOL = "warehouse"
IDENTITY_TAG = "mainstem/identity"
"""Of a Dagster run: `apply`, `retrain`, or `rollback to <run>`."""
TABLES = {
    "crosswalk": "Every node (contact or visitor) and today's customer.",
    "identifiers": "Identifiers normalised for matching, and which are blocked.",
    "normalised_values": "Identifier values of consents, as given and normalised.",
    "edges": "All evidence that links two nodes, and why some of it was not followed.",
    "history": "Creations, merges, splits and reassignments of customer ids.",
    "crosswalk_history": "What each run changed in the crosswalk, so that former states come back.",
    "moved_ids": "Customer ids in use no more, and the one that each stands for today.",
    "resolve_forward": "Any customer id ever given, and the one that it stands for today.",
    "model": "What agreement and difference of each field weigh.",
    "configs": "Rules and decisions of former runs.",
    "held_clusters": "What the over-merge firewall held back, and why.",
    "overrides": "What people decided: always link, never link.",
    "runs": "One row a resolution that changed something.",
}
INPUTS = ("contacts", "identifiers", "consents")
NODE_CHECK = "every_node_once"


def build() -> Any:
    """The multi-asset that resolves identity."""

    @dg.multi_asset(
        name="resolve_identity",
        specs=[
            dg.AssetSpec(
                ["identity", table],
                deps=[dg.AssetKey(["canonical", name]) for name in INPUTS],
                description=description,
                group_name="identity",
                kinds={"splink", "duckdb"},
            )
            for table, description in TABLES.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(
                NODE_CHECK,
                asset=dg.AssetKey(["identity", "crosswalk"]),
                description="Every contact and visitor is in the crosswalk exactly once.",
            )
        ],
        pool=POOL,
    )
    def resolve_identity(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> Iterator[Any]:
        with mainstem.progress.step("identity"), mainstem.warehouse() as con:
            config = configs.read(mainstem.home.rules, mainstem.home.overrides)
            steered = _steer(context, mainstem, con, config)
            summary = steered.summary
            if not (summary.unchanged and mainstem.home.charts.exists()):
                pictures.draw(mainstem, con, config)
            shown = pictures.metadata(mainstem, con)
            rows = {
                table: con.execute(f"select count(*) from identity.{quote(table)}").fetchall()[0][0]
                for table in TABLES
            }
            misplaced = con.execute(_MISPLACED_NODES).fetchall()[0][0]
            labels = sample.truth(mainstem.home) if mainstem.is_sample else None
            score = evaluate.evaluate(con, read_truth(con, labels)) if labels else None
        mainstem.facts["score"] = score
        for unknown in summary.unknown_types:
            mainstem.leave_out(
                f"identifiers of type {unknown} link nobody: identity/rules.yml does not name it"
                " (the type is the `identifier` in a staging column's meta)"
            )
        mainstem.facts["notes"] = list(steered.notes)
        for note in steered.notes:
            mainstem.progress.say(note)
        for waiting in steered.left_out:
            mainstem.leave_out(waiting)
        if summary.unchanged:
            mainstem.progress.say("identity: input and rules unchanged, every id as it was")
        for table in TABLES:
            metadata: dict[str, Any] = {"dagster/row_count": rows[table]}
            if table == "crosswalk":
                metadata |= shown
                metadata["mainstem/state"] = "unchanged" if summary.unchanged else "resolved"
                if score is not None:
                    metadata |= {"precision": score.precision, "recall": score.recall}
            yield dg.MaterializeResult(asset_key=["identity", table], metadata=metadata)
        yield dg.AssetCheckResult(
            asset_key=["identity", "crosswalk"],
            check_name=NODE_CHECK,
            passed=misplaced == 0,
            metadata={"nodes_missing_or_repeated": misplaced},
        )

    return resolve_identity


def downstream(definitions: dg.Definitions) -> set[dg.AssetKey]:
    """Identity's tables and everything that is made of them."""
    selection = dg.AssetSelection.groups("identity") & dg.AssetSelection.keys(
        *(dg.AssetKey(["identity", table]) for table in TABLES)
    )
    return set(selection.downstream().resolve(definitions.resolve_asset_graph()))


def _steer(
    context: dg.AssetExecutionContext,
    mainstem: Mainstem,
    con: duckdb.DuckDBPyConnection,
    config: configs.Config,
) -> steering.Steered:
    """Resolve as the run's tag asks: `apply`, `retrain`, `rollback to <run>`, or, without one, as
    ever.
    """
    asked = context.run.tags.get(IDENTITY_TAG, "run")
    how: Any = steering.run
    if asked == "apply":
        how = steering.apply
    elif asked == "retrain":
        how = steering.retrain
    elif asked.startswith(configs.ROLLBACK):
        how = partial(rollback.rollback, to=asked.removeprefix(configs.ROLLBACK))
    steered: steering.Steered = how(
        con,
        config=config,
        run_id=context.run_id,
        now=mainstem.now,
        progress=lambda step: mainstem.progress.say(f"identity: {step}"),
    )
    return steered


_MISPLACED_NODES = """
    with nodes as (
        select contact_key as node_key from canonical.contacts where not is_deleted
        union
        select node_key from canonical.identifiers where node_key like 'anon:%'
    ),
    placed as (select node_key, count(*) as times from identity.crosswalk group by node_key)
    select count(*) from nodes full join placed using (node_key)
    where nodes.node_key is null or placed.times is distinct from 1
"""


def read_truth(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Create a temporary table of the sample's labels(contact_key, person_id) and return its name.

    DuckDB would take a [ ] * or ? in the path for a pattern and read other files.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    con.execute(
        """
        create or replace temp table sample_labels as
        select unnest($1::varchar[]) as contact_key, nullif(unnest($2::varchar[]), '') as person_id
        """,
        [
            [f"{row['source_system']}:{row['source_record_id']}" for row in rows],
            [row["person_id"] for row in rows],
        ],
    )
    return "temp.sample_labels"
