"""What a dbt manifest says about syncs, and what is said about a wrong one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reverse_etl import declarations, destinations
from reverse_etl.connection import MissingVariableError, resolve

SYNC = {
    "destination": "webhook",
    "channel": "email",
    "row_key": "customer_id",
    "fields": {"email": "email", "cart_value": "cart_value"},
    "mode": "mirror",
    "batch_rows": 500,
    "connection": {"url": "${TOOL_URL:-http://127.0.0.1:1}", "secret": "${TOOL_SECRET}"},
}


def model(name: str, folder: str, *columns: str, **meta: Any) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "schema": folder,
        "fqn": ["mainstem", folder, name],
        "alias": name,
        "original_file_path": f"models/{folder}/{name}.sql",
        "patch_path": f"mainstem://models/{folder}/_{folder}.yml",
        "config": {"meta": meta},
        "columns": {column: {"name": column} for column in columns},
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    nodes = {
        "model.m.aud_cart": model(
            "aud_cart", "audiences", "customer_id", "cart_value", consent_purpose="marketing"
        ),
        "model.m.aud_new": model("aud_new", "audiences", "customer_id", consent_purpose="x"),
        "model.m.membership": model("membership", "audiences", "audience_id"),
        "model.m.golden_customers": model("golden_customers", "marts", "customer_id", "email"),
    }
    depends_on = {"nodes": ["model.m.aud_cart", "model.m.golden_customers", "model.m.membership"]}
    exposure = {
        "name": "cart_to_email",
        "original_file_path": "models/audiences/_exposures.yml",
        "depends_on": depends_on,
        "config": {"meta": {"sync": copy.deepcopy(SYNC)}},
    }
    dashboard = {"name": "dashboard", "depends_on": {"nodes": []}, "config": {"meta": {}}}
    return {
        "nodes": nodes,
        "exposures": {"exposure.m.cart_to_email": exposure, "exposure.m.dashboard": dashboard},
    }


def the_sync(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["exposures"]["exposure.m.cart_to_email"]
    return found


def test_a_sync_is_read(manifest: dict[str, Any]) -> None:
    found = declarations.read(manifest)
    assert found.problems == ()
    (sync,) = found.syncs
    assert (sync.name, sync.audience_id, sync.consent_purpose) == (
        "cart_to_email",
        "aud_cart",
        "marketing",
    )
    assert sync.fields == (("email", "email"), ("cart_value", "cart_value"))
    assert "TOOL" not in repr(sync)


def test_meta_beside_config_and_defaults(manifest: dict[str, Any]) -> None:
    exposure = the_sync(manifest)
    exposure["meta"] = exposure.pop("config")["meta"]
    for key in ("row_key", "mode", "batch_rows"):
        del exposure["meta"]["sync"][key]
    (sync,) = declarations.read(manifest).syncs
    assert (sync.schedule, sync.rejected_percent) == ("daily", 1.0)
    assert (sync.row_key, sync.mode, sync.batch_rows) == ("customer_id", "mirror", 500)


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    [
        ({"destination": "webhok"}, "sync.destination", "did you mean webhook?"),
        ({"destination": None}, "sync.destination", "is missing"),
        ({"chanel": "email"}, "sync.chanel", "did you mean channel?"),
        ({"channel": ""}, "sync.channel", "is missing"),
        ({"fields": {"email": "emial"}}, "sync.fields.email", "did you mean email?"),
        ({"fields": ["email"]}, "sync.fields", "not a mapping"),
        ({"row_key": "customer"}, "sync.row_key", "did you mean customer_id?"),
        ({"required": ["emal"]}, "sync.required", "did you mean email?"),
        ({"mode": "miror"}, "sync.mode", "did you mean mirror?"),
        ({"schedule": "often"}, "sync.schedule", "hourly, daily, weekly, monthly nor a cron"),
        ({"schedule": "0 25 * * *"}, "sync.schedule", "cron string"),
        ({"checks": ["x"]}, "sync.checks", "not a mapping"),
        ({"checks": {"rejected": 1}}, "sync.checks.rejected", "did you mean rejected_percent?"),
        ({"checks": {"rejected_percent": "1%"}}, "sync.checks.rejected_percent", "0 to 100"),
        ({"batch_rows": 0}, "sync.batch_rows", "from 1 to 10000"),
        ({"batch_rows": "many"}, "sync.batch_rows", "from 1 to 10000"),
        ({"connection": {"url": "${A}"}}, "sync.connection.secret", "is missing"),
        (
            {"connection": {"url": "${A}", "secret": "${B}", "sercet": "${C}"}},
            "sync.connection.sercet",
            "did you mean secret?",
        ),
        ({"connection": {"url": "u", "secret": "hunter2"}}, "sync.connection.secret", "${NAME}"),
        (
            {
                "destination": "sftp_csv",
                "fields": {"key": "email"},
                "connection": dict.fromkeys(("host", "username", "known_hosts", "path"), "x"),
            },
            "sync.fields.key",
            "choose another",
        ),
    ],
)
def test_a_wrong_one_is_told_where_and_how(
    manifest: dict[str, Any], change: dict[str, Any], key: str, hint: str
) -> None:
    the_sync(manifest)["config"]["meta"]["sync"] |= change
    found = declarations.read(manifest)
    assert found.syncs == ()
    messages = [str(problem) for problem in found.problems]
    assert any(f"config.meta.{key}:" in message and hint in message for message in messages), (
        messages
    )
    assert all("models/audiences/_exposures.yml" in message for message in messages)
    assert "hunter2" not in str(messages)


@pytest.mark.parametrize(
    ("nodes", "hint"),
    [
        (["model.m.golden_customers"], "there are aud_cart, aud_new"),
        (["model.m.aud_cart", "model.m.aud_new"], "2 audiences (aud_cart, aud_new)"),
    ],
)
def test_a_sync_has_one_audience(manifest: dict[str, Any], nodes: list[str], hint: str) -> None:
    the_sync(manifest)["depends_on"]["nodes"] = nodes
    (problem,) = declarations.read(manifest).problems
    assert hint in problem.message


def test_an_audience_without_a_purpose_is_a_problem(manifest: dict[str, Any]) -> None:
    manifest["nodes"]["model.m.aud_cart"]["config"]["meta"] = {}
    (problem,) = declarations.read(manifest).problems
    assert "models/audiences/_audiences.yml" in problem.message


def test_columns_are_checked_only_where_the_manifest_lists_them(manifest: dict[str, Any]) -> None:
    manifest["nodes"]["model.m.golden_customers"]["columns"] = {}
    the_sync(manifest)["config"]["meta"]["sync"]["fields"] = {"name": "first_name"}
    assert len(declarations.read(manifest).syncs) == 1


def test_one_wrong_sync_leaves_the_others(manifest: dict[str, Any]) -> None:
    other = copy.deepcopy(the_sync(manifest)) | {"name": "another"}
    other["config"]["meta"]["sync"]["mode"] = "sideways"
    manifest["exposures"]["exposure.m.another"] = other
    found = declarations.read(manifest)
    assert [sync.name for sync in found.syncs] == ["cart_to_email"]
    assert [problem.sync for problem in found.problems] == ["another"]


def test_every_destination_in_the_folder_is_found_and_states_its_capabilities() -> None:
    assert {"sftp_csv", "webhook"} <= set(destinations.names())
    for name in destinations.names():
        capabilities = destinations.find(name).capabilities
        assert 1 <= capabilities.default_rows <= capabilities.max_rows
        assert capabilities.secret_keys <= (
            capabilities.connection_keys | capabilities.optional_connection_keys
        )


def test_references_are_resolved() -> None:
    connection = {"a": "x-${ONE}-${TWO:-2}", "b": "plain", "c": "${EMPTY:-}"}
    assert resolve(connection, {"ONE": "1", "EMPTY": ""}) == {"a": "x-1-2", "b": "plain", "c": ""}
    with pytest.raises(MissingVariableError, match=r"connection\.a .* ONE"):
        resolve(connection, {"ONE": ""})
