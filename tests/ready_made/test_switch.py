"""Ready-made sources cost nothing until they are named, and say what they miss."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration import staleness


def test_what_is_not_named_is_off(company: Any) -> None:
    """The sample's sources are not in this company's map: no model, no source, no test of theirs."""
    manifest = company.project.manifest
    off = {"shop", "web", "crm", "stores", "newsletter", "consents", "finance"}
    assert not off & {source["source_name"] for source in manifest["sources"].values()}
    for key, node in manifest["nodes"].items():
        assert not any(f"stg_{source}__" in key for source in off), key
        assert node["config"]["enabled"]


def test_the_folder_configures_them_as_staging(company: Any) -> None:
    node = company.project.manifest["nodes"]["model.mainstem.stg_hubspot__contacts"]
    assert node["fqn"] == ["mainstem", "staging", "hubspot", "stg_hubspot__contacts"]
    assert (node["schema"], node["config"]["materialized"]) == ("staging", "view")


def test_a_missing_table_is_named_and_an_optional_one_is_not_missed(
    company: Any, our_rows: Any
) -> None:
    company.land({"zendesk": {"user": our_rows["zendesk"]["user"]}, "marketo": our_rows["marketo"]})
    found = {r.unique_id.split(".")[2]: r for r in company.dbt_build("staging/zendesk/")}
    assert found["stg_zendesk__contacts"].is_good
    missing = found["stg_zendesk__support_tickets"]
    assert not missing.is_good
    assert '"zendesk"."ticket" is not in the warehouse' in missing.message
    assert "zendesk_schema" in missing.message
    assert "activity_email_delivered" not in our_rows["marketo"]
    assert all(result.is_good for result in company.dbt_build("staging/marketo/"))


SOURCE = {
    "source_name": "shopify",
    "name": "customer",
    "schema": "shopify",
    "identifier": "customer",
}
MANIFEST = {"sources": {"s": {**SOURCE, "loaded_at_field": "_fivetran_synced"}}}


def test_a_connectors_table_is_stale_when_it_changed(tmp_path: Path) -> None:
    synced = datetime.datetime(2026, 3, 1)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as con:

        def now(manifest: Any = MANIFEST) -> str:
            return staleness.source_fingerprints(con, manifest)["s"]

        seen = [now()]
        con.execute("create schema shopify")
        con.execute('create table shopify.customer (id bigint, "_FIVETRAN_SYNCED" timestamp)')
        seen.append(now())
        con.execute("insert into shopify.customer values (1, ?), (2, ?)", [synced, synced])
        seen.append(now())
        con.execute("delete from shopify.customer where id = 2")
        seen.append(now())
        con.execute(
            'update shopify.customer set "_FIVETRAN_SYNCED" = ?',
            [synced + datetime.timedelta(hours=1)],
        )
        seen.append(now())
        con.execute("alter table shopify.customer add column phone varchar")
        seen.append(now())
        assert len(set(seen)) == len(seen)
        assert now() == seen[-1]
        # Without a column that says when: by content.
        by_content = {"sources": {"s": SOURCE}}
        before = now(by_content)
        con.execute("update shopify.customer set phone = '1'")
        assert now(by_content) != before
        assert now() == seen[-1]
