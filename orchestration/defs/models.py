"""The dbt project as Dagster assets: every model an asset, every data test an asset check."""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration import staleness
from orchestration.project import NodeResult, Project
from orchestration.runtime import Mainstem
from orchestration.warehouse import quote

POOL = "warehouse"


class DbtFailedError(Exception):
    """A model did not build or a test with severity `error` failed; the message lists them."""


class Translator(DagsterDbtTranslator):
    """Groups are the folders of the project: staging, intermediate, canonical, marts, audiences."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        fqn = dbt_resource_props["fqn"]
        return str(fqn[1]) if len(fqn) > 2 else "canonical"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> None:
        """dbt owners are names of teams; Dagster wants addresses."""


def build(project: Project) -> Any:
    """One multi-asset over the whole project. Identity's tables are dbt sources with the keys of
    identity's assets, so Dagster runs it in two parts, before and after identity, by itself."""
    manifest = project.manifest
    translator = Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
    by_key = {
        translator.get_asset_spec(manifest, unique_id, None).key: unique_id
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] in staleness.BUILDABLE
    }

    @dbt_assets(
        manifest=manifest, name="dbt", dagster_dbt_translator=translator, exclude="", pool=POOL
    )
    def models(context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]) -> Iterator[Any]:
        selected = {by_key[key]: key for key in context.selected_asset_keys}
        with mainstem.progress.step("dbt"):
            results, rows = _build_stale(mainstem, manifest, selected, context.run_id)
        built = {result.unique_id: result for result in results}
        for unique_id in _parents_first(manifest, selected):
            key = selected[unique_id]
            outcome = built.get(unique_id)
            if outcome is not None and not outcome.is_good:
                continue
            yield dg.Output(
                None,
                output_name=key.to_python_identifier(),
                metadata={
                    "unique_id": unique_id,
                    "mainstem/state": "built" if outcome else "unchanged",
                    **({"seconds": round(outcome.seconds, 3)} if outcome else {}),
                    **({"dagster/row_count": rows[unique_id]} if unique_id in rows else {}),
                },
            )
        yield from _checks(context, manifest, translator, results)
        bad = [result for result in results if not result.is_good and result.status != "skipped"]
        if bad:
            raise DbtFailedError(_explain(bad, manifest))

    return models


def _build_stale(
    mainstem: Mainstem, manifest: Mapping[str, Any], selected: Iterable[str], run_id: str
) -> tuple[list[NodeResult], dict[str, int]]:
    """Build what is stale among the selected nodes; outcomes, and rows by unique_id of tables."""
    project = mainstem.project
    selected = set(selected)
    with mainstem.warehouse() as con:
        before = staleness.remembered(con)
        now = staleness.fingerprints(
            manifest,
            staleness.source_fingerprints(con, manifest),
            as_of=project.as_of(),
            variables=project.variables,
        )
        chosen = staleness.choose(
            manifest, selected, now, before, staleness.existing_relations(con)
        )
        staleness.forget(con, [node["unique_id"] for node in chosen])
    if not chosen:
        mainstem.progress.say(f"dbt: {len(selected)} models unchanged")
        with mainstem.warehouse() as con:
            return [], _count_rows(con, manifest, selected)

    models = sum(node["resource_type"] in staleness.BUILDABLE for node in chosen)
    tests = len(chosen) - models
    mainstem.progress.say(f"dbt: building {models} models, running {tests} tests")
    results = project.build(chosen)
    good = {result.unique_id: now[result.unique_id] for result in results if result.is_good}
    with mainstem.warehouse() as con:
        staleness.remember(con, good, run_id=run_id, now=mainstem.now)
        rows = _count_rows(con, manifest, selected)
    failed = sum(not result.is_good for result in results)
    warned = sum(result.status == "warn" for result in results)
    mainstem.progress.say(
        f"dbt: {len(good)} of {len(results)} good"
        + (f", {warned} warnings" if warned else "")
        + (f", {failed} FAILED or skipped" if failed else "")
    )
    return results, rows


def _parents_first(manifest: Mapping[str, Any], selected: Iterable[str]) -> list[str]:
    """The order in which Dagster wants to hear of them."""
    nodes = manifest["nodes"]
    edges = {
        unique_id: [p for p in nodes[unique_id]["depends_on"].get("nodes", ()) if p in nodes]
        for unique_id in nodes
    }
    wanted = set(selected)
    return [unique_id for unique_id in TopologicalSorter(edges).static_order() if unique_id in wanted]


def _count_rows(con: Any, manifest: Mapping[str, Any], selected: Iterable[str]) -> dict[str, int]:
    """Rows of each selected table (a view's would have to be computed)."""
    existing = staleness.existing_relations(con)
    counts: dict[str, int] = {}
    for unique_id in selected:
        node = manifest["nodes"][unique_id]
        relation = (node["schema"], node.get("alias") or node["name"])
        if node["config"]["materialized"] in ("table", "incremental", "seed") and relation in existing:
            name = ".".join(map(quote, relation))
            counts[unique_id] = con.execute(f"select count(*) from {name}").fetchall()[0][0]
    return counts


def _checks(
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    translator: Translator,
    results: Iterable[NodeResult],
) -> Iterator[dg.AssetCheckResult]:
    for result in results:
        if not result.unique_id.startswith("test.") or result.status == "skipped":
            continue
        key = get_asset_check_key_for_test(manifest, translator, result.unique_id, project=None)
        if key is None or key not in context.selected_asset_check_keys:
            continue
        warns = manifest["nodes"][result.unique_id]["config"]["severity"].lower() == "warn"
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.status == "pass",
            severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
            metadata={"failing_rows": result.failures or 0, "seconds": round(result.seconds, 3)},
        )


def _explain(bad: Iterable[NodeResult], manifest: Mapping[str, Any]) -> str:
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    lines = [
        f"{nodes[result.unique_id]['original_file_path']}: {nodes[result.unique_id]['name']}:"
        f" {(result.message or result.status).strip()}"
        for result in bad
    ]
    return "dbt did not succeed:\n  " + "\n  ".join(lines)
