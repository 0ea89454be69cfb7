"""The rules of dbt_project_evaluator, over our manifest, with what deviates on purpose.

The package installs from dbt's hub alone, so its rules are written out here; each test names the
package's. docs/models.md gives the reason of every deviation listed in this file, and a deviation
that is none any more fails too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

LAYERS = ("staging", "intermediate", "canonical", "marts", "audiences")
PRIMARY_KEY_TESTS = ({"unique", "not_null"}, {"unique_together"})


def deviates(found: Iterable[str], on_purpose: Iterable[str] = ()) -> None:
    assert sorted(set(found)) == sorted(on_purpose)


# Modelling


def test_no_model_joins_a_source_directly(project: Any) -> None:
    """fct_direct_join_to_source, fct_multiple_sources_joined"""
    deviates(
        project.name(key)
        for key in project.models
        if any(p in project.sources for p in project.parents(key)) and len(project.parents(key)) > 1
    )


def test_no_source_is_declared_twice(project: Any) -> None:
    """fct_duplicate_sources"""
    tables = [f"{s['schema']}.{s['identifier']}" for s in project.sources.values()]
    assert len(tables) == len(set(tables))


def test_every_source_is_used(project: Any) -> None:
    """fct_unused_sources"""
    deviates(
        (project.name(key) for key in project.sources if not project.children[key]),
        UNUSED_SOURCES,
    )


def test_only_staging_reads_sources(project: Any) -> None:
    """fct_marts_or_intermediate_dependent_on_source"""
    deviates(
        project.name(key)
        for key in project.models
        if project.layer(key) != "staging"
        and any(p in project.sources for p in project.parents(key))
    )


def test_staging_reads_nothing_but_sources(project: Any) -> None:
    """fct_staging_dependent_on_staging, fct_staging_dependent_on_marts_or_intermediate"""
    deviates(
        project.name(key)
        for key in project.models
        if project.layer(key) == "staging"
        and any(p in project.models for p in project.parents(key))
    )


def test_a_source_feeds_one_staging_model(project: Any) -> None:
    """fct_source_fanout"""
    deviates(
        (project.name(key) for key in project.sources if len(project.children[key]) > 1),
        SOURCES_OF_TWO_ENTITIES,
    )


def test_no_model_feeds_more_than_three_leaves(project: Any) -> None:
    """fct_model_fanout"""
    leaves = {key for key in project.models if not project.children[key]}
    deviates(
        (
            project.name(key)
            for key in project.models
            if len(project.children[key] & leaves) > 3 and project.layer(key) != "marts"
        ),
        MODELS_OF_MANY_LEAVES,
    )


def test_no_upstream_concept_is_rejoined(project: Any) -> None:
    """fct_rejoining_of_upstream_concepts"""
    found = []
    for top in project.models:
        for middle in project.children[top]:
            if project.name(middle).endswith(LOGS):
                continue
            below = project.children[middle]
            if len(below) == 1 and below <= project.children[top]:
                found.append(f"{project.name(top)} -> {project.name(middle)}")
    deviates(found, REJOINED)


def test_tables_are_named_by_ref_and_source_alone(project: Any) -> None:
    """fct_hard_coded_references"""
    hidden = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|--[^\n]*", re.DOTALL)
    named = re.compile(r"(?<!distinct )\b(?:from|join)\s+[\"`]?\w+[\"`]?\.[\"`]?\w+", re.IGNORECASE)
    deviates(
        project.name(key)
        for key, node in project.models.items()
        if named.search(hidden.sub("", node["raw_code"]))
    )


def test_every_model_has_a_parent(project: Any) -> None:
    """fct_root_models"""
    deviates(
        (project.name(key) for key in project.models if not project.parents(key)),
        ROOTS,
    )


def test_no_model_joins_too_much(project: Any) -> None:
    """fct_too_many_joins"""
    deviates(
        (project.name(key) for key in project.models if len(set(project.parents(key))) >= 7),
        MANY_PARENTS,
    )


# Testing and documentation


def test_every_model_has_its_primary_key_tested(project: Any) -> None:
    """fct_missing_primary_key_tests"""
    deviates(
        project.name(key)
        for key in project.models
        if not any(wanted <= project.tests_of(key) for wanted in PRIMARY_KEY_TESTS)
        and project.layer(key) not in CHECKED_BY_THEIR_FOLDER
    )


def test_every_source_has_a_freshness(project: Any) -> None:
    """fct_sources_without_freshness"""
    deviates(
        {
            source["source_name"]
            for source in project.sources.values()
            if not (source.get("freshness") or {}).get("warn_after", {}).get("count")
            and not (source.get("freshness") or {}).get("error_after", {}).get("count")
        },
        SOURCES_WITHOUT_FRESHNESS,
    )


def test_everything_is_described(project: Any) -> None:
    """fct_undocumented_models, _sources, _source_tables, _public_models"""
    found = [project.name(key) for key, node in project.models.items() if not node["description"]]
    found += [
        project.name(key)
        for key, source in project.sources.items()
        if not source["description"] or not source["source_description"]
    ]
    found += [
        f"{node['name']}.{column['name']}"
        for key, node in project.models.items()
        if project.layer(key) in ("canonical", "marts")
        for column in node["columns"].values()
        if not column["description"]
    ]
    deviates(found)


def test_every_column_that_comes_in_is_described(models: Any) -> None:
    """Of sources and staging models, those switched off too: here unit and time zone are known, if
    anywhere. A source that `source add` wrote owes it once its own description is no TODO."""
    found = []
    for path in models.home.dbt_project.glob("*/staging/*/*.yml"):
        declared = yaml.safe_load(path.read_text("utf-8"))
        tables = [(model["name"], model) for model in declared.get("models", [])]
        for source in declared.get("sources", []):
            if not source["description"].startswith("TODO"):
                tables += [(f"{source['name']}.{of['name']}", of) for of in source["tables"]]
        found += [
            f"{name}.{column['name']}"
            for name, table in tables
            for column in table.get("columns", [])
            if not str(column.get("description") or "").strip()
        ]
    deviates(found)


# Structure


def test_names_say_the_layer(project: Any) -> None:
    """fct_model_naming_conventions: stg_<source>__<entities>, int_<...>, aud_<...>; canonical and marts
    have no prefix, since their schema is part of the name that people write."""
    prefixes = {"staging": "stg_", "intermediate": "int_", "audiences": "aud_"}
    deviates(
        node["name"]
        for key, node in project.models.items()
        if not node["name"].startswith(prefixes.get(project.layer(key), ""))
        or (
            project.layer(key) in ("canonical", "marts")
            and node["name"].startswith(("stg_", "int_", "aud_", "fct_", "dim_"))
        )
    )


def test_files_are_where_their_layer_is(project: Any) -> None:
    """fct_model_directories, fct_source_directories, fct_test_directories"""
    found = [project.name(k) for k in project.models if project.layer(k) not in LAYERS]
    for key, node in project.models.items():
        folder = node["original_file_path"].rsplit("/", 1)[0]
        patch = node["patch_path"].split("://")[1]
        is_beside = patch.rsplit("/", 1)[0] == folder
        is_of_its_source = project.layer(key) != "staging" or all(
            folder.rsplit("/", 1)[1] == project.sources[p]["source_name"]
            for p in project.parents(key)
            if p in project.sources
        )
        if not (is_beside and is_of_its_source):
            found.append(node["name"])
    for source in project.sources.values():
        name = source["source_name"]
        if not source["original_file_path"].endswith(f"/staging/{name}/_{name}.yml"):
            found.append(name)
    deviates(found)


# Performance


def test_no_long_chains_of_views(project: Any) -> None:
    """fct_chained_views_dependencies: four or more views in a row"""

    def depth(key: str) -> int:
        if key not in project.models or project.models[key]["config"]["materialized"] != "view":
            return 0
        return 1 + max((depth(parent) for parent in project.parents(key)), default=0)

    deviates(project.name(key) for key in project.models if depth(key) >= 4)


def test_exposures_stand_on_public_tables(project: Any) -> None:
    """fct_exposure_parents_materializations, fct_exposures_dependent_on_private_models"""
    deviates(
        f"{exposure['name']}: {project.name(parent)}"
        for exposure in project.exposures
        for parent in exposure["depends_on"]["nodes"]
        if parent not in project.models
        or project.models[parent]["config"]["materialized"] == "view"
        or project.models[parent]["config"]["access"] != "public"
    )


def test_public_models_have_a_contract_and_an_owner(project: Any) -> None:
    """fct_public_models_without_contract; and the group, whose owner answers for it"""
    deviates(
        node["name"]
        for node in project.models.values()
        if not node["config"]["group"]
        or (
            node["config"]["access"] == "public"
            and not node["config"]["contract"]["enforced"]
            and node["original_file_path"].split("/")[1] not in CHECKED_BY_THEIR_FOLDER
        )
    )


def test_staging_is_private_and_what_people_query_is_public(project: Any) -> None:
    access = {
        (project.layer(key) in ("staging", "intermediate"), node["config"]["access"])
        for key, node in project.models.items()
    }
    assert access == {(True, "private"), (False, "public")}


# What deviates on purpose; the reasons are in docs/models.md.

# What an audience owes (customers that exist, each once) its folder may check for all of them.
CHECKED_BY_THEIR_FOLDER = ("audiences",)
# Identity publishes them for people and for its own use; no model needs them.
UNUSED_SOURCES = [
    "identity.configs", "identity.crosswalk_history", "identity.edges", "identity.held_clusters",
    "identity.history", "identity.model", "identity.overrides", "identity.runs",
]  # fmt: skip
# One export of a system holds several entities: orders with their lines, tickets with their askers.
SOURCES_OF_TWO_ENTITIES = [
    "app.purchases", "mailer.events", "search_ads.ad_performance", "shop.orders",
    "social_ads.insights", "stores.loyalty_cards", "stores.receipts", "support.tickets",
]  # fmt: skip
# Audiences are leaves: many ask what somebody did, and the folder's hook asks for experiments.
MODELS_OF_MANY_LEAVES = ["experiments", "int_event_customers"]
# A log of changes says which staged rows its table has to read: both read them.
LOGS = "_changes"
# A cart's lines are given to it again as a whole. A log tells each of its readers what changed.
REJOINED = [
    "int_cart_activity -> cart_items",
    "int_cart_changes -> cart_items",
    "int_customer_changes -> purchases",
    "int_event_changes -> int_visitor_identifiers",
]
# A calendar comes out of nothing.
ROOTS = ["days"]
# Unions: over however many sources there are, and of all that a customer is made of.
MANY_PARENTS = ["contacts", "identifiers", "int_contact_changes", "int_customer_inputs"]
# Written by the run itself.
SOURCES_WITHOUT_FRESHNESS = ["identity"]
