"""The dbt project as Dagster assets: every model an asset, every data test an asset check."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration import rebuilds, staleness
from orchestration.progress import Progress
from orchestration.project import NodeResult, Project
from orchestration.runtime import Mainstem
from orchestration.warehouse import quote

POOL = "warehouse"
PACKAGE = "mainstem"


class DbtFailedError(Exception):
    """A model did not build or a test with severity `error` failed; the message lists them."""


class Translator(DagsterDbtTranslator):
    """Groups follow the road: staging, canonical, identity, marts, audiences. An intermediate model
    belongs to what it prepares, the folder it is in. A package's models are a group of their own,
    and their keys begin with its name."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        key = super().get_asset_key(dbt_resource_props)
        package = dbt_resource_props["package_name"]
        is_ours = package == PACKAGE or dbt_resource_props["resource_type"] == "source"
        return key if is_ours else key.with_prefix(package)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        if dbt_resource_props["package_name"] != PACKAGE:
            return str(dbt_resource_props["package_name"])
        folder, *below = dbt_resource_props["fqn"][1:-1]
        if folder == "intermediate" or below == ["identity"]:
            return str(below[0])
        return str(folder)

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The owner in the model's meta (an audience has one), else its dbt group, as a team."""
        config = dbt_resource_props.get("config") or {}
        owner = (config.get("meta") or {}).get("owner") or config.get("group")
        return [f"team:{re.sub(r'[^A-Za-z0-9_-]+', '_', str(owner))}"] if owner else []


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
    def models(
        context: dg.AssetExecutionContext, mainstem: dg.ResourceParam[Mainstem]
    ) -> Iterator[Any]:
        selected = {by_key[key]: key for key in context.selected_asset_keys}
        with mainstem.progress.step("dbt"):
            work = build_stale(mainstem, manifest, selected, context.run_id)
        for unique_id in _parents_first(manifest, selected):
            if unique_id in work.state:
                yield dg.Output(
                    None,
                    output_name=selected[unique_id].to_python_identifier(),
                    metadata=metadata_of(work, unique_id),
                )
        for test in (
            node
            for node in manifest["nodes"].values()
            # dbt keeps the tests of a model that is switched off, depending on nothing.
            if node["resource_type"] == "test" and node["depends_on"]["nodes"]
        ):
            key = get_asset_check_key_for_test(
                manifest, translator, test["unique_id"], project=None
            )
            if key is None or key not in context.selected_asset_check_keys:
                continue
            if test["unique_id"] in work.state:
                yield _check(key, test, work)
        if work.failures:
            raise DbtFailedError(_explain(work.failures, manifest))

    return models


@dataclass(frozen=True)
class Work:
    """What a dbt step found and did: nodes by unique_id."""

    results: Mapping[str, NodeResult]
    """What dbt ran."""
    state: Mapping[str, staleness.Built]
    """What is up to date now, built in this run or before; and tests that failed, as `fail`."""
    rows: Mapping[str, int]

    @property
    def failures(self) -> list[NodeResult]:
        return [r for r in self.results.values() if not r.is_good and r.status != "skipped"]


def build_stale(
    mainstem: Mainstem, manifest: Mapping[str, Any], selected: Iterable[str], run_id: str
) -> Work:
    """Build what is stale among the selected models, and run the tests that are stale with them."""
    project, progress = mainstem.project, mainstem.progress
    selected = set(selected)
    with mainstem.warehouse() as con:
        for orphan in staleness.drop_orphans(con, manifest):
            progress.say(f"dbt: dropped {orphan}, which no model makes any more")
        before = staleness.remembered(con)
        now = staleness.fingerprints(
            manifest,
            staleness.source_fingerprints(con, manifest),
            as_of=project.as_of(),
            variables=project.variables,
        )
        relations = staleness.existing_relations(con)
        chosen = staleness.choose(manifest, selected, now, before, relations)
        codes = rebuilds.codes(manifest, project.variables)
        anew = rebuilds.begin(con, codes, [node["unique_id"] for node in chosen])
        staleness.forget(con, [node["unique_id"] for node in chosen])
        has_removed = staleness.has_removed_audiences(con, manifest)

    results: dict[str, NodeResult] = {}
    if chosen:
        models = sum(node["resource_type"] in staleness.BUILDABLE for node in chosen)
        progress.say(f"dbt: building {models} models, running {len(chosen) - models} tests")
        rebuild = [manifest["nodes"][unique_id]["name"] for unique_id in anew]
        outcomes = project.build(chosen, run_id=run_id, rebuild=rebuild)
        results = {result.unique_id: result for result in outcomes}
        _tell(progress, results.values())
    else:
        if has_removed:
            project.operate("settle_audience_books", run_id=run_id)
        progress.say(f"dbt: {len(selected)} models unchanged")

    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    built = {
        unique_id: staleness.built(nodes[unique_id], now[unique_id], result.status)
        for unique_id, result in results.items()
    }
    good = {unique_id: built[unique_id] for unique_id in built if results[unique_id].is_good}
    failed = {
        unique_id: built[unique_id] for unique_id in built if results[unique_id].status == "fail"
    }
    with mainstem.warehouse() as con:
        staleness.remember(con, good, run_id=run_id, now=mainstem.now)
        rebuilds.finish(con, codes, good)
        rows = _count_rows(con, manifest, selected)
    as_before = {
        unique_id: node
        for unique_id, node in before.items()
        if unique_id not in results and now.get(unique_id) == node.fingerprint
    }
    mainstem.facts["changed"] = mainstem.facts.get("changed", 0) + len(chosen)
    return Work(results=results, state={**as_before, **good, **failed}, rows=rows)


def _tell(progress: Progress, results: Iterable[NodeResult]) -> None:
    counted = Counter(result.status for result in results)
    good = counted["success"] + counted["pass"]
    news = [f"{good} good"]
    news += [f"{counted[s]} {s}" for s in ("warn", "fail", "error", "skipped") if counted[s]]
    progress.say(f"dbt: {', '.join(news)}")


def metadata_of(work: Work, unique_id: str) -> dict[str, Any]:
    result = work.results.get(unique_id)
    metadata: dict[str, Any] = {"mainstem/state": "built" if result else "unchanged"}
    if result:
        metadata["seconds"] = round(result.seconds, 3)
    if unique_id in work.rows:
        metadata["dagster/row_count"] = work.rows[unique_id]
    return metadata


def _check(key: dg.AssetCheckKey, test: Mapping[str, Any], work: Work) -> dg.AssetCheckResult:
    """A dbt test's outcome; one that was not run again has the outcome of its last run, since
    neither it nor what it looks at has changed."""
    result = work.results.get(test["unique_id"])
    warns = test["config"]["severity"].lower() == "warn"
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=work.state[test["unique_id"]].status == "pass",
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata={
            "mainstem/state": "run" if result else "unchanged",
            **({"failing_rows": result.failures or 0} if result else {}),
        },
    )


def _parents_first(manifest: Mapping[str, Any], selected: Iterable[str]) -> list[str]:
    """The order in which Dagster wants to hear of them."""
    nodes = manifest["nodes"]
    edges = {
        unique_id: [p for p in nodes[unique_id]["depends_on"].get("nodes", ()) if p in nodes]
        for unique_id in nodes
    }
    wanted = set(selected)
    return [
        unique_id for unique_id in TopologicalSorter(edges).static_order() if unique_id in wanted
    ]


def _count_rows(con: Any, manifest: Mapping[str, Any], selected: Iterable[str]) -> dict[str, int]:
    """Rows of each selected table (a view's would have to be computed)."""
    existing = staleness.existing_relations(con)
    counts: dict[str, int] = {}
    for unique_id in selected:
        node = manifest["nodes"][unique_id]
        relation = (node["schema"], node.get("alias") or node["name"])
        if (
            node["config"]["materialized"] in ("table", "incremental", "seed")
            and relation in existing
        ):
            name = ".".join(map(quote, relation))
            counts[unique_id] = con.execute(f"select count(*) from {name}").fetchall()[0][0]
    return counts


def _without_values(message: str) -> str:
    """dbt's message; of an error over data only its kind, since DuckDB quotes the value."""
    found = re.search(r"(Conversion|Constraint|Out of Range|Invalid Input) Error", message)
    if found:
        return f"{found[0]} in the rows (the value is not shown; run its SQL with `mainstem sql`)"
    return message.strip()


def _explain(bad: Iterable[NodeResult], manifest: Mapping[str, Any]) -> str:
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    lines = [
        f"{nodes[result.unique_id]['original_file_path']}: {nodes[result.unique_id]['name']}:"
        f" {_without_values(result.message or result.status)}"
        for result in bad
    ]
    return "dbt did not succeed:\n  " + "\n  ".join(lines)
